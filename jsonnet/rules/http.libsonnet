// HTTP as the dashboards show it: rates by endpoint, and by instance, so that a panel reads tens of series, not the
// thousands of both.
local config = import '../config.libsonnet';
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
    'job_instance:claw_ai_http_requests:rate5m',
    'sum by (job, instance) (job_instance_status:claw_ai_http_requests:rate5m)'
  ),
  // 0, not nothing, where requests come and none fails.
  alert.record('job_instance:claw_ai_http_requests_failed:rate5m', |||
    sum by (job, instance) (job_instance_status:claw_ai_http_requests:rate5m{status=~"5.."})
    or
    0 * job_instance:claw_ai_http_requests:rate5m
  |||),
  alert.record(
    'job_endpoint:claw_ai_http_requests:rate5m',
    'sum by (job, endpoint) (job_endpoint_status:claw_ai_http_requests:rate5m)'
  ),
  alert.record(
    'job_status:claw_ai_http_requests:rate5m',
    'sum by (job, status) (job_endpoint_status:claw_ai_http_requests:rate5m)'
  ),
  alert.record(
    'job_endpoint_le:claw_ai_http_request_duration_seconds_bucket:rate5m',
    'sum by (job, endpoint, le) (rate(claw_ai_http_request_duration_seconds_bucket[5m]))'
  ),
  alert.record(
    'job_endpoint_le:claw_ai_http_time_to_first_byte_seconds_bucket:rate5m',
    'sum by (job, endpoint, le) (rate(claw_ai_http_time_to_first_byte_seconds_bucket[5m]))'
  ),
  alert.rate(['job', 'endpoint', 'le'], 'claw_ai_websocket_duration_seconds_bucket'),
  alert.rate(['job', 'close_code'], 'claw_ai_websocket_duration_seconds_count'),
], config.intervals.recording)
