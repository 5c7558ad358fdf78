-- A page of one tenant's calls, newest first, from the position (before_us, before_id) down to since_us.
-- A position without an id lies just below every row of its microsecond.
SELECT
  toUnixTimestamp64Micro(ts) AS ts_us,
  lower(hex(event_id)) AS id,
  project_id,
  agent_id,
  agent_name,
  model_name,
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read_tokens,
  cache_write_tokens,
  reasoning_tokens,
  cost_nano_usd,
  toString(cost_source) AS cost_source,
  duration_us,
  span_id
FROM stg_usage FINAL
WHERE tenant_id = {tenant_id:UInt32}
  AND ts >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  AND ts <= fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')
  AND (ts, event_id) < (fromUnixTimestamp64Micro({before_us:Int64}, 'UTC'), toFixedString(unhex({before_id:String}), 16))
  AND ({project:String} = '' OR project_id = {project:String})
  AND ({agent:String} = '' OR agent_name = {agent:String} OR agent_id = {agent:String})
  AND ({model:String} = '' OR model_name = {model:String})
ORDER BY ts DESC, event_id DESC
LIMIT {rows:UInt32}
