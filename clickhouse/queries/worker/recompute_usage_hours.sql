-- Works out buckets (tenant, hour) of mart_usage_hour anew, whole, from what is stored now. A bucket is the n-th of
-- `tenants` with the n-th of `hours` (seconds since 1970); all lie in [from_hour, until_hour).
-- The second half gives each row that a bucket has already another zero: what is not found any more is written with
-- calls = 0, and what is found gets a higher `ver` than before, even if the clock was set back.
INSERT INTO mart_usage_hour
WITH
  arrayZip({tenants:Array(UInt32)}, arrayMap(seconds -> toDateTime(seconds, 'UTC'), {hours:Array(UInt32)})) AS buckets
SELECT
  tenant_id,
  hour,
  project_id,
  dimension,
  key,
  sum(part_calls) AS calls,
  sum(part_input_tokens) AS input_tokens,
  sum(part_output_tokens) AS output_tokens,
  sum(part_total_tokens) AS total_tokens,
  sum(part_cost_nano_usd) AS cost_nano_usd,
  sum(part_duration_us) AS duration_us,
  greatest({now_us:UInt64}, max(part_ver) + 1) AS ver
FROM (
  SELECT
    tenant_id,
    hour,
    toString(project_id) AS project_id,
    entry.1 AS dimension,
    entry.2 AS key,
    sum(one_calls) AS part_calls,
    sum(one_input_tokens) AS part_input_tokens,
    sum(one_output_tokens) AS part_output_tokens,
    sum(one_total_tokens) AS part_total_tokens,
    sum(one_cost_nano_usd) AS part_cost_nano_usd,
    sum(one_duration_us) AS part_duration_us,
    toUInt64(0) AS part_ver
  FROM (
    SELECT
      tenant_id,
      toStartOfHour(ts) AS hour,
      project_id,
      agent_name,
      model_name,
      count() AS one_calls,
      sum(input_tokens) AS one_input_tokens,
      sum(output_tokens) AS one_output_tokens,
      sum(total_tokens) AS one_total_tokens,
      sum(cost_nano_usd) AS one_cost_nano_usd,
      sum(duration_us) AS one_duration_us
    FROM stg_usage FINAL
    WHERE ts >= toDateTime({from_hour:UInt32}, 'UTC')
      AND ts < toDateTime({until_hour:UInt32}, 'UTC')
      AND (tenant_id, toStartOfHour(ts)) IN (SELECT arrayJoin(buckets))
    GROUP BY tenant_id, hour, project_id, agent_name, model_name
  )
  ARRAY JOIN [('all', ''), ('agent', toString(agent_name)), ('model', toString(model_name))] AS entry
  GROUP BY tenant_id, hour, project_id, dimension, key

  UNION ALL

  SELECT
    tenant_id,
    hour,
    toString(project_id) AS project_id,
    toString(dimension) AS dimension,
    toString(key) AS key,
    toUInt64(0) AS part_calls,
    toUInt64(0) AS part_input_tokens,
    toUInt64(0) AS part_output_tokens,
    toUInt64(0) AS part_total_tokens,
    toUInt64(0) AS part_cost_nano_usd,
    toUInt64(0) AS part_duration_us,
    max(ver) AS part_ver
  FROM mart_usage_hour
  WHERE hour >= toDateTime({from_hour:UInt32}, 'UTC')
    AND hour < toDateTime({until_hour:UInt32}, 'UTC')
    AND (tenant_id, hour) IN (SELECT arrayJoin(buckets))
  GROUP BY tenant_id, hour, project_id, dimension, key
)
GROUP BY tenant_id, hour, project_id, dimension, key
