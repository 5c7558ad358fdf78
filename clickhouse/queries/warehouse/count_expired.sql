-- What is older than `before`, of the tenants that are listed (listed = 1), or of all others (listed = 0).
SELECT count() AS rows
FROM {table:Identifier}
WHERE {column:Identifier} < {before:DateTime64(6, 'UTC')}
  AND (tenant_id IN {tenants:Array(UInt32)}) = {listed:UInt8}
