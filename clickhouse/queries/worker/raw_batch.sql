-- The bytes of one entry, as they were acknowledged. It may be there more than once, and is the same each time.
SELECT
  records,
  base64Encode(body) AS body
FROM raw_batches
WHERE kind = {kind:String}
  AND tenant_id = {tenant_id:UInt32}
  AND received_at = fromUnixTimestamp64Micro({received_us:Int64}, 'UTC')
  AND entry_id = {entry_id:String}
LIMIT 1
