-- What is in quarantine, oldest first, after (after_received_us, after_kind, after_entry_id, after_ordinal). tenant_id 0 and empty
-- text mean all; with_replayed 1 lists what is stored by now, too. The body is base64: it may be any bytes.
SELECT
  tenant_id,
  toString(kind) AS kind,
  toUnixTimestamp64Micro(received_at) AS received_us,
  entry_id,
  ordinal,
  toString(reason) AS reason,
  detail,
  idempotency_key,
  base64Encode(body) AS body,
  replayed_at IS NOT NULL AS is_replayed
FROM quarantine FINAL
WHERE ({tenant_id:UInt32} = 0 OR tenant_id = {tenant_id:UInt32})
  AND ({kind:String} = '' OR kind = {kind:String})
  AND ({reason:String} = '' OR reason = {reason:String})
  AND ({with_replayed:UInt8} = 1 OR replayed_at IS NULL)
  AND (toUnixTimestamp64Micro(received_at), toString(kind), entry_id, toInt64(ordinal))
    > ({after_received_us:Int64}, {after_kind:String}, {after_entry_id:String}, {after_ordinal:Int64})
ORDER BY received_us, kind, entry_id, ordinal
LIMIT {rows:UInt32}
