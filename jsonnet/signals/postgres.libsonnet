// Postgres, as its exporter sees it.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local real = { 'datname!~': 'template.*' };
local of_tables = ['datname', 'relname'];

local per_database(title, description, unit, query, more={}) = signal.new({
  title: title,
  description: description,
  unit: unit,
  by: ['datname'],
  query:: query,
} + more);

{
  connections: signal.new({
    title: 'Connections by state',
    description: 'Idle in transaction holds locks and keeps vacuum from cleaning up: it should be close to 0.',
    unit: 'short',
    by: ['state'],
    query(s):: 'sum by (state) (%s) > 0' % s.of('pg_stat_activity_count'),
  }),
  max_connections: signal.new({
    title: 'for applications',
    description: 'Connections that applications may open together.',
    unit: 'short',
    query(s):: 'sum(%s - %s)' % [s.of('pg_settings_max_connections'), s.of('pg_settings_superuser_reserved_connections')],
  }),
  local transactions(title, metric) = signal.new({
    title: title,
    description: 'Transactions a second that were kept and that were taken back.',
    unit: 'ops',
    query(s):: 'sum(%s)' % s.rate(metric),
  }),
  commits: transactions('commits', 'pg_stat_database_xact_commit'),
  rollbacks: transactions('rollbacks', 'pg_stat_database_xact_rollback'),
  local longest(by, title) = signal.new({
    title: title,
    description: 'Time since the oldest open transaction began. One that idles is an application that forgot to end it.',
    unit: 's',
    by: by,
    thresholds: { warning: config.thresholds.transaction_seconds },
    query(s):: 'clamp_min(max%s (%s), 0)' % [
      if by == [] then '' else ' by (%s)' % std.join(', ', by),
      s.of('pg_stat_activity_max_tx_duration', { 'state=~': 'active|idle in transaction.*' }),
    ],
  }),
  longest: longest([], 'Oldest transaction'),
  longest_by_state: longest(['state'], 'Oldest transaction by state'),
  waiting: signal.new({
    title: 'Waiting for a lock',
    description: 'Connections that wait for a lock which another one holds.',
    unit: 'short',
    thresholds: { warning: 1, critical: 10 },
    query(s):: |||
      sum(%s)
      or
      0 * sum(%s)
    ||| % [s.of('pg_stat_activity_count', { wait_event_type: 'Lock' }), s.of('pg_stat_activity_count')],
  }),
  deadlocks: signal.new({
    title: 'Deadlocks',
    description: 'Transactions that Postgres ended because they waited for each other, within the shown time range.',
    unit: 'short',
    thresholds: { warning: 1, critical: 10 },
    query(s):: 'sum(increase(%s[$__range]))' % s.of('pg_stat_database_deadlocks'),
  }),
  deadlocks_a_minute: signal.new({
    title: 'deadlocks a minute',
    description: 'Connections that wait for a lock, and transactions that Postgres ended because they waited for each other.',
    unit: 'short',
    query(s):: '60 * sum(%s)' % s.rate('pg_stat_database_deadlocks'),
  }),
  local hits(s, by) = |||
    sum%(by)s (%(hit)s)
    /
    (sum%(by)s (%(hit)s + %(read)s) > 0)
  ||| % {
    by: by,
    hit: s.rate('pg_stat_database_blks_hit', real),
    read: s.rate('pg_stat_database_blks_read', real),
  },
  cache_hit: signal.new({
    title: 'Cache hits',
    description: 'Share of block reads that the buffer cache served. A database that outgrows its memory shows here first.',
    unit: 'percentunit',
    thresholds: { warning: 0.95, critical: 0.8, below: true },
    query(s):: hits(s, ''),
  }),
  cache_hit_by_database: per_database('Cache hits by database', 'Share of block reads that the buffer cache served.', 'percentunit', function(s)
    hits(s, ' by (datname)')),
  temp: per_database('Temporary files', 'Bytes a second written because a query had too little work_mem.', 'Bps', function(s)
    'sum by (datname) (%s)' % s.rate('pg_stat_database_temp_bytes', real)),
  size: per_database('Size', 'Size of each database on disk.', 'bytes', function(s)
    'sum by (datname) (%s)' % s.of('pg_database_size_bytes', real)),
  growth: signal.new({
    title: 'Growth a day',
    description: 'Bytes that all databases together grow in a day, at the pace of the last six hours.',
    unit: 'bytes',
    query(s):: '86400 * sum(deriv(%s[6h]))' % s.of('pg_database_size_bytes', real),
  }),
  wal: signal.gauge('pg_wal_size_bytes', {
    title: 'write-ahead log',
    description: 'Bytes of the write-ahead log. It grows without end while a replica or an archive does not take it.',
    unit: 'bytes',
    by: ['instance'],
    legend: 'write-ahead log of {{instance}}',
  }),
  lag: signal.gauge('pg_replication_lag_seconds', {
    title: 'Replication lag',
    description: 'How old the data of a replica are; 0 on a primary.',
    unit: 's',
    aggregate: 'max',
    thresholds: { warning: config.thresholds.replication_lag_seconds },
  }),
  // The metric's name says seconds, its value counts transactions.
  xid_age: signal.gauge('pg_database_wraparound_age_datfrozenxid_seconds', {
    title: 'Transaction id age',
    description: 'Age of the oldest row in transactions. Vacuum keeps it low; at 2.1 thousand million Postgres takes no more writes.',
    unit: 'short',
    aggregate: 'max',
    thresholds: { warning: 1e9, critical: 1.5e9 },
  }),
  server_time: signal.new({
    title: 'the server works',
    description: 'Seconds within each second in which Postgres executed statements.',
    unit: 'short',
    // Stands beside a signal of the application, whose job and instance are not the exporter's.
    query(s):: 'sum(%s)' % s.rate('pg_stat_database_active_time_seconds_total', { 'job=~': '.+', 'instance=~': '$postgres' }),
  }),

  table: {
    local column(title, description, unit, query, more={}) = signal.new({
      title: title,
      description: description,
      unit: unit,
      by: of_tables,
      query:: query,
    } + more),
    local most = 'topk(20, sum by (datname, relname) (%s))',
    dead: column('Dead rows', 'Rows that were deleted or replaced and are not cleaned up yet.', 'short', function(s)
      most % s.of('pg_stat_user_tables_n_dead_tup')),
    live: column('Live rows', 'Rows, estimated.', 'short', function(s) most % s.of('pg_stat_user_tables_n_live_tup')),
    share: column('Dead', 'Dead rows as a share of all.', 'percentunit', function(s) |||
      sum by (datname, relname) (%(dead)s)
      /
      (sum by (datname, relname) (%(dead)s + %(live)s) > 0)
    ||| % { dead: s.of('pg_stat_user_tables_n_dead_tup'), live: s.of('pg_stat_user_tables_n_live_tup') }, { thresholds: { warning: 0.2, critical: 0.5 } }),
    vacuumed: column('Since autovacuum', 'Time since autovacuum last cleaned the table; empty where it never did.', 's', function(s)
      'time() - max by (datname, relname) (%s > 0)' % s.of('pg_stat_user_tables_last_autovacuum')),
    scans: column('Full scans/s', 'Scans of the whole table a second: many on a large table want an index.', 'ops', function(s)
      most % s.rate('pg_stat_user_tables_seq_scan')),
    size: column('Size', 'Size with its indexes.', 'bytes', function(s)
      most % ('%s + %s' % [s.of('pg_stat_user_tables_table_size_bytes'), s.of('pg_stat_user_tables_index_size_bytes')])),
  },
}
