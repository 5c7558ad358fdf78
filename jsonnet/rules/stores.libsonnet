// Stores and pools as the application sees them, without the instance.
local config = import '../config.libsonnet';
local alert = import '../lib/alert.libsonnet';

local of_store(metric) = [
  alert.rate(['job', 'operation', 'le'], metric + '_bucket'),
  alert.rate(['job', 'operation', 'status'], metric + '_count'),
  alert.rate(['job', 'operation'], metric + '_sum'),
];

alert.group(
  'stores-rules',
  of_store('claw_ai_db_operation_duration_seconds')
  + of_store('claw_ai_redis_operation_duration_seconds')
  + of_store('claw_ai_vector_db_operation_duration_seconds')
  + [
    alert.rate(['job', 'operation'], 'claw_ai_vector_db_operation_duration_seconds_count'),
    alert.rate(['job', 'pool', 'le'], 'claw_ai_db_pool_wait_seconds_bucket'),
    alert.rate(['job', 'index', 'le'], 'claw_ai_retrieval_results_bucket'),
    // What the time of a request is made of.
    alert.rate(['job'], 'claw_ai_http_request_duration_seconds_sum'),
    alert.rate(['job'], 'claw_ai_http_request_duration_seconds_count'),
    alert.rate(['job'], 'claw_ai_ai_response_duration_seconds_sum'),
  ],
  config.intervals.recording
)
