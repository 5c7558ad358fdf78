// Postgres and Redis, as their exporters see them.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

local redisLimit = config.thresholds.redis_memory_ratio;

// A server that hangs instead of refusing takes the scrape of its own exporter with it, and the exporter's metric is
// gone. Our exporter's probe has a deadline: it speaks where the other is silent.
local down(metric, probe) = |||
  %(metric)s == 0
  or
  %(probe)s == 0 unless on (host) %(metric)s
||| % { metric: metric, probe: probe };

alert.group('datastores-alerts', [
  alert.new('PostgresDown', {
    expr: down('pg_up', 'claw_ai_postgres_up'),
    severity: 'critical',
    hold: '1m',
    keep: config.keep_firing_for,
    by: ['host', 'instance'],
    summary: 'Postgres on {{ $labels.host }} does not answer.',
    description: 'The exporter at {{ $labels.instance }} cannot query it: up is {{ $value }}.',
    dashboard: 'claw-ai-overview',
  }),
  alert.new('RedisDown', {
    expr: down('redis_up', 'claw_ai_redis_up'),
    severity: 'critical',
    hold: '1m',
    keep: config.keep_firing_for,
    by: ['host', 'instance'],
    summary: 'Redis on {{ $labels.host }} does not answer.',
    description: 'The exporter at {{ $labels.instance }} cannot reach it: up is {{ $value }}.',
    dashboard: 'claw-ai-overview',
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
  dashboard: 'claw-ai-resources',
}, {
  warning: { threshold: redisLimit.warning, hold: '10m' },
  critical: { threshold: redisLimit.critical, hold: '2m' },
}))
