-- One tenant's sums by period over [start_us, end_us); hours come from where usage_summary.sql takes them.
-- A period is the second it begins with: they are size_seconds long, and one of them begins at offset_seconds.
SELECT
  intDiv(toInt64(at_seconds) - {offset_seconds:Int64}, {size_seconds:Int64}) * {size_seconds:Int64}
    + {offset_seconds:Int64} AS period_seconds,
  sum(part_calls) AS calls,
  sum(part_tokens) AS tokens,
  sum(part_cost_nano_usd) AS cost_nano_usd
FROM (
  SELECT
    toUnixTimestamp(hour) AS at_seconds,
    sum(calls) AS part_calls,
    sum(total_tokens) AS part_tokens,
    sum(cost_nano_usd) AS part_cost_nano_usd
  FROM mart_usage_hour FINAL
  WHERE tenant_id = {tenant_id:UInt32}
    AND dimension = 'all'
    AND hour >= toDateTime(intDiv({mart_from_us:Int64}, 1000000), 'UTC')
    AND hour < toDateTime(intDiv({mart_until_us:Int64}, 1000000), 'UTC')
    AND ({project:String} = '' OR project_id = {project:String})
  GROUP BY at_seconds

  UNION ALL

  SELECT
    toUnixTimestamp(toStartOfHour(ts)) AS at_seconds,
    count() AS part_calls,
    sum(total_tokens) AS part_tokens,
    sum(cost_nano_usd) AS part_cost_nano_usd
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
  GROUP BY at_seconds
)
GROUP BY period_seconds
HAVING calls > 0
ORDER BY period_seconds
