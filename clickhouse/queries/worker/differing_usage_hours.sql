-- Buckets of [from_hour, until_hour) whose sums in the mart are not those of the calls that are stored: by agent, by
-- model or all together. What was loaded and not yet summed up is among them.
SELECT
  tenant_id,
  hour_seconds
FROM (
  SELECT
    tenant_id,
    toUnixTimestamp(toStartOfHour(ts)) AS hour_seconds,
    toString(project_id) AS project,
    entry.1 AS dimension_name,
    entry.2 AS key_name,
    toInt64(count()) AS calls_more,
    toInt64(sum(total_tokens)) AS tokens_more,
    toInt64(sum(cost_nano_usd)) AS nano_usd_more,
    toInt64(sum(duration_us)) AS us_more
  FROM stg_usage FINAL
  ARRAY JOIN [('all', ''), ('agent', toString(agent_name)), ('model', toString(model_name))] AS entry
  WHERE ts >= toDateTime({from_hour:UInt32}, 'UTC') AND ts < toDateTime({until_hour:UInt32}, 'UTC')
  GROUP BY tenant_id, hour_seconds, project, dimension_name, key_name

  UNION ALL

  SELECT
    tenant_id,
    toUnixTimestamp(hour) AS hour_seconds,
    toString(project_id) AS project,
    toString(dimension) AS dimension_name,
    toString(key) AS key_name,
    -toInt64(calls) AS calls_more,
    -toInt64(total_tokens) AS tokens_more,
    -toInt64(cost_nano_usd) AS nano_usd_more,
    -toInt64(duration_us) AS us_more
  FROM mart_usage_hour FINAL
  WHERE hour >= toDateTime({from_hour:UInt32}, 'UTC') AND hour < toDateTime({until_hour:UInt32}, 'UTC')
)
GROUP BY tenant_id, hour_seconds, project, dimension_name, key_name
HAVING sum(calls_more) != 0 OR sum(tokens_more) != 0 OR sum(nano_usd_more) != 0 OR sum(us_more) != 0
ORDER BY tenant_id, hour_seconds
LIMIT 1 BY tenant_id, hour_seconds
