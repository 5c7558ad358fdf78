// Quantiles per endpoint, for tables and rankings: a dashboard that worked them out itself would read every bucket of
// every endpoint. Over all instances, from the recorded buckets of http.libsonnet.
local alert = import '../lib/alert.libsonnet';

local quantile(q, metric) = alert.record(
  'job_endpoint:%s:p%d_5m' % [metric, q * 100],
  // Where nothing was asked a quantile is NaN, which is no number to show.
  'histogram_quantile(%g, job_endpoint_le:%s_bucket:rate5m) >= 0' % [q, metric]
);

alert.group('dashboards-rules', [
  quantile(0.5, 'claw_ai_http_request_duration_seconds'),
  quantile(0.95, 'claw_ai_http_request_duration_seconds'),
  quantile(0.95, 'claw_ai_http_time_to_first_byte_seconds'),
])
