// What alerts compare with another time, without instances and endpoints: they look back a day or a week, and would read
// thousands of series there.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

alert.group('traffic-rules', [
  alert.record(
    'job:claw_ai_http_requests:rate5m',
    'sum by (job) (job_endpoint:claw_ai_http_requests:rate5m{endpoint!~"%s"})' % config.health_endpoints
  ),
  // 0, not nothing, where requests come and nobody left: the mean of a day counts those hours too.
  alert.record('job:claw_ai_http_abandoned:ratio_rate5m', |||
    (
      sum by (job) (job_endpoint_status:claw_ai_http_requests:rate5m{status="499"})
      or
      0 * sum by (job) (job_endpoint:claw_ai_http_requests:rate5m)
    )
    /
    (sum by (job) (job_endpoint:claw_ai_http_requests:rate5m) > 0)
  |||),
  alert.record(
    'job:claw_ai_log_errors:rate5m',
    'sum by (job) (rate(claw_ai_log_records_total{level=~"error|critical"}[5m]))'
  ),
])
