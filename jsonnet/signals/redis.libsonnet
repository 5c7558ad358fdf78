// Redis, as its exporter sees it.
local signal = import '../lib/signal.libsonnet';

local sum_rate(s, metric) = 'sum(%s)' % s.rate(metric);
local lost = 'Keys thrown away for want of memory, connections and writes refused, per minute: where Redis is more than a cache, each is lost work.';
// What exporters and clients ask for themselves.
local commands = { 'cmd!~': 'client.*|config.*|hello|info|latency.*|slowlog.*' };
local state(title, metric, description) = signal.new({
  title: title,
  description: description,
  unit: 'short',
  thresholds: { warning: 1, critical: 1, below: true },
  query(s):: 'min(%s)' % s.of(metric),
});

{
  used: signal.new({
    title: 'used',
    description: 'Memory in use, and maxmemory. At the limit Redis throws keys away or refuses writes.',
    unit: 'bytes',
    by: ['instance'],
    legend: 'used {{instance}}',
    query(s):: 'max by (instance) (%s)' % s.of('redis_memory_used_bytes'),
  }),
  max: signal.new({
    title: 'maxmemory',
    description: 'maxmemory; nothing where there is no limit.',
    unit: 'bytes',
    query(s):: 'min(%s > 0)' % s.of('redis_memory_max_bytes'),
  }),
  hit: signal.new({
    title: 'Hits',
    description: 'Share of reads that found their key.',
    unit: 'percentunit',
    query(s):: '%(hits)s / (%(hits)s + %(misses)s)' % {
      hits: sum_rate(s, 'redis_keyspace_hits_total'),
      misses: sum_rate(s, 'redis_keyspace_misses_total'),
    },
  }),
  local trouble(title, metric) = signal.new({
    title: title,
    description: lost,
    unit: 'short',
    query(s):: '60 * %s' % sum_rate(s, metric),
  }),
  evicted: trouble('keys evicted', 'redis_evicted_keys_total'),
  rejected: trouble('connections refused', 'redis_rejected_connections_total'),
  clients: signal.new({
    title: 'connected',
    description: 'Clients, and those that wait in a blocking command, as workers of a queue do.',
    unit: 'short',
    query(s):: 'sum(%s)' % s.of('redis_connected_clients'),
  }),
  blocked: signal.new({
    title: 'blocked',
    description: 'Clients that wait in a blocking command.',
    unit: 'short',
    query(s):: 'sum(%s)' % s.of('redis_blocked_clients'),
  }),
  commands: signal.new({
    title: 'Commands',
    description: 'Commands a second, the ten most frequent.',
    unit: 'ops',
    by: ['cmd'],
    query(s):: 'topk(10, sum by (cmd) (%s) > 0)' % s.rate('redis_commands_total', commands),
  }),
  command_time: signal.new({
    title: 'Time of a command',
    description: 'Mean time that the server spent on a command, the ten slowest. While one runs, all others wait.',
    unit: 's',
    by: ['cmd'],
    query(s):: |||
      topk(
        10,
        sum by (cmd) (%s)
        /
        (sum by (cmd) (%s) > 0)
      )
    ||| % [s.rate('redis_commands_duration_seconds_total', commands), s.rate('redis_commands_total', commands)],
  }),
  server_time: signal.new({
    title: 'the server works',
    description: 'Seconds within each second in which Redis executed commands.',
    unit: 'short',
    // Stands beside a signal of the application, whose job and instance are not the exporter's.
    query(s):: 'sum(%s)' % s.rate('redis_commands_duration_seconds_total', { 'job=~': '.+', 'instance=~': '$redis' }),
  }),
  slow: signal.new({
    title: 'Slow log',
    description: 'Entries of the slow log: commands that took longer than slowlog-log-slower-than.',
    unit: 'short',
    thresholds: { warning: 1, critical: 100 },
    query(s):: 'max(%s)' % s.of('redis_slowlog_length'),
  }),
  saved: signal.new({
    title: 'Since last save',
    description: 'Time since the last snapshot. What came since is lost with the server, unless the append-only file has it.',
    unit: 's',
    query(s):: 'time() - min(%s)' % s.of('redis_rdb_last_save_timestamp_seconds'),
  }),
  snapshot_ok: state('snapshot', 'redis_rdb_last_bgsave_status', 'Whether the last snapshot and the last write of the append-only file succeeded.'),
  append_ok: state('append-only file', 'redis_aof_last_write_status', 'Whether the last write of the append-only file succeeded.'),
  keys: signal.new({
    title: 'all',
    description: 'Keys, and those of the patterns that exporter.yml counts.',
    unit: 'short',
    legend: 'all keys',
    query(s):: 'sum(%s)' % s.of('redis_db_keys'),
  }),
  keys_by_pattern: signal.gauge('claw_ai_redis_keys', {
    title: 'Keys by pattern',
    by: ['redis', 'pattern'],
    legend: '{{redis}} {{pattern}}',
    aggregate: 'max',
  }),
}
