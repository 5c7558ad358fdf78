-- One tenant's sums over [start_us, end_us): all together, by agent and by model.
-- Whole hours [mart_from_us, mart_until_us) come from the mart, the rest from the calls themselves. The mart knows no
-- pairs of agent and model: who filters by either passes mart_from_us = mart_until_us.
SELECT
  dimension,
  key,
  sum(part_calls) AS calls,
  sum(part_tokens) AS tokens,
  sum(part_cost_nano_usd) AS cost_nano_usd,
  sum(part_duration_us) AS duration_us
FROM (
  SELECT
    toString(dimension) AS dimension,
    toString(key) AS key,
    sum(calls) AS part_calls,
    sum(total_tokens) AS part_tokens,
    sum(cost_nano_usd) AS part_cost_nano_usd,
    sum(duration_us) AS part_duration_us
  FROM mart_usage_hour FINAL
  WHERE tenant_id = {tenant_id:UInt32}
    AND hour >= toDateTime(intDiv({mart_from_us:Int64}, 1000000), 'UTC')
    AND hour < toDateTime(intDiv({mart_until_us:Int64}, 1000000), 'UTC')
    AND ({project:String} = '' OR project_id = {project:String})
  GROUP BY dimension, key

  UNION ALL

  SELECT
    entry.1 AS dimension,
    entry.2 AS key,
    sum(calls) AS part_calls,
    sum(tokens) AS part_tokens,
    sum(nano_usd) AS part_cost_nano_usd,
    sum(us) AS part_duration_us
  FROM (
    SELECT
      agent_name,
      model_name,
      count() AS calls,
      sum(total_tokens) AS tokens,
      sum(cost_nano_usd) AS nano_usd,
      sum(duration_us) AS us
    FROM stg_usage FINAL
    WHERE tenant_id = {tenant_id:UInt32}
      AND ts >= fromUnixTimestamp64Micro({start_us:Int64}, 'UTC')
      AND ts < fromUnixTimestamp64Micro({end_us:Int64}, 'UTC')
      AND (
        ts < fromUnixTimestamp64Micro({mart_from_us:Int64}, 'UTC')
        OR ts >= fromUnixTimestamp64Micro({mart_until_us:Int64}, 'UTC')
      )
      AND ({project:String} = '' OR project_id = {project:String})
      AND ({agent:String} = '' OR agent_name = {agent:String} OR agent_id = {agent:String})
      AND ({model:String} = '' OR model_name = {model:String})
    GROUP BY agent_name, model_name
  )
  ARRAY JOIN [('all', ''), ('agent', toString(agent_name)), ('model', toString(model_name))] AS entry
  GROUP BY dimension, key
)
GROUP BY dimension, key
HAVING calls > 0
ORDER BY dimension, tokens DESC, key
LIMIT {rows:UInt32} BY dimension
