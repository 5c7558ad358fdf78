// AI providers: whether they answer, how fast, and what they refuse.
local alert = import '../lib/alert.libsonnet';
local bound = import '../lib/bound.libsonnet';
local share = import '../lib/share.libsonnet';
local config = import '../config.libsonnet';

local limits = config.thresholds;
local dashboard = 'claw-ai-models';

// Attempts are HTTP requests, those that an SDK repeats by itself included. One that the reader gave up says nothing
// about the provider.
local attempts(outcome) = 'claw_ai_ai_attempts_total{outcome="%s"}' % outcome;
local ended = 'claw_ai_ai_attempts_total{outcome!="cancelled"}';
local failed = 'claw_ai_ai_attempts_total{outcome=~"server_error|timeout|connection"}';
local answers = 'claw_ai_ai_response_duration_seconds';
local gaps = 'claw_ai_ai_stream_gap_seconds';

local byProvider = ['job', 'provider'];
local byModel = ['job', 'provider', 'model'];

// What every alert of this file shares.
local about(by, spec) = { keep: config.keep_firing_for, by: by, dashboard: dashboard, severity: 'warning' } + spec;

alert.group('providers-alerts', [
  alert.new('AiProviderDown', about(byProvider, {
    expr: share(failed, ended, byProvider, '5m', limits.ai_attempts_failed_ratio.critical, limits.ai_provider_failures_min),
    severity: 'critical',
    hold: '3m',
    summary: 'The AI provider {{ $labels.provider }} fails {{ $labels.job }}.',
    description: '{{ $value | humanizePercentage }} of the requests to it in the last 5m ended in a server error, a timeout or no connection.',
  })),
  alert.new('AiProviderErrorsHigh', about(byModel, {
    expr: share(failed, ended, byModel, '10m', limits.ai_attempts_failed_ratio.warning, limits.ai_model_failures_min),
    hold: '10m',
    summary: '{{ $labels.model }} of {{ $labels.provider }} often fails {{ $labels.job }}.',
    description: '{{ $value | humanizePercentage }} of the requests to it in the last 10m ended in a server error, a timeout or no connection.',
  })),
  alert.new('AiRateLimited', about(byModel, {
    expr: share(
      attempts('rate_limited'), ended, byModel, '10m', limits.ai_rate_limited_ratio, limits.ai_rate_limited_min
    ),
    hold: '10m',
    summary: '{{ $labels.provider }} refuses requests of {{ $labels.job }} to {{ $labels.model }} as too many.',
    description: '{{ $value | humanizePercentage }} of the requests to it in the last 10m were answered with 429.',
  })),
  // No share and no number: whoever has no money left is refused every time, and trying again cannot help.
  alert.new('AiQuotaExhausted', about(byProvider, {
    expr: |||
      sum by (job, provider) (increase(%s[10m])) > 0
    ||| % attempts('quota_exhausted'),
    severity: 'critical',
    hold: '1m',
    summary: 'The quota of {{ $labels.job }} at {{ $labels.provider }} is used up.',
    description: 'About {{ $value | humanize }} requests in the last 10m were refused because the balance is empty or a spending limit is reached.',
  })),
  alert.new('AiCredentialsRejected', about(byProvider, {
    // A key that ended is refused nearly every time; one odd 403 among many good answers wakes nobody.
    expr: share(attempts('auth'), ended, byProvider, '10m', limits.ai_auth_ratio, 1),
    severity: 'critical',
    hold: '1m',
    summary: '{{ $labels.provider }} does not accept the key of {{ $labels.job }}.',
    description: '{{ $value | humanizePercentage }} of the requests to it in the last 10m were refused with 401 or 403.',
  })),
  alert.new('AiRateLimitHeadroomLow', about(byModel + ['kind'], {
    expr: |||
      min by (job, provider, model, kind) (claw_ai_ai_ratelimit_remaining_ratio) < %g
    ||| % limits.ai_ratelimit_remaining_ratio,
    hold: '10m',
    summary: 'The rate limit of {{ $labels.job }} for {{ $labels.model }} at {{ $labels.provider }} is nearly reached.',
    description: '{{ $value | humanizePercentage }} of the {{ $labels.kind }} that it allows are left.',
  })),
  alert.new('AiCanaryFailing', about(byModel, {
    expr: |||
      max by (job, provider, model) (max_over_time(claw_ai_canary_success[%s])) == 0
    ||| % limits.ai_canary_window,
    hold: '5m',
    summary: 'No test request to {{ $labels.model }} of {{ $labels.provider }} is answered.',
    description: 'The exporter has tried for %s: success is {{ $value }}.' % limits.ai_canary_window,
  })),
  alert.new('AiAnswerSlow', about(byModel, {
    local p95(offset='') =
      'histogram_quantile(0.95, sum by (job, provider, model, le) (rate(%s_bucket{status="ok"}[30m]%s)))' % [answers, offset],
    local enough(offset='') =
      'sum by (job, provider, model) (increase(%s_count{status="ok"}[30m]%s)) >= %d' % [answers, offset, limits.ai_slower_min_answers],
    expr: |||
      # A fast model may become twice as slow without anybody being hurt.
      (%(now)s > %(floor)s)
      >
      %(factor)g * %(before)s
      and on (job, provider, model)
      %(enough)s
      and on (job, provider, model)
      %(enough_before)s
    ||| % {
      now: p95(),
      before: p95(' offset 1w'),
      floor: bound(answers, limits.ai_slower_floor_seconds),
      factor: limits.ai_slower_factor,
      enough: enough(),
      enough_before: enough(' offset 1w'),
    },
    hold: '15m',
    summary: 'Answers of {{ $labels.model }} to {{ $labels.job }} take much longer than a week ago.',
    description: 'One in twenty of the last 30m took {{ $value | humanizeDuration }} or more, over %g times as long as a week ago.' % limits.ai_slower_factor,
  })),
  alert.new('AiStreamStalls', about(byModel, {
    local long = bound(gaps, limits.ai_stall_seconds),
    expr: |||
      1 -
      sum by (job, provider, model) (rate(%(gaps)s_bucket{le="%(long)s"}[10m]))
      /
      sum by (job, provider, model) (rate(%(gaps)s_count[10m]))
      > %(ratio)g
      and on (job, provider, model)
      sum by (job, provider, model) (increase(%(gaps)s_count[10m]))
      -
      sum by (job, provider, model) (increase(%(gaps)s_bucket{le="%(long)s"}[10m]))
      >= %(min)d
    ||| % { gaps: gaps, long: long, ratio: limits.ai_stalled_ratio, min: limits.ai_stalled_min },
    hold: '10m',
    summary: 'Streamed answers of {{ $labels.model }} to {{ $labels.job }} stop half-way.',
    description: '{{ $value | humanizePercentage }} of the streams in the last 10m were silent for more than %g s before they went on or ended.' % limits.ai_stall_seconds,
  })),
  alert.new('AiStreamsStuck', about(byModel, {
    // Each model for itself: the embeddings of a provider may go on while its chat hangs.
    expr: |||
      sum by (job, provider, model) (claw_ai_ai_in_flight) > %d
      and on (job, provider, model)
      # Ended well: people who leave a stream that hangs end it too.
      sum by (job, provider, model) (rate(%s_count{status="ok"}[5m])) == 0
    ||| % [limits.ai_stuck_calls, answers],
    severity: 'critical',
    hold: '3m',
    summary: 'Calls of {{ $labels.job }} to {{ $labels.model }} of {{ $labels.provider }} hang.',
    description: '{{ $value | humanize }} are open, and not one has ended well in the last 5m.',
  })),
  alert.new('AiFallbackActive', about(byModel, {
    expr: |||
      (
        label_replace(
          sum by (job, from_model) (rate(claw_ai_ai_fallbacks_total[10m])), "model", "$1", "from_model", "(.+)"
        )
        / on (job, model)
        sum by (job, model) (rate(%(answers)s_count[10m]))
      )
      # Who serves the model, so that the outage of its provider mutes this.
      * on (job, model) group_right ()
      group by (job, provider, model) (claw_ai_ai_in_flight)
      > %(ratio)g
      and on (job, model)
      label_replace(
        sum by (job, from_model) (increase(claw_ai_ai_fallbacks_total[10m])), "model", "$1", "from_model", "(.+)"
      )
      >= %(min)d
    ||| % { answers: answers, ratio: limits.ai_fallback_ratio, min: limits.ai_fallback_min },
    hold: '10m',
    summary: 'Another model stands in for {{ $labels.model }} of {{ $labels.job }}.',
    description: 'For {{ $value | humanizePercentage }} of its calls in the last 10m its fallback was asked.',
  })),
  alert.new('AiContextLengthErrors', about(byModel, {
    expr: share(
      attempts('context_length'), ended, byModel, '30m', limits.ai_context_length_ratio, limits.ai_context_length_min
    ),
    hold: '10m',
    summary: '{{ $labels.job }} sends {{ $labels.model }} more than its context holds.',
    description: '{{ $value | humanizePercentage }} of the requests to it in the last 30m were refused as too long.',
  })),
  alert.new('AiRetryAmplification', about(byProvider, {
    expr: share('claw_ai_ai_retries_total', ended, byProvider, '10m', limits.ai_retry_ratio, limits.ai_retry_min),
    hold: '10m',
    summary: '{{ $labels.job }} mostly repeats itself at {{ $labels.provider }}.',
    description: '{{ $value | humanizePercentage }} of the requests to it in the last 10m only repeat one that failed.',
  })),
])
