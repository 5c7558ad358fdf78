-- How one tenant's executions of a project ended; an execution without a duration does not count for the mean.
SELECT
  count() AS total,
  countIf(status = 'running') AS running,
  countIf(status = 'completed') AS completed,
  countIf(status = 'failed') AS failed,
  count(duration_us) AS timed,
  ifNull(sum(duration_us), 0) AS timed_us
FROM stg_executions FINAL
WHERE tenant_id = {tenant_id:UInt32}
  AND started_at >= fromUnixTimestamp64Micro({start_us:Int64}, 'UTC')
  AND started_at < fromUnixTimestamp64Micro({end_us:Int64}, 'UTC')
  AND project_id = {project:String}
