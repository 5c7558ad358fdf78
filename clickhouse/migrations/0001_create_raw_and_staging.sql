-- What was accepted, and one row for each record of it. A row's identity is its sorting key, never a time alone: the
-- same record, delivered twice, is one row as soon as parts merge, and at once under FINAL. `ver` says which one stays.

-- Exactly the bytes that were acknowledged: what was understood wrongly can be understood anew.
CREATE TABLE IF NOT EXISTS raw_batches (
  tenant_id UInt32,
  kind LowCardinality(String),
  received_at DateTime64(6, 'UTC') CODEC(Delta(8), LZ4),
  entry_id String,
  idempotency_key String,
  records UInt32,
  body String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (kind, tenant_id, received_at, entry_id)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- One call of a model.
CREATE TABLE IF NOT EXISTS stg_usage (
  tenant_id UInt32,
  ts DateTime64(6, 'UTC') CODEC(Delta(8), LZ4),
  event_id FixedString(16),
  project_id LowCardinality(String),
  agent_id LowCardinality(String),
  agent_name LowCardinality(String),
  model_name LowCardinality(String),
  input_tokens UInt32 CODEC(LZ4),
  output_tokens UInt32 CODEC(LZ4),
  total_tokens UInt32 CODEC(LZ4),
  cache_read_tokens UInt32 CODEC(LZ4),
  cache_write_tokens UInt32 CODEC(LZ4),
  reasoning_tokens UInt32 CODEC(LZ4),
  cost_nano_usd UInt64 CODEC(LZ4),
  cost_source Enum8('none' = 0, 'client' = 1, 'priced' = 2),
  duration_us UInt64 CODEC(LZ4),
  span_id String,
  origin Enum8('json' = 1, 'otlp' = 2),
  received_at DateTime64(6, 'UTC') CODEC(Delta(8), LZ4),
  ver UInt64 CODEC(Delta(8), LZ4)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(ts)
PRIMARY KEY (tenant_id, toStartOfHour(ts))
ORDER BY (tenant_id, toStartOfHour(ts), project_id, event_id)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- One execution of an agent: told when it begins, and again when it has ended; `ver` is (rank of the status << 56) |
-- microseconds, so a late "running" never wins over "completed".
CREATE TABLE IF NOT EXISTS stg_executions (
  tenant_id UInt32,
  execution_id String,
  project_id LowCardinality(String),
  agent_id LowCardinality(String),
  agent_name LowCardinality(String),
  node_id String,
  round_index Int32,
  started_at DateTime64(6, 'UTC'),
  ended_at Nullable(DateTime64(6, 'UTC')),
  duration_us Nullable(UInt64),
  status Enum8('running' = 1, 'completed' = 2, 'failed' = 3),
  content String CODEC(ZSTD(3)),
  error_message String CODEC(ZSTD(1)),
  llm_calls UInt32,
  total_tokens UInt64,
  total_cost_nano_usd UInt64,
  received_at DateTime64(6, 'UTC'),
  ver UInt64
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (tenant_id, execution_id)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS stg_timeline (
  tenant_id UInt32,
  ts DateTime64(6, 'UTC'),
  event_id FixedString(16),
  event_type LowCardinality(String),
  project_id LowCardinality(String),
  agent_id LowCardinality(String),
  node_id String,
  message String CODEC(ZSTD(1)),
  metadata String CODEC(ZSTD(1)),
  received_at DateTime64(6, 'UTC'),
  ver UInt64
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant_id, project_id, ts, event_id)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- What was acknowledged and cannot be stored as what it says it is: kept, counted, and replayed on command.
CREATE TABLE IF NOT EXISTS quarantine (
  tenant_id UInt32,
  kind LowCardinality(String),
  received_at DateTime64(6, 'UTC'),
  entry_id String,
  ordinal UInt32,
  reason LowCardinality(String),
  detail String,
  idempotency_key String,
  body String CODEC(ZSTD(3)),
  replayed_at Nullable(DateTime64(6, 'UTC')),
  ver UInt64
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(received_at)
ORDER BY (kind, tenant_id, entry_id, ordinal)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;
