// AI answers: providers, experience, output, tokens. What they cost is in money.libsonnet.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local answers = 'claw_ai_ai_response_duration_seconds';
local first_token = 'claw_ai_ai_time_to_first_token_seconds';
local token_time = 'claw_ai_ai_time_per_output_token_seconds';
local gap = 'claw_ai_ai_stream_gap_seconds';
local attempts = 'claw_ai_ai_attempts_total';
local tokens = 'claw_ai_ai_tokens_total';
local limits = config.thresholds;

// Over all instances: what the recording rules of rules/ai.libsonnet read once for every panel.
local recorded = {
  answers: 'job_model_provider_status:claw_ai_ai_response_duration_seconds_count:rate5m',
  answer_buckets: 'job_model_provider_le:claw_ai_ai_response_duration_seconds_bucket:rate5m',
  first_token: 'job_model_provider_le:claw_ai_ai_time_to_first_token_seconds_bucket:rate5m',
  token_time: 'job_model_provider_le:claw_ai_ai_time_per_output_token_seconds_bucket:rate5m',
  attempts: 'job_model_provider_outcome:claw_ai_ai_attempts:rate5m',
  ended: 'job_model_provider:claw_ai_ai_attempts_ended:rate5m',
  errors: 'job_model_provider_error_type:claw_ai_ai_errors:rate5m',
  retries: 'job_model_provider:claw_ai_ai_retries:rate5m',
  finish: 'job_model_reason:claw_ai_ai_finish:rate5m',
  tokens: 'job_model_type:claw_ai_ai_tokens:rate5m',
  cost: 'job_model:claw_ai_ai_cost_usd:rate5m',
};

// Part of a whole by some labels; 0, not nothing, while the part has not happened.
local share(by, part, whole) = function(s) |||
  (
    sum by (%(by)s) (%(part)s)
    or
    0 * sum by (%(by)s) (%(whole)s)
  )
  /
  (sum by (%(by)s) (%(whole)s) > 0)
||| % { by: by, part: part(s), whole: whole(s) };

local attempts_of(outcomes) = function(s) s.averaged(recorded.attempts, { 'outcome=~': outcomes });
local asked(s) = s.averaged(recorded.ended);
local tokens_of(type) = function(s) s.averaged(recorded.tokens, { type: type });

{
  // ---- Providers -----------------------------------------------------------------------------------------
  // From which share of good attempts on a provider is in trouble, and down.
  provider_limits:: {
    warning: 1 - limits.ai_attempts_failed_ratio.warning,
    critical: 1 - limits.ai_attempts_failed_ratio.critical,
    below: true,
  },
  // Cancelled attempts are neither good nor bad.
  provider_ok: signal.new({
    title: 'Provider',
    description: 'Share of the HTTP requests to a provider that it answered well. What readers cancelled does not count.',
    unit: 'percentunit',
    by: ['provider'],
    legend: 'provider {{provider}}',
    query:: share('provider', attempts_of('ok'), asked),
  }),
  attempts: signal.new({
    title: 'Attempts by outcome',
    description: 'HTTP requests to providers a second by how they ended, those that an SDK repeats by itself included.',
    unit: 'cps',
    by: ['outcome'],
    query(s):: 'sum by (outcome) (%s) > 0' % s.averaged(recorded.attempts),
  }),
  failed_attempts: signal.new({
    title: 'Failed attempts by provider',
    description: 'HTTP requests to providers that failed, a second, the ten most frequent kinds. Quota and auth do not mend by waiting.',
    unit: 'cps',
    by: ['provider', 'outcome'],
    no_value: 'none failed',
    query(s):: 'topk(10, sum by (provider, outcome) (%s) > 0)' % s.averaged(recorded.attempts, { 'outcome!~': 'ok|cancelled' }),
  }),
  rate_limited: signal.new({
    title: 'Rate limited',
    description: 'Share of the HTTP requests that a provider refused with 429, for want of speed or of money.',
    unit: 'percentunit',
    by: ['provider'],
    thresholds: { warning: limits.ai_rate_limited_ratio },
    query:: share('provider', attempts_of('rate_limited|quota_exhausted'), asked),
  }),
  headroom: signal.new({
    title: 'Rate limit left',
    description: 'Share of a rate limit that is left, by the provider\'s own headers; the tightest model of each provider. It falls before the first 429 comes.',
    unit: 'percentunit',
    by: ['provider', 'kind'],
    thresholds: { warning: limits.ai_ratelimit_remaining_ratio, below: true },
    query(s):: 'bottomk(10, min by (provider, kind) (min_over_time(%s[%s])))' % [
      s.recorded('job_model_provider_kind:claw_ai_ai_ratelimit_remaining_ratio:min'),
      s.range,
    ],
  }),
  repeated: signal.new({
    title: 'Attempts that only repeat',
    description: 'Share of the HTTP requests by which an SDK repeats a failed one: each makes an outage and a bill larger.',
    unit: 'percentunit',
    by: ['provider'],
    thresholds: { warning: limits.ai_retry_ratio },
    query:: share('provider', function(s) s.averaged(recorded.retries), asked),
  }),
  fallbacks: signal.new({
    title: 'Fallbacks a minute',
    description: 'Answers for which another model stepped in, and why; the ten most frequent.',
    unit: 'short',
    by: ['from_model', 'to_model', 'reason'],
    legend: '{{from_model}} → {{to_model}}: {{reason}}',
    no_value: 'no fallback since the start',
    query(s):: 'topk(10, 60 * sum by (from_model, to_model, reason) (%s) > 0)' % s.rate('claw_ai_ai_fallbacks_total'),
  }),
  canary: signal.gauge('claw_ai_canary_duration_seconds', {
    title: 'Canary',
    description: 'Duration of the last small request to each provider, made by the exporter: slow here too means that it is not us.',
    by: ['provider', 'model'],
    aggregate: 'max',
    no_value: 'no canary in exporter.yml',
  }),
  errors: signal.rate('claw_ai_ai_errors_total', {
    title: 'AI errors by kind',
    by: ['error_type'],
    record: 'job_error_type:claw_ai_ai_errors:rate5m',
    no_value: 'no error since the start',
  }),

  // ---- By model ------------------------------------------------------------------------------------------
  model: {
    local column(title, description, unit, query, more={}) = signal.new({
      title: title,
      description: description,
      unit: unit,
      by: ['provider', 'model'],
      query:: query,
    } + more),
    local labels = 'provider, model',
    local quantile(q, record) = function(s) 'histogram_quantile(%g, sum by (provider, model, le) (%s)) >= 0' % [q, s.recorded(record)],
    failed: column('Failed/min', 'Answers that failed, per minute.', 'short', function(s)
      '60 * sum by (%s) (%s)' % [labels, s.recorded(recorded.answers, { status: 'error' })], { thresholds: { warning: 1, critical: 10 } }),
    rate: column('Answers/s', 'Answers a second.', 'cps', function(s)
      'sum by (%s) (%s)' % [labels, s.recorded(recorded.answers)]),
    errors: column('Failed', 'Share of answers that failed.', 'percentunit', function(s) |||
      sum by (%(by)s) (%(bad)s)
      /
      (sum by (%(by)s) (%(all)s) > 0)
    ||| % {
      by: labels,
      bad: s.recorded(recorded.answers, { status: 'error' }),
      all: s.recorded(recorded.answers, { 'status!=': 'cancelled' }),
    }, { thresholds: limits.ai_attempts_failed_ratio }),
    first_token: column('First token p95', 'p95 of the time to the first token.', 's', quantile(0.95, recorded.first_token), {
      thresholds: limits.first_token_p95_seconds,
    }),
    p95: column('Answer p95', 'p95 of the time to the end of an answer.', 's', quantile(0.95, recorded.answer_buckets)),
    speed: column('Tokens/s for the reader', 'Median speed at which a streamed answer comes.', 'suffix: tok/s', function(s)
      '1 / histogram_quantile(0.5, sum by (%s, le) (%s))' % [labels, s.recorded(recorded.token_time)]),
    refused: column('429', 'Share of attempts that the provider refused with 429.', 'percentunit', function(s) |||
      sum by (%(by)s) (%(bad)s)
      /
      (sum by (%(by)s) (%(all)s) > 0)
    ||| % {
      by: labels,
      bad: s.recorded(recorded.attempts, { 'outcome=~': 'rate_limited|quota_exhausted' }),
      all: s.recorded(recorded.attempts),
    }, { thresholds: { warning: limits.ai_rate_limited_ratio } }),
    // Costs know the model only: who serves it, its answers say.
    dollars: column('$/h', 'Dollars an hour.', 'currencyUSD', function(s) |||
      3600 * sum by (model) (%s)
      * on (model) group_right
      group by (%s) (%s)
    ||| % [s.recorded(recorded.cost), labels, s.recorded(recorded.answers)]),
  },

  // ---- Experience ----------------------------------------------------------------------------------------
  first_token_of_all: signal.quantile(0.95, first_token, {
    title: 'First token p95',
    record: 'job_le:claw_ai_ai_time_to_first_token_seconds_bucket:rate5m',
    thresholds: limits.first_token_p95_seconds,
  }),
  local worst_models(quantile) = function(s) 'topk(10, max by (model) (%s))' % s.averaged('job_model_provider:' + quantile),
  local first_token_by_model(q) = signal.new({
    title: 'First token p%d by model' % q,
    description: 'Time to the first part of a streamed answer; the ten slowest models.',
    unit: 's',
    by: ['model'],
    thresholds: limits.first_token_p95_seconds,
    query:: worst_models('%s:p%d_5m' % [first_token, q]),
  }),
  first_token_p50: first_token_by_model(50),
  first_token_p95: first_token_by_model(95),
  p95: signal.new({
    title: 'Answer time p95 by model',
    description: 'Time to the end of an answer; the ten slowest models.',
    unit: 's',
    by: ['model'],
    thresholds: limits.ai_p95_seconds,
    query:: worst_models(answers + ':p95_5m'),
  }),
  buckets: signal.buckets(answers, {
    title: 'How long answers take',
    description: 'Answers by duration; a second band means a second kind of answer. A dot is one answer with its trace.',
    match: { 'status!=': 'cancelled' },
  }),
  speed: signal.new({
    title: 'Tokens a second for the reader',
    description: 'Median speed at which a streamed answer comes after its first token; people read about 5 to 10 tokens a second. The ten slowest models.',
    unit: 'suffix: tok/s',
    by: ['model'],
    query(s):: 'bottomk(10, 1 / max by (model) (%s))' % s.averaged('job_model_provider:%s:p50_5m' % token_time),
  }),
  gap: signal.new({
    title: 'Longest wait within an answer, p99',
    description: 'Longest wait for a part of a streamed answer after its first: a mean per token would hide it. The ten worst models.',
    unit: 's',
    by: ['model'],
    thresholds: { warning: limits.ai_stall_seconds },
    query:: worst_models(gap + ':p99_5m'),
  }),
  in_flight: signal.new({
    title: 'Model calls in flight',
    description: 'Model calls that have not ended.',
    unit: 'short',
    by: ['provider'],
    query(s):: 'sum by (provider) (%s)' % s.averaged('job_model_provider:claw_ai_ai_in_flight:sum'),
  }),
  silence: signal.new({
    title: 'Longest silence',
    description: 'Time since the last sign of the model, of the open call that has waited longest: the histograms see only what ended.',
    unit: 's',
    by: ['provider'],
    thresholds: { warning: limits.ai_stall_seconds },
    query(s):: 'max by (provider) (max_over_time(%s[%s]))' % [s.recorded('job_model_provider:claw_ai_ai_silence_seconds:max'), s.range],
  }),
  answers: signal.new({
    title: 'AI answers by model and status',
    description: 'Answers a second that ended, stacked; cancelled: the reader left.',
    unit: 'cps',
    by: ['model', 'status'],
    // What does not happen only fills the legend.
    query(s):: 'topk(10, sum by (model, status) (%s) > 0)' % s.averaged(recorded.answers),
  }),
  cancelled_after: signal.new({
    title: 'Cancelled answers: seconds waited',
    description: 'Median time after which readers gave up an answer, by model.',
    unit: 's',
    by: ['model'],
    query(s):: 'max by (model) (%s)' % s.averaged('job_model:claw_ai_ai_response_duration_seconds:cancelled_p50_5m'),
  }),

  // ---- Output --------------------------------------------------------------------------------------------
  finish: signal.new({
    title: 'Why models stopped',
    description: 'Answers a second by why the model stopped; length: the answer is cut off.',
    unit: 'cps',
    by: ['reason'],
    query(s):: 'sum by (reason) (%s) > 0' % s.averaged(recorded.finish),
  }),
  unfinished: signal.new({
    title: 'Cut off, refused or filtered',
    description: 'Share of a model\'s answers that ended by length, refusal or content filter; the ten highest.',
    unit: 'percentunit',
    by: ['model'],
    query(s):: 'topk(10, %s)' % share(
      'model', function(s) s.averaged('job_model:claw_ai_ai_finish_cut:rate5m'), function(s) s.averaged('job_model:claw_ai_ai_finish:rate5m')
    )(s),
  }),
  context: signal.new({
    title: 'Context used, p95',
    description: 'Share of the context window that an answer used, prompt and answer together. At 100 % the provider refuses. The ten fullest models.',
    unit: 'percentunit',
    by: ['model'],
    thresholds: { warning: 0.8, critical: 0.95 },
    query(s):: 'topk(10, max by (model) (%s))' % s.averaged('job_model:claw_ai_ai_context_used_ratio:p95_5m'),
  }),

  // ---- Tokens --------------------------------------------------------------------------------------------
  local by_type(record) = signal.rate(tokens, {
    title: 'Tokens a second by type',
    unit: 'suffix:tok/s',
    by: ['type'],
    record: record,
  }),
  tokens: by_type(recorded.tokens),
  tokens_of_all: by_type('job_type:claw_ai_ai_tokens:rate5m'),
  tokens_by_model: signal.new({
    title: 'Tokens a second by model',
    description: 'All types together; the ten models that use most.',
    unit: 'suffix: tok/s',
    by: ['model'],
    query(s):: 'topk(10, sum by (model) (%s) > 0)' % s.averaged('job_model:claw_ai_ai_tokens:rate5m'),
  }),
  tokens_per_answer: signal.new({
    title: 'Tokens per answer',
    description: 'Tokens for each answer, the ten highest models. A jump means a longer prompt, a history that is not cut, or pasted tool output.',
    unit: 'suffix: tok',
    by: ['model'],
    query(s):: |||
      topk(
        10,
        sum by (model) (%s)
        /
        (sum by (model) (%s) > 0)
      )
    ||| % [s.averaged('job_model:claw_ai_ai_tokens:rate5m'), s.averaged('job_model_provider:claw_ai_ai_answers_ended:rate5m')],
  }),
  cached: signal.new({
    title: 'input from the cache',
    description: 'Share of input tokens that a prompt cache served, and share of output tokens that were thought, not shown.',
    unit: 'percentunit',
    query(s):: 'sum(%s) / (sum(%s) > 0)' % [tokens_of('cache_read')(s), s.averaged('job_model:claw_ai_ai_tokens_read:rate5m')],
  }),
  reasoning: signal.new({
    title: 'output that is reasoning',
    description: 'Share of output tokens that were thought, not shown.',
    unit: 'percentunit',
    query(s):: 'sum(%s) / (sum(%s) > 0)' % [tokens_of('reasoning')(s), s.averaged('job_model:claw_ai_ai_tokens_written:rate5m')],
  }),

  // ---- What people do ------------------------------------------------------------------------------------
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
  dollars_an_hour: (import 'money.libsonnet').dollars_an_hour,
}
