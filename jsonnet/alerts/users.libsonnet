// Users are hurt: what the objectives say (slos.libsonnet), how long people wait for the first word, and people who leave
// or do not come.
local alert = import '../lib/alert.libsonnet';
local bound = import '../lib/bound.libsonnet';
local config = import '../config.libsonnet';
local slos = import '../slos.libsonnet';

local limits = config.thresholds;
local firstToken = 'claw_ai_ai_time_to_first_token_seconds';
local firstTokenLimit = limits.first_token_p95_seconds;

local traffic = 'job:claw_ai_http_requests:rate5m';
local abandoned = 'job:claw_ai_http_abandoned:ratio_rate5m';

alert.group(
  'users-alerts',
  std.flattenArrays([slos[name].alerts for name in std.objectFields(slos)])
  + alert.levels('AiFirstTokenSlow', {
    expr(threshold):: |||
      histogram_quantile(0.95, sum by (job, le) (rate(claw_ai_ai_time_to_first_token_seconds_bucket[10m]))) > %s
      and on (job)
      sum by (job) (increase(claw_ai_ai_time_to_first_token_seconds_count[10m])) >= %d
    ||| % [bound(firstToken, threshold), limits.first_token_min_answers],
    keep: config.keep_firing_for,
    by: ['job'],
    summary: 'AI answers of {{ $labels.job }} start late.',
    description: 'One streamed answer in twenty has waited {{ $value | humanizeDuration }} or more for its first token in the last 10m.',
    dashboard: 'claw-ai-models',
  }, {
    warning: { threshold: firstTokenLimit.warning, hold: '10m' },
    critical: { threshold: firstTokenLimit.critical, hold: '10m' },
  })
  + [
    alert.new('HttpAbandonmentHigh', {
      expr: |||
        (
          %(abandoned)s > %(ratio)g
          unless
          # Where people always leave early, with a stop button for instance, only a change is news.
          %(abandoned)s < 2 * avg_over_time(%(abandoned)s[1d] offset 20m)
        )
        and on (job)
        sum by (job) (increase(claw_ai_http_requests_total{status="499"}[10m])) >= %(least)d
      ||| % { abandoned: abandoned, ratio: limits.abandoned_ratio, least: limits.abandoned_min_requests },
      severity: 'warning',
      hold: '10m',
      keep: config.keep_firing_for,
      by: ['job'],
      summary: 'People leave {{ $labels.job }} before it has answered.',
      description: 'The client of {{ $value | humanizePercentage }} of the requests of the last 5m was gone before the end, more than twice as many as usual.',
      dashboard: 'claw-ai-performance',
    }),
    alert.new('TrafficVanished', {
      // The second arm makes a dead application 0 requests; without it, it would be no data.
      expr: |||
        (%(traffic)s or 0 * %(traffic)s offset 1w)
        < %(ratio)g *
        avg_over_time(%(traffic)s[10m] offset 1w)
        and on (job)
        600 * avg_over_time(%(traffic)s[10m] offset 1w) >= %(least)d
      ||| % { traffic: traffic, ratio: limits.traffic_left_ratio, least: limits.traffic_min_requests },
      severity: 'critical',
      hold: '10m',
      keep: config.keep_firing_for,
      by: ['job'],
      summary: 'Hardly any request reaches {{ $labels.job }} any more.',
      description: '{{ $value | printf "%.2f" }} requests a second are left, less than a tenth of those a week ago at this time.',
      dashboard: 'claw-ai-performance',
    }),
    alert.new('ConversationsStopped', {
      expr: |||
        (
          sum by (job) (increase(claw_ai_conversations_total{status="created"}[1h]))
          or
          # Since the application started there was none, so there is no series either.
          0 * %(traffic)s
        ) == 0
        and on (job)
        sum by (job) (increase(claw_ai_conversations_total{status="created"}[1h] offset 1w)) >= %(least)d
      ||| % { traffic: traffic, least: limits.conversations_min },
      severity: 'warning',
      hold: '15m',
      keep: config.keep_firing_for,
      by: ['job'],
      summary: 'Nobody starts a conversation with {{ $labels.job }} any more.',
      description: 'Conversations created in the last hour: {{ $value }}. A week ago at this time there were at least %d.' % limits.conversations_min,
      dashboard: 'claw-ai-overview',
    }),
  ]
)
