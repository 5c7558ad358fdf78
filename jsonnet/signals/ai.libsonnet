// AI answers: experience, failures, tokens, money.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local answers = 'claw_ai_ai_response_duration_seconds';
local limits = config.thresholds;

{
  first_token_p95: signal.quantile(0.95, 'claw_ai_ai_time_to_first_token_seconds', {
    title: 'First token p95',
    thresholds: limits.first_token_p95_seconds,
  }),
  p95: signal.quantile(0.95, answers, {
    title: 'Answer time p95 by model',
    by: ['model'],
    thresholds: limits.ai_p95_seconds,
  }),
  answers: signal.new({
    title: 'AI answers by model and status',
    description: 'Answers a second that ended, stacked; cancelled: the reader left.',
    unit: 'cps',
    by: ['model', 'status'],
    // What does not happen only fills the legend.
    query(s):: 'sum by (model, status) (%s) > 0' % s.rate(answers + '_count'),
  }),
  errors: signal.rate('claw_ai_ai_errors_total', {
    title: 'AI errors by kind',
    by: ['error_type'],
    no_value: 'no error since the start',
  }),
  // Cancelled answers are neither good nor bad.
  provider_ok: signal.new({
    title: 'Provider',
    description: 'Share of a provider\'s answers that were good.',
    unit: 'percentunit',
    by: ['provider'],
    legend: 'provider {{provider}}',
    query(s):: |||
      sum by (provider) (%(good)s)
      /
      sum by (provider) (%(ended)s)
    ||| % {
      good: s.rate(answers + '_count', { status: 'ok' }),
      ended: s.rate(answers + '_count', { 'status!=': 'cancelled' }),
    },
  }),
  tokens: signal.rate('claw_ai_ai_tokens_total', {
    title: 'Tokens a second by type',
    unit: 'suffix:tok/s',
    by: ['type'],
  }),
  in_flight: signal.gauge('claw_ai_ai_in_flight', {
    title: 'Model calls in flight',
    by: ['provider'],
  }),
  dollars_an_hour: signal.new({
    title: 'Dollars an hour',
    description: 'Cost of the tokens used, by the configured price table, extrapolated to an hour.',
    unit: 'currencyUSD',
    query(s):: '3600 * sum(%s)' % s.rate('claw_ai_ai_cost_usd_total'),
  }),
  cancelled_after: signal.quantile(0.5, answers, {
    title: 'Cancelled answers: seconds waited',
    description: 'Median time after which readers gave up an answer, by model.',
    match: { status: 'cancelled' },
    by: ['model'],
  }),
  conversations: signal.new({
    title: 'conversations',
    description: 'Conversations created and messages written, per minute.',
    unit: 'short',
    query(s):: '60 * sum(%s)' % s.rate('claw_ai_conversations_total', { status: 'created' }),
  }),
  messages: signal.new({
    title: 'messages',
    description: 'Messages written per minute, by author.',
    unit: 'short',
    by: ['role'],
    legend: '{{role}} messages',
    query(s):: '60 * sum by (role) (%s)' % s.rate('claw_ai_messages_total'),
  }),
}
