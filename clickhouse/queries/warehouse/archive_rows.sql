SELECT *
FROM {table:Identifier} FINAL
WHERE {column:Identifier} >= {start:DateTime64(6, 'UTC')}
  AND {column:Identifier} < {until:DateTime64(6, 'UTC')}
ORDER BY tenant_id, {column:Identifier}
