// Postgres and Redis, as their exporters see them.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local problems = import '../lib/problems.libsonnet';

local limits = config.thresholds;
local redisLimit = limits.redis_memory_ratio;

// A server that hangs instead of refusing takes the scrape of its own exporter with it, and the exporter's metric is
// gone. Our exporter's probe has a deadline: it speaks where the other is silent.
local down(metric, probe) = |||
  %(metric)s == 0
  or
  %(probe)s == 0 unless on (host) %(metric)s
||| % { metric: metric, probe: probe };

// A pattern that matches nothing is none.
local mustKeep = if config.redis_caches == '' then '' else '{instance!~"%s"}' % config.redis_caches;

alert.group('datastores-alerts', [
  alert.new('PostgresDown', {
    expr: down('pg_up', 'claw_ai_postgres_up'),
    severity: 'critical',
    hold: '1m',
    keep: config.keep_firing_for,
    by: ['host', 'instance'],
    summary: 'Postgres on {{ $labels.host }} does not answer.',
    description: 'The exporter at {{ $labels.instance }} cannot query it: up is {{ $value }}.',
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('RedisDown', {
    expr: down('redis_up', 'claw_ai_redis_up'),
    severity: 'critical',
    hold: '1m',
    keep: config.keep_firing_for,
    by: ['host', 'instance'],
    summary: 'Redis on {{ $labels.host }} does not answer.',
    description: 'The exporter at {{ $labels.instance }} cannot reach it: up is {{ $value }}.',
    dashboard: 'claw-ai-datastores',
  }),
] + alert.levels('RedisMemoryHigh', {
  // A Redis without maxmemory reports 0 and is left out: it has no limit to come near to.
  expr(threshold):: |||
    redis_memory_used_bytes / (redis_memory_max_bytes > 0) > %g
  ||| % threshold,
  keep: config.keep_firing_for,
  by: ['host', 'instance'],
  summary: 'Redis on {{ $labels.host }} is nearly full.',
  description: '{{ $value | humanizePercentage }} of maxmemory is in use at {{ $labels.instance }}; at 100% Redis evicts keys or refuses writes.',
  dashboard: 'claw-ai-datastores',
}, {
  warning: { threshold: redisLimit.warning, hold: '10m' },
  critical: { threshold: redisLimit.critical, hold: '2m' },
}) + alert.levels('PostgresConnectionsHigh', {
  // Some connections are kept back for superusers: an application never gets them.
  expr(threshold):: |||
    sum by (host, instance) (pg_stat_activity_count)
    /
    min by (host, instance) (pg_settings_max_connections - pg_settings_superuser_reserved_connections)
    > %g
  ||| % threshold,
  keep: config.keep_firing_for,
  by: ['host', 'instance'],
  summary: 'Postgres on {{ $labels.host }} has hardly a connection left.',
  description: '{{ $value | humanizePercentage }} of the connections that applications may open are in use, as {{ $labels.instance }} sees it.',
  dashboard: 'claw-ai-datastores',
}, {
  warning: { threshold: limits.postgres_connections_ratio.warning, hold: '10m' },
  critical: { threshold: limits.postgres_connections_ratio.critical, hold: '2m' },
}) + [
  alert.new('PostgresTransactionTooLong', {
    // A backup reads for as long as it takes, and is no reason to worry.
    expr: |||
      max by (host, instance, datname, usename, state) (
        pg_stat_activity_max_tx_duration{state=~"active|idle in transaction.*", application_name!~"pg_dump|pg_dumpall|pg_basebackup"}
      ) > %d
    ||| % limits.transaction_seconds,
    severity: 'warning',
    hold: '5m',
    by: ['host', 'instance', 'datname', 'usename', 'state'],
    summary: 'A transaction in the database {{ $labels.datname }} on {{ $labels.host }} does not end.',
    description: 'One of the user {{ $labels.usename }} has been open for {{ $value | humanizeDuration }}, and is {{ $labels.state }} now.',
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('PostgresReplicationLag', {
    expr: |||
      pg_replication_lag_seconds > %d
      and
      pg_replication_is_replica == 1
    ||| % limits.replication_lag_seconds,
    severity: 'warning',
    hold: '10m',
    keep: config.keep_firing_for,
    by: ['host', 'instance'],
    summary: 'The Postgres replica on {{ $labels.host }} is behind.',
    description: 'What it shows at {{ $labels.instance }} is {{ $value | humanizeDuration }} old.',
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('PostgresWraparoundNear', {
    // The metric's name says seconds, its value counts transactions. Postgres refuses writes at about 2.1 thousand million;
    // autovacuum begins to freeze at 200 million by default.
    expr: |||
      max by (host, instance, datname) (pg_database_wraparound_age_datfrozenxid_seconds) > 1e9
    |||,
    severity: 'warning',
    hold: '1h',
    by: ['host', 'instance', 'datname'],
    summary: 'The database {{ $labels.datname }} on {{ $labels.host }} is not vacuumed any more.',
    description: 'Its oldest row is {{ $value | humanize }} transactions old. At 2.1G Postgres stops taking writes.',
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('RedisRefusing', {
    expr: problems.anyOf({
      'it refuses connections': problems.grown('redis_rejected_connections_total', '5m'),
      'it throws keys away': problems.grown('redis_evicted_keys_total' + mustKeep, '5m'),
      'it refuses writes': problems.grown('redis_errors_total{err="OOM"}', '5m'),
    }),
    severity: 'critical',
    hold: '2m',
    keep: config.keep_firing_for,
    by: ['host', 'instance', 'problem'],
    summary: 'Redis on {{ $labels.host }} has no room: {{ $labels.problem }}.',
    description: 'This happened about {{ $value | humanize }} times in the last 5m at {{ $labels.instance }}; sessions, tasks or requests are lost.',
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('RedisPersistenceFailing', {
    expr: problems.anyOf({
      'the snapshot': 'max by (job, host, instance) (redis_rdb_last_bgsave_status == 0)',
      'the append-only file': 'max by (job, host, instance) (redis_aof_last_write_status == 0)',
      'rewriting the append-only file': 'max by (job, host, instance) (redis_aof_last_bgrewrite_status == 0)',
    }),
    severity: 'critical',
    hold: '5m',
    by: ['host', 'instance', 'problem'],
    summary: 'Redis on {{ $labels.host }} cannot write to its disk: {{ $labels.problem }}.',
    description: 'The last attempt at {{ $labels.instance }} failed: its status is {{ $value }}. A restart would lose what came since.',
    dashboard: 'claw-ai-datastores',
  }),
])
