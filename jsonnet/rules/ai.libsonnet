// AI answers as the dashboards show them, without the instance.
local alert = import '../lib/alert.libsonnet';

alert.group('ai-rules', [
  alert.record(
    'job_model_provider_status:claw_ai_ai_response_duration_seconds_count:rate5m',
    'sum by (job, model, provider, status) (rate(claw_ai_ai_response_duration_seconds_count[5m]))'
  ),
  alert.record(
    'job_model_provider_le:claw_ai_ai_time_to_first_token_seconds_bucket:rate5m',
    'sum by (job, model, provider, le) (rate(claw_ai_ai_time_to_first_token_seconds_bucket[5m]))'
  ),
])
