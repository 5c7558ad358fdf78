-- Sums by the hour. A bucket (tenant, hour) is worked out whole from stg_usage FINAL and replaces the one before, by a
-- higher `ver`; nothing is ever added to a row. A key that a recomputation no longer finds is written with calls = 0.

-- One dimension at a time: their combinations would be as many as the calls themselves.
CREATE TABLE IF NOT EXISTS mart_usage_hour (
  tenant_id UInt32,
  hour DateTime('UTC'),
  project_id LowCardinality(String),
  dimension Enum8('all' = 0, 'agent' = 1, 'model' = 2),
  key LowCardinality(String),
  calls UInt64,
  input_tokens UInt64,
  output_tokens UInt64,
  total_tokens UInt64,
  cost_nano_usd UInt64,
  duration_us UInt64,
  ver UInt64
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, dimension, hour, project_id, key)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;
