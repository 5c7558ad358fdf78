// Money and tokens: what is spent too fast, and what is not counted.
// The budget is what the application says with `set_budget`; of several instances each says the same.
local alert = import '../lib/alert.libsonnet';
local share = import '../lib/share.libsonnet';
local config = import '../config.libsonnet';

local limits = config.thresholds;
local dashboard = 'claw-ai-models';
local answers = 'claw_ai_ai_response_duration_seconds_count{status="ok"}';

local budget(period) = 'claw_ai_ai_budget_usd{period="%s", scope="all"}' % period;

alert.group('money-alerts', [
  alert.new('AiCostRunaway', {
    local hour(offset='') = 'sum by (job) (increase(claw_ai_ai_cost_usd_total[1h]%s))' % offset,
    expr: |||
      (
        %(hour)s > on (job) %(day_share)g * max by (job) (%(budget)s)
        or
        (%(hour)s > %(floor)g) > %(factor)g * %(hour_before)s
      )
      and on (job)
      # What has been spent stays spent for an hour; that it goes on is the alarm.
      6 * sum by (job) (increase(claw_ai_ai_cost_usd_total[10m])) > 0.5 * %(hour)s
    ||| % {
      hour: hour(),
      hour_before: hour(' offset 1w'),
      budget: budget('day'),
      day_share: limits.ai_cost_hour_of_day_ratio,
      factor: limits.ai_cost_factor,
      floor: limits.ai_cost_floor_usd,
    },
    severity: 'critical',
    hold: '5m',
    keep: config.keep_firing_for,
    by: ['job'],
    summary: '{{ $labels.job }} spends far more on AI than it should.',
    description: '{{ $value | printf "%%.2f" }} dollars in the last 1h: over %g%% of the budget for a day, or over %g times as much as a week ago.' % [
      100 * limits.ai_cost_hour_of_day_ratio,
      limits.ai_cost_factor,
    ],
    dashboard: dashboard,
  }),
  alert.new('AiBudgetForecast', {
    // A whole week: workdays and weekends differ. In its first week an application reads too low, never too high.
    expr: |||
      # 5m * 60 s of each of these rates.
      30 / 7 * 300 * sum_over_time(job:claw_ai_ai_cost_usd:rate5m[7d:5m])
      > on (job)
      max by (job) (%s)
    ||| % budget('month'),
    severity: 'warning',
    hold: '1h',
    keep: config.keep_firing_for,
    by: ['job'],
    summary: 'At its present pace {{ $labels.job }} spends more than its budget for a month.',
    description: '30 days like the last 7 cost {{ $value | printf "%.2f" }} dollars.',
    dashboard: dashboard,
  }),
] + alert.levels('AiBudgetExceeded', {
  expr(threshold):: |||
    (
      sum by (job) (increase(claw_ai_ai_cost_usd_total[1h]))
      / on (job) group_right ()
      max by (job, period) (%(hour)s)
      or
      job:claw_ai_ai_cost_usd:sum1d
      / on (job) group_right ()
      max by (job, period) (%(day)s)
    ) >= %(threshold)g
  ||| % { hour: budget('hour'), day: budget('day'), threshold: threshold },
  keep: config.keep_firing_for,
  by: ['job', 'period'],
  summary: 'The AI budget of {{ $labels.job }} for one {{ $labels.period }} is nearly spent, or more than that.',
  description: '{{ $value | humanizePercentage }} of it went in the {{ $labels.period }} up to now.',
  dashboard: dashboard,
}, {
  warning: { threshold: limits.ai_budget_spent_ratio.warning, hold: '5m' },
  critical: { threshold: limits.ai_budget_spent_ratio.critical, hold: '1m' },
}) + [
  alert.new('AiTokensPerAnswerJump', {
    local each(offset='') = |||
      sum by (job, model) (rate(claw_ai_ai_tokens_total[1h]%(offset)s))
      / sum by (job, model) (rate(%(answers)s[1h]%(offset)s))
    ||| % { answers: answers, offset: offset },
    local enough(offset='') =
      'sum by (job, model) (increase(%s[1h]%s)) >= %d' % [answers, offset, limits.ai_tokens_jump_min_answers],
    expr: |||
      (
        %(now)s
      )
      > %(factor)g * (
        %(before)s
      )
      and on (job, model)
      %(enough)s
      and on (job, model)
      %(enough_before)s
    ||| % {
      now: std.strReplace(std.rstripChars(each(), '\n'), '\n', '\n  '),
      before: std.strReplace(std.rstripChars(each(' offset 1w'), '\n'), '\n', '\n  '),
      factor: limits.ai_tokens_jump_factor,
      enough: enough(),
      enough_before: enough(' offset 1w'),
    },
    severity: 'warning',
    hold: '30m',
    keep: config.keep_firing_for,
    by: ['job', 'model'],
    summary: 'An answer of {{ $labels.model }} to {{ $labels.job }} uses far more tokens than a week ago.',
    description: '{{ $value | humanize }} tokens for each answer of the last 1h, over %g times as many as a week ago.' % limits.ai_tokens_jump_factor,
    dashboard: dashboard,
  }),
  alert.new('AiModelUnpriced', {
    expr: |||
      sum by (job, model) (increase(claw_ai_ai_unpriced_tokens_total[1h])) > 0
    |||,
    severity: 'warning',
    hold: '15m',
    by: ['job', 'model'],
    summary: 'The price table of {{ $labels.job }} does not know {{ $labels.model }}.',
    description: 'About {{ $value | humanize }} of its tokens in the last 1h were counted as free.',
    dashboard: dashboard,
  }),
  alert.new('AiUsageMissing', {
    expr: share(
      'claw_ai_ai_usage_missing_total', answers, ['job', 'model'], '1h', limits.ai_usage_missing_ratio, limits.ai_usage_missing_min
    ),
    severity: 'warning',
    hold: '30m',
    by: ['job', 'model'],
    summary: 'Answers of {{ $labels.model }} do not tell {{ $labels.job }} how many tokens they used.',
    description: '{{ $value | humanizePercentage }} of the good answers in the last 1h came without usage: their tokens and their cost are missing.',
    dashboard: dashboard,
  }),
])
