-- Partitions in which nothing is as young as `before`: they can be dropped whole.
SELECT
  _partition_id AS partition,
  count() AS rows
FROM {table:Identifier}
GROUP BY partition
HAVING max({column:Identifier}) < {before:DateTime64(6, 'UTC')}
ORDER BY partition
