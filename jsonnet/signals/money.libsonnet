// What answers cost, against what they may cost.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local rate = 'job_model:claw_ai_ai_cost_usd:rate5m';

// A budget is set by every instance alike.
local budget(s, period) = 'max by (job) (%s)' % s.of('claw_ai_ai_budget_usd', { period: period, scope: 'all' });
local of_budget(title, period, window) = signal.new({
  title: title,
  description: 'Spent within the last %s, as a share of the budget of a %s. Spending that Prometheus did not see is not in it.' % [window, period],
  unit: 'percentunit',
  thresholds: config.thresholds.ai_budget_spent_ratio,
  no_value: 'no budget for a ' + period,
  query(s):: 'max(%s / on (job) %s)' % [s.recorded('job:claw_ai_ai_cost_usd:sum' + window), budget(s, period)],
});

{
  dollars_an_hour: signal.new({
    title: 'Dollars an hour',
    description: 'Cost of the tokens used, by the configured price table, extrapolated to an hour.',
    unit: 'currencyUSD',
    query(s):: '3600 * sum(%s)' % s.averaged(rate),
  }),
  by_model: signal.new({
    title: 'Dollars an hour by model',
    description: 'Cost of the tokens used, by the configured price table, extrapolated to an hour; the ten dearest models.',
    unit: 'currencyUSD',
    by: ['model'],
    query(s):: 'topk(10, 3600 * sum by (model) (%s) > 0)' % s.averaged(rate),
  }),
  spent_day: signal.new({
    title: 'Spent in 24 h',
    description: 'Cost of the last 24 hours, as far as Prometheus saw it.',
    unit: 'currencyUSD',
    query(s):: 'sum(%s)' % s.recorded('job:claw_ai_ai_cost_usd:sum1d'),
  }),
  forecast: signal.new({
    title: 'at this pace',
    description: 'Cost of 30 days if they are like the last 24 hours.',
    unit: 'currencyUSD',
    query(s):: '30 * 86400 * sum(%s)' % s.recorded('job:claw_ai_ai_cost_usd:avg1d'),
  }),
  month: signal.new({
    title: 'budget',
    description: 'What may be spent in a month.',
    unit: 'currencyUSD',
    query(s):: 'sum(%s)' % budget(s, 'month'),
  }),
  day_budget: of_budget('Day\'s budget used', 'day', '1d'),
  month_budget: of_budget('Month\'s budget used', 'month', '30d'),
  per_answer: signal.new({
    title: 'an answer',
    description: 'Cost of the tokens for each answer, and for each conversation begun.',
    unit: 'currencyUSD',
    query(s):: 'sum(%s) / (sum(%s) > 0)' % [
      s.averaged(rate),
      s.averaged('job_model_provider:claw_ai_ai_answers:rate5m'),
    ],
  }),
  per_conversation: signal.new({
    title: 'a conversation',
    description: 'Cost of the tokens for each conversation begun.',
    unit: 'currencyUSD',
    query(s):: 'sum(%s) / (sum(%s) > 0)' % [s.averaged(rate), s.rate('claw_ai_conversations_total', { status: 'created' })],
  }),
  unpriced: signal.new({
    title: 'tokens without a price',
    description: 'Tokens a minute of models that the price table does not know, and answers a minute that told no usage: both make the cost read low.',
    unit: 'short',
    query(s):: '60 * sum(%s)' % s.averaged('job_model:claw_ai_ai_unpriced_tokens:rate5m'),
  }),
  usage_missing: signal.new({
    title: 'answers without usage',
    description: 'Answers a minute that ended well without telling their tokens.',
    unit: 'short',
    query(s):: '60 * sum(%s)' % s.averaged('job_model:claw_ai_ai_usage_missing:rate5m'),
  }),
}
