-- The rows that count_expired.sql counts; they are gone from the disk, too, when this returns.
ALTER TABLE {table:Identifier} DELETE
WHERE {column:Identifier} < {before:DateTime64(6, 'UTC')}
  AND (tenant_id IN {tenants:Array(UInt32)}) = {listed:UInt8}
