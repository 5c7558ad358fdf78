-- A page of one tenant's events, newest first, from the position (before_us, before_id) down to since_us.
-- What they say is read for the rows of the page only.
SELECT
  toUnixTimestamp64Micro(ts) AS ts_us,
  lower(hex(event_id)) AS id,
  event_type,
  project_id,
  agent_id,
  node_id,
  message,
  metadata
FROM stg_timeline FINAL
WHERE tenant_id = {tenant_id:UInt32}
  AND ts >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  AND ts <= fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')
  AND (project_id, ts, event_id) IN (
    SELECT project_id, ts, event_id
    FROM stg_timeline FINAL
    WHERE tenant_id = {tenant_id:UInt32}
      AND ts >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
      AND ts <= fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')
      AND (ts, event_id) < (
        fromUnixTimestamp64Micro({before_us:Int64}, 'UTC'),
        toFixedString(unhex({before_id:String}), 16)
      )
      AND ({project:String} = '' OR project_id = {project:String})
      AND ({agent:String} = '' OR agent_id = {agent:String})
      AND ({event_type:String} = '' OR event_type = {event_type:String})
    ORDER BY ts DESC, event_id DESC
    LIMIT {rows:UInt32}
  )
ORDER BY ts DESC, event_id DESC
LIMIT {rows:UInt32}
