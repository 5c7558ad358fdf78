// HTTP as the dashboards show it: rates by endpoint, and by instance, so that a panel reads tens of series, not the
// thousands of both.
local alert = import '../lib/alert.libsonnet';

alert.group('http-rules', [
  alert.record(
    'job_endpoint_status:claw_ai_http_requests:rate5m',
    'sum by (job, endpoint, status) (rate(claw_ai_http_requests_total[5m]))'
  ),
  alert.record(
    'job_instance_status:claw_ai_http_requests:rate5m',
    'sum by (job, instance, status) (rate(claw_ai_http_requests_total[5m]))'
  ),
  alert.record(
    'job_endpoint:claw_ai_http_requests:rate5m',
    'sum by (job, endpoint) (job_endpoint_status:claw_ai_http_requests:rate5m)'
  ),
  alert.record(
    'job_endpoint_le:claw_ai_http_request_duration_seconds_bucket:rate5m',
    'sum by (job, endpoint, le) (rate(claw_ai_http_request_duration_seconds_bucket[5m]))'
  ),
  alert.record(
    'job_endpoint_le:claw_ai_http_time_to_first_byte_seconds_bucket:rate5m',
    'sum by (job, endpoint, le) (rate(claw_ai_http_time_to_first_byte_seconds_bucket[5m]))'
  ),
])
