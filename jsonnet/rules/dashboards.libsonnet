// Numbers of few series, for panels that show a month: one that worked them out itself would read every bucket of every
// endpoint, model or operation, some of them half a second long. Over all instances, from what http.libsonnet,
// ai.libsonnet and stores.libsonnet record.
local config = import '../config.libsonnet';
local alert = import '../lib/alert.libsonnet';

local quantile(level, q, metric) = alert.record(
  '%s:%s:p%d_5m' % [level, metric, q * 100],
  // Where nothing was asked a quantile is NaN, which is no number to show.
  'histogram_quantile(%g, %s_le:%s_bucket:rate5m) >= 0' % [q, level, metric]
);

// Buckets of all endpoints or models together.
local together(level, metric, match='') = alert.record(
  'job_le:%s_bucket:rate5m' % metric,
  'sum by (job, le) (%s_le:%s_bucket:rate5m%s)' % [level, metric, match]
);

alert.group('dashboards-rules', [
  quantile('job_endpoint', 0.5, 'claw_ai_http_request_duration_seconds'),
  quantile('job_endpoint', 0.95, 'claw_ai_http_request_duration_seconds'),
  quantile('job_endpoint', 0.95, 'claw_ai_http_time_to_first_byte_seconds'),
  quantile('job_endpoint', 0.5, 'claw_ai_websocket_duration_seconds'),
  // How long a stream takes says nothing about how fast it is: streams are judged by their first byte.
  together('job_endpoint', 'claw_ai_http_request_duration_seconds', '{endpoint!~"%s"}' % config.streaming_endpoints),
  together('job_endpoint', 'claw_ai_http_time_to_first_byte_seconds', '{endpoint=~"%s"}' % config.streaming_endpoints),

  quantile('job_model_provider', 0.95, 'claw_ai_ai_response_duration_seconds'),
  quantile('job_model_provider', 0.5, 'claw_ai_ai_time_to_first_token_seconds'),
  quantile('job_model_provider', 0.95, 'claw_ai_ai_time_to_first_token_seconds'),
  quantile('job_model_provider', 0.5, 'claw_ai_ai_time_per_output_token_seconds'),
  quantile('job_model_provider', 0.99, 'claw_ai_ai_stream_gap_seconds'),
  together('job_model_provider', 'claw_ai_ai_time_to_first_token_seconds'),
  quantile('job_model', 0.95, 'claw_ai_ai_context_used_ratio'),

  quantile('job_operation', 0.95, 'claw_ai_db_operation_duration_seconds'),
  quantile('job_operation', 0.95, 'claw_ai_redis_operation_duration_seconds'),
  quantile('job_operation', 0.95, 'claw_ai_vector_db_operation_duration_seconds'),
  quantile('job_pool', 0.95, 'claw_ai_db_pool_wait_seconds'),
  together('job_agent', 'claw_ai_agent_run_steps'),
], config.intervals.recording)
