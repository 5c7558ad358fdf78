-- Whole days before `before`, with how much is in each.
SELECT
  toDate({column:Identifier}, 'UTC') AS day,
  count() AS rows
FROM {table:Identifier} FINAL
WHERE {column:Identifier} < {before:DateTime64(6, 'UTC')}
GROUP BY day
ORDER BY day
