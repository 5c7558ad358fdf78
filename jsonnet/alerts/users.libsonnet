// Users are hurt: what the objectives say (slos.libsonnet), and how long people wait for the first word.
local alert = import '../lib/alert.libsonnet';
local bound = import '../lib/bound.libsonnet';
local config = import '../config.libsonnet';
local slos = import '../slos.libsonnet';

local firstToken = 'claw_ai_ai_time_to_first_token_seconds';
local firstTokenLimit = config.thresholds.first_token_p95_seconds;

alert.group(
  'users-alerts',
  std.flattenArrays([slos[name].alerts for name in std.objectFields(slos)])
  + alert.levels('AiFirstTokenSlow', {
    expr(threshold):: |||
      histogram_quantile(0.95, sum by (job, le) (rate(claw_ai_ai_time_to_first_token_seconds_bucket[10m]))) > %s
      and on (job)
      sum by (job) (increase(claw_ai_ai_time_to_first_token_seconds_count[10m])) >= %d
    ||| % [bound(firstToken, threshold), config.thresholds.first_token_min_answers],
    keep: config.keep_firing_for,
    by: ['job'],
    summary: 'AI answers of {{ $labels.job }} start late.',
    description: 'One streamed answer in twenty has waited {{ $value | humanizeDuration }} or more for its first token in the last 10m.',
    dashboard: 'claw-ai-overview',
  }, {
    warning: { threshold: firstTokenLimit.warning, hold: '10m' },
    critical: { threshold: firstTokenLimit.critical, hold: '10m' },
  })
)
