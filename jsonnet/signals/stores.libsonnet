// Databases, caches and pools, as the application sees them and as they see themselves.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local limits = config.thresholds;

// A kind of store, as the application sees it; over all instances, from rules/stores.libsonnet.
local store(title, metric, failing={}) = {
  local count = 'job_operation_status:%s_count:rate5m' % metric,
  p95: signal.new({
    title: title,
    description: 'p95 of the slowest operations, as the application saw them.',
    unit: 's',
    by: ['operation'],
    legend: title + ' {{operation}}',
    query(s):: 'topk(10, max by (operation) (%s))' % s.averaged('job_operation:%s:p95_5m' % metric),
  }),
  rate: signal.new({
    title: title + ' operations',
    description: 'Operations a second by how they ended, the ten most frequent.',
    unit: 'ops',
    by: ['operation', 'status'],
    query(s):: 'topk(10, sum by (operation, status) (%s) > 0)' % s.averaged(count),
  }),
  failed: signal.new({
    title: title,
    description: 'Operations a minute that failed, as the application saw them.',
    unit: 'short',
    query(s):: '60 * sum(%s)' % s.averaged(count, { status: 'error' }),
  }),
  failed_share: signal.new({
    title: title + ' operations that fail',
    description: 'Share of operations that failed; the ten worst.',
    unit: 'percentunit',
    by: ['operation'],
    [if failing != {} then 'thresholds']: failing,
    query(s):: |||
      topk(
        10,
        sum by (operation) (%s)
        /
        (sum by (operation) (%s) > 0)
      )
    ||| % [s.averaged(count, { status: 'error' }), s.averaged('job_operation:%s_count:rate5m' % metric)],
  }),
  busy: signal.new({
    title: 'the application waits',
    description: 'Seconds within each second. What the server does not account for is the network, waiting in line, and the driver. The server works for other clients too.',
    unit: 'short',
    query(s):: 'sum(%s)' % s.averaged('job_operation:%s_sum:rate5m' % metric),
  }),
};

local db = store('DB', 'claw_ai_db_operation_duration_seconds');
local redis = store('Redis', 'claw_ai_redis_operation_duration_seconds');
local vector = store('Vector store', 'claw_ai_vector_db_operation_duration_seconds', { warning: limits.vector_db_failed_ratio });

{
  pool_used: signal.new({
    title: 'Pool in use',
    description: 'Busy connections as a share of what a pool may open; the fullest instance, not the sum that would hide it.',
    unit: 'percentunit',
    by: ['pool'],
    thresholds: limits.pool_used_ratio,
    query(s):: |||
      max by (pool) (
        %s
        / ignoring (state)
        %s
      )
    ||| % [s.of('claw_ai_db_pool_connections', { state: 'active' }), s.of('claw_ai_db_pool_max_connections')],
  }),
  pool_wait: signal.new({
    title: 'Wait for a connection, p95',
    description: 'Time that a caller waited for a connection of a pool.',
    unit: 's',
    by: ['pool'],
    query(s):: 'max by (pool) (%s)' % s.averaged('job_pool:claw_ai_db_pool_wait_seconds:p95_5m'),
  }),
  pool_timeouts: signal.new({
    title: 'No connection in time',
    description: 'Requests for a connection per minute that gave up waiting: each is an error that a user sees.',
    unit: 'short',
    by: ['pool'],
    query(s):: '60 * sum by (pool) (%s)' % s.rate('claw_ai_db_pool_timeouts_total'),
  }),
  pool_connections: signal.new({
    title: 'Connections of pools',
    description: 'Connections of all instances by pool and state.',
    unit: 'short',
    by: ['pool', 'state'],
    query(s):: 'sum by (pool, state) (%s)' % s.of('claw_ai_db_pool_connections'),
  }),
  postgres_connections: signal.new({
    title: 'Postgres connections used',
    description: 'Open connections as a share of those that applications may open; some are kept back for superusers.',
    unit: 'percentunit',
    by: ['instance'],
    thresholds: limits.postgres_connections_ratio,
    query(s):: |||
      sum by (instance) (%s)
      /
      min by (instance) (%s - %s)
    ||| % [
      s.of('pg_stat_activity_count'),
      s.of('pg_settings_max_connections'),
      s.of('pg_settings_superuser_reserved_connections'),
    ],
  }),
  redis_memory: signal.new({
    title: 'Redis memory used',
    description: 'Memory as a share of maxmemory. Empty where maxmemory is 0, which means no limit: set one.',
    unit: 'percentunit',
    by: ['instance'],
    thresholds: limits.redis_memory_ratio,
    no_value: 'no maxmemory set',
    query(s):: |||
      max by (instance) (%s)
      /
      (max by (instance) (%s) > 0)
    ||| % [s.of('redis_memory_used_bytes'), s.of('redis_memory_max_bytes')],
  }),
  postgres_size: signal.gauge('pg_database_size_bytes', {
    title: 'Postgres',
    description: 'Size of a Postgres database on disk.',
    unit: 'bytes',
    by: ['datname'],
    legend: 'Postgres {{datname}}',
  }),
  redis_size: signal.gauge('redis_memory_used_bytes', {
    title: 'Redis',
    description: 'Memory that Redis uses.',
    unit: 'bytes',
    by: ['instance'],
    legend: 'Redis {{instance}}',
  }),
  prometheus_size: signal.gauge('prometheus_tsdb_storage_blocks_bytes', {
    title: 'Prometheus',
    description: 'Bytes in the blocks of Prometheus.',
    unit: 'bytes',
    by: ['instance'],
    legend: 'Prometheus blocks {{instance}}',
  }),
  prometheus_wal_size: signal.gauge('prometheus_tsdb_wal_storage_size_bytes', {
    title: 'Prometheus WAL',
    description: 'Bytes in the write-ahead log of Prometheus.',
    unit: 'bytes',
    by: ['instance'],
    legend: 'Prometheus WAL {{instance}}',
  }),

  postgres_up: signal.new({
    title: 'Postgres',
    description: '1 while the exporter reaches Postgres.',
    unit: 'percentunit',
    query(s):: 'min(%s)' % s.of('pg_up'),
  }),
  redis_up: signal.new({
    title: 'Redis',
    description: '1 while the exporter reaches Redis.',
    unit: 'percentunit',
    query(s):: 'min(%s)' % s.of('redis_up'),
  }),
  vector_ok: signal.new({
    title: 'Vector store',
    description: 'Share of vector store operations that were good.',
    unit: 'percentunit',
    query(s):: |||
      sum(%s)
      /
      sum(%s)
    ||| % [
      s.averaged('job_operation_status:claw_ai_vector_db_operation_duration_seconds_count:rate5m', { status: 'ok' }),
      s.averaged('job_operation:claw_ai_vector_db_operation_duration_seconds_count:rate5m'),
    ],
  }),

  db: db,
  redis: redis,
  vector: vector,
  db_p95: db.p95,
  redis_p95: redis.p95,
  vector_p95: vector.p95,

  // A bucket of its own holds the retrievals that found nothing.
  empty: signal.new({
    title: 'Retrievals that find nothing',
    description: 'Share of retrievals without a result, by index: answers without knowledge.',
    unit: 'percentunit',
    by: ['index'],
    thresholds: { warning: limits.retrieval_empty_ratio },
    query(s):: |||
      sum by (index) (%(empty)s)
      /
      (sum by (index) (%(all)s) > 0)
    ||| % {
      empty: s.averaged('job_index_le:claw_ai_retrieval_results_bucket:rate5m', { le: '0.0' }),
      all: s.averaged('job_index_le:claw_ai_retrieval_results_bucket:rate5m', { le: '+Inf' }),
    },
  }),

  // Where a request's time goes: the sums of the histograms, divided by the requests.
  local per_request(title, record) = signal.new({
    title: title,
    description: 'Mean seconds per request spent in each part; calls that run side by side count in full.',
    unit: 's',
    query(s):: |||
      sum(%s)
      /
      sum(%s)
    ||| % [s.averaged(record), s.averaged('job:claw_ai_http_request_duration_seconds_count:rate5m')],
  }),
  time_total: per_request('whole request', 'job:claw_ai_http_request_duration_seconds_sum:rate5m'),
  time_ai: per_request('model', 'job:claw_ai_ai_response_duration_seconds_sum:rate5m'),
  time_db: per_request('database', 'job_operation:claw_ai_db_operation_duration_seconds_sum:rate5m'),
  time_redis: per_request('Redis', 'job_operation:claw_ai_redis_operation_duration_seconds_sum:rate5m'),
  time_vector: per_request('vector store', 'job_operation:claw_ai_vector_db_operation_duration_seconds_sum:rate5m'),
}
