// AI answers as the dashboards show them, without the instance.
local config = import '../config.libsonnet';
local alert = import '../lib/alert.libsonnet';

local of_provider = ['job', 'model', 'provider'];

alert.group('ai-rules', [
  alert.rate(of_provider + ['status'], 'claw_ai_ai_response_duration_seconds_count'),
  alert.record(
    'job_model_provider:claw_ai_ai_answers:rate5m',
    'sum by (job, model, provider) (job_model_provider_status:claw_ai_ai_response_duration_seconds_count:rate5m)'
  ),
  alert.record(
    'job_model_provider:claw_ai_ai_answers_ended:rate5m',
    'sum by (job, model, provider) (job_model_provider_status:claw_ai_ai_response_duration_seconds_count:rate5m{status!="cancelled"})'
  ),
  // What readers left unfinished says nothing about how long an answer takes.
  alert.rate(of_provider + ['le'], 'claw_ai_ai_response_duration_seconds_bucket', '{status!="cancelled"}'),
  alert.record('job_model:claw_ai_ai_response_duration_seconds:cancelled_p50_5m', |||
    histogram_quantile(
      0.5,
      sum by (job, model, le) (rate(claw_ai_ai_response_duration_seconds_bucket{status="cancelled"}[5m]))
    ) >= 0
  |||),
  alert.rate(of_provider + ['le'], 'claw_ai_ai_time_to_first_token_seconds_bucket'),
  alert.rate(of_provider + ['le'], 'claw_ai_ai_time_per_output_token_seconds_bucket'),
  alert.rate(of_provider + ['le'], 'claw_ai_ai_stream_gap_seconds_bucket'),
  alert.rate(of_provider + ['outcome'], 'claw_ai_ai_attempts_total'),
  // What parts are divided by is of the same moment as the parts: in another group the share would exceed 1, or fall
  // short of it, whenever the traffic changes. What readers cancelled was neither answered nor refused.
  alert.record(
    'job_model_provider:claw_ai_ai_attempts_ended:rate5m',
    'sum by (job, model, provider) (job_model_provider_outcome:claw_ai_ai_attempts:rate5m{outcome!="cancelled"})'
  ),
  alert.rate(of_provider, 'claw_ai_ai_retries_total'),
  alert.rate(of_provider + ['error_type'], 'claw_ai_ai_errors_total'),
  alert.record(
    'job_error_type:claw_ai_ai_errors:rate5m',
    'sum by (job, error_type) (job_model_provider_error_type:claw_ai_ai_errors:rate5m)'
  ),
  alert.rate(['job', 'model', 'reason'], 'claw_ai_ai_finish_total'),
  alert.record('job_model:claw_ai_ai_finish:rate5m', 'sum by (job, model) (job_model_reason:claw_ai_ai_finish:rate5m)'),
  alert.record(
    'job_model:claw_ai_ai_finish_cut:rate5m',
    'sum by (job, model) (job_model_reason:claw_ai_ai_finish:rate5m{reason=~"length|refusal|content_filter"})'
  ),
  alert.rate(['job', 'model', 'le'], 'claw_ai_ai_context_used_ratio_bucket'),
  alert.rate(['job', 'model', 'type'], 'claw_ai_ai_tokens_total'),
  alert.record('job_type:claw_ai_ai_tokens:rate5m', 'sum by (job, type) (job_model_type:claw_ai_ai_tokens:rate5m)'),
  alert.record('job_model:claw_ai_ai_tokens:rate5m', 'sum by (job, model) (job_model_type:claw_ai_ai_tokens:rate5m)'),
  alert.record(
    'job_model:claw_ai_ai_tokens_read:rate5m',
    'sum by (job, model) (job_model_type:claw_ai_ai_tokens:rate5m{type=~"input|cache_read|cache_write"})'
  ),
  alert.record(
    'job_model:claw_ai_ai_tokens_written:rate5m',
    'sum by (job, model) (job_model_type:claw_ai_ai_tokens:rate5m{type=~"output|reasoning"})'
  ),
  alert.rate(['job', 'model'], 'claw_ai_ai_cost_usd_total'),
  alert.rate(['job', 'model'], 'claw_ai_ai_unpriced_tokens_total'),
  alert.rate(['job', 'model'], 'claw_ai_ai_usage_missing_total'),
  alert.record('job_model_provider:claw_ai_ai_in_flight:sum', 'sum by (job, model, provider) (claw_ai_ai_in_flight)'),
  alert.record('job_model_provider:claw_ai_ai_silence_seconds:max', 'max by (job, model, provider) (claw_ai_ai_silence_seconds)'),
  alert.record(
    'job_model_provider_kind:claw_ai_ai_ratelimit_remaining_ratio:min',
    'min by (job, model, provider, kind) (claw_ai_ai_ratelimit_remaining_ratio)'
  ),
  alert.record('job:claw_ai_ai_cost_usd:rate5m', 'sum by (job) (job_model:claw_ai_ai_cost_usd:rate5m)'),
], config.intervals.recording)
