// The application's own limits.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

local poolLimit = config.thresholds.pool_used_ratio;

alert.group('application-alerts', alert.levels('PoolNearlyExhausted', {
  // The worst process, not the sum over all: one full pool hurts its own requests while the others idle.
  expr(threshold):: |||
    max by (job, host, pool) (
      claw_ai_db_pool_connections{state="active"}
      / ignoring (state)
      (claw_ai_db_pool_max_connections > 0)
    ) > %g
  ||| % threshold,
  keep: config.keep_firing_for,
  by: ['job', 'host', 'pool'],
  summary: 'The connection pool {{ $labels.pool }} of {{ $labels.job }} is nearly exhausted.',
  description: '{{ $value | humanizePercentage }} of the connections of a process on {{ $labels.host }} are in use; requests will soon wait for one.',
  dashboard: 'claw-ai-resources',
}, {
  warning: { threshold: poolLimit.warning, hold: '10m' },
  critical: { threshold: poolLimit.critical, hold: '2m' },
}))
