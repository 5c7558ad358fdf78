-- Buckets of mart_usage_hour whose calls were received in the last `window_seconds` before the newest of all was. Not
-- before now: a worker that was away for a day still finds what it had stored and not yet summed up.
SELECT
  tenant_id,
  toUnixTimestamp(toStartOfHour(ts)) AS hour_seconds
FROM stg_usage
WHERE received_at >= (SELECT max(received_at) FROM stg_usage) - toIntervalSecond({window_seconds:UInt32})
GROUP BY tenant_id, hour_seconds
ORDER BY tenant_id, hour_seconds
