-- A page of one tenant's executions, newest start first, from the position (before_us, before_id) down to since_us.
-- What they said is read for the rows of the page only.
SELECT
  toUnixTimestamp64Micro(started_at) AS ts_us,
  execution_id AS id,
  project_id,
  agent_id,
  agent_name,
  node_id,
  round_index,
  if(isNull(ended_at), NULL, toUnixTimestamp64Micro(assumeNotNull(ended_at))) AS ended_us,
  duration_us,
  toString(status) AS status,
  content,
  error_message,
  llm_calls,
  total_tokens,
  total_cost_nano_usd
FROM stg_executions FINAL
WHERE tenant_id = {tenant_id:UInt32}
  AND execution_id IN (
    SELECT execution_id
    FROM stg_executions FINAL
    WHERE tenant_id = {tenant_id:UInt32}
      AND started_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
      AND (started_at, execution_id) < (fromUnixTimestamp64Micro({before_us:Int64}, 'UTC'), unhex({before_id:String}))
      AND ({project:String} = '' OR project_id = {project:String})
      AND ({agent:String} = '' OR agent_name = {agent:String} OR agent_id = {agent:String})
      AND ({status:String} = '' OR toString(status) = {status:String})
    ORDER BY started_at DESC, execution_id DESC
    LIMIT {rows:UInt32}
  )
ORDER BY started_at DESC, execution_id DESC
LIMIT {rows:UInt32}
