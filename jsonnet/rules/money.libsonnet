// What was spent over long windows: added up here, because a panel that adds up a month reads 170,000 samples at each
// of its points. Only what Prometheus saw is in it.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local seconds = import '../lib/duration.libsonnet';

local rate = 'job:claw_ai_ai_cost_usd:rate5m';

// Each sample stands for one interval between evaluations.
local spent(window) = alert.record(
  'job:claw_ai_ai_cost_usd:sum%s' % window,
  '%d * sum_over_time(%s[%s])' % [seconds(config.intervals.evaluation), rate, window]
);

alert.group('money-rules', [
  spent('1d'),
  spent('30d'),
  alert.record('job:claw_ai_ai_cost_usd:avg1d', 'avg_over_time(%s[1d])' % rate),
], '1m')
