// Databases, caches and pools, as the application sees them and as they see themselves.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local limits = config.thresholds;

local operation(title, metric) = signal.quantile(0.95, metric, {
  title: title,
  by: ['operation'],
  legend: title + ' {{operation}}',
});

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
  postgres_connections: signal.new({
    title: 'Postgres connections used',
    description: 'Open connections as a share of max_connections.',
    unit: 'percentunit',
    by: ['instance'],
    thresholds: limits.pool_used_ratio,
    query(s):: |||
      sum by (instance) (%s)
      /
      min by (instance) (%s)
    ||| % [s.of('pg_stat_activity_count'), s.of('pg_settings_max_connections')],
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
      s.rate('claw_ai_vector_db_operation_duration_seconds_count', { status: 'ok' }),
      s.rate('claw_ai_vector_db_operation_duration_seconds_count'),
    ],
  }),

  db_p95: operation('DB', 'claw_ai_db_operation_duration_seconds'),
  redis_p95: operation('Redis', 'claw_ai_redis_operation_duration_seconds'),
  vector_p95: operation('Vector store', 'claw_ai_vector_db_operation_duration_seconds'),

  // Where a request's time goes: the sums of the histograms, divided by the requests.
  local per_request(title, metric) = signal.new({
    title: title,
    description: 'Mean seconds per request spent in each part; calls that run side by side count in full.',
    unit: 's',
    query(s):: |||
      sum(%s)
      /
      sum(%s)
    ||| % [s.rate(metric + '_sum'), s.rate('claw_ai_http_request_duration_seconds_count')],
  }),
  time_total: per_request('whole request', 'claw_ai_http_request_duration_seconds'),
  time_ai: per_request('model', 'claw_ai_ai_response_duration_seconds'),
  time_db: per_request('database', 'claw_ai_db_operation_duration_seconds'),
  time_redis: per_request('Redis', 'claw_ai_redis_operation_duration_seconds'),
  time_vector: per_request('vector store', 'claw_ai_vector_db_operation_duration_seconds'),
}
