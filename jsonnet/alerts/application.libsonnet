// The application's own limits.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local problems = import '../lib/problems.libsonnet';

local limits = config.thresholds;
local poolLimit = limits.pool_used_ratio;

alert.group('application-alerts', alert.levels('PoolNearlyExhausted', {
  // The worst process, not the sum over all: one full pool hurts its own requests while the others idle.
  expr(threshold):: |||
    max by (job, host, pool) (
      claw_ai_db_pool_connections{state="active"}
      / ignoring (state)
      (claw_ai_db_pool_max_connections > 0)
    ) > %g
  ||| % threshold,
  keep: config.keep_firing_for,
  by: ['job', 'host', 'pool'],
  summary: 'The connection pool {{ $labels.pool }} of {{ $labels.job }} is nearly exhausted.',
  description: '{{ $value | humanizePercentage }} of the connections of a process on {{ $labels.host }} are in use; requests will soon wait for one.',
  dashboard: 'claw-ai-datastores',
}, {
  warning: { threshold: poolLimit.warning, hold: '10m' },
  critical: { threshold: poolLimit.critical, hold: '2m' },
}) + alert.levels('QueueAgeHigh', {
  // Age, not depth: a long queue that moves hurts nobody.
  expr(threshold):: |||
    max by (host, redis, queue) (claw_ai_queue_oldest_age_seconds) > %d
  ||| % threshold,
  keep: config.keep_firing_for,
  by: ['host', 'redis', 'queue'],
  summary: 'Tasks wait long in the queue {{ $labels.queue }}.',
  description: 'The oldest one has waited for {{ $value | humanizeDuration }}.',
  dashboard: 'claw-ai-datastores',
}, {
  warning: { threshold: limits.queue_age_seconds.warning, hold: '5m' },
  critical: { threshold: limits.queue_age_seconds.critical, hold: '5m' },
}) + [
  alert.new('PoolTimeouts', {
    expr: |||
      sum by (job, host, pool) (increase(claw_ai_db_pool_timeouts_total[5m])) >= %d
    ||| % limits.pool_timeouts_min,
    severity: 'critical',
    hold: '2m',
    keep: config.keep_firing_for,
    by: ['job', 'host', 'pool'],
    summary: 'Requests of {{ $labels.job }} get no connection from the pool {{ $labels.pool }}.',
    description: 'About {{ $value | humanize }} requests on {{ $labels.host }} gave up waiting for one in the last 5m.',
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('EventLoopBlocked', {
    // The gauge is the worst delay since the last scrape. One long breath is garbage collection; when half of the
    // scrapes tell of one, something blocks.
    expr: |||
      max by (job, host, instance) (quantile_over_time(0.5, claw_ai_event_loop_lag_seconds[5m])) > %g
    ||| % limits.event_loop_lag_seconds,
    severity: 'warning',
    hold: '5m',
    keep: config.keep_firing_for,
    by: ['job', 'host', 'instance'],
    summary: 'The event loop of {{ $labels.job }} is blocked again and again.',
    description: 'In half of the last scrapes all requests of {{ $labels.instance }} had to wait {{ $value | humanizeDuration }} or longer for it.',
    dashboard: 'claw-ai-performance',
  }),
  alert.new('QueueStuck', {
    // Workers that died take their counter with them: so nothing done is "no growth", not "growth of 0". A queue whose
    // workers were never seen is not judged.
    expr: |||
      min by (host, redis, queue) (min_over_time(claw_ai_queue_depth[%(window)s])) > 0
      unless on (queue)
      sum by (queue) (rate(claw_ai_queue_tasks_total[%(window)s])) > 0
      and on (queue)
      count by (queue) (last_over_time(claw_ai_queue_tasks_total[1d]))
    ||| % { window: config.queue_stuck_window },
    severity: 'critical',
    hold: '5m',
    keep: config.keep_firing_for,
    by: ['host', 'redis', 'queue'],
    summary: 'Nobody works on the queue {{ $labels.queue }}.',
    description: 'At least {{ $value | humanize }} tasks have waited in it for %s, and none was finished.' % config.queue_stuck_window,
    dashboard: 'claw-ai-datastores',
  }),
  alert.new('WorkersNotAggregated', {
    // Each scrape meets another worker, so the start time jumps to and fro although nothing restarts.
    expr: |||
      changes(process_start_time_seconds[15m]) > 15
      and on (job, host, instance)
      avg_over_time(up[15m]) == 1
    |||,
    severity: 'warning',
    hold: '15m',
    by: ['job', 'host', 'instance'],
    summary: 'Every scrape of {{ $labels.job }} reaches another of its workers.',
    description: '{{ $labels.instance }} has shown another process {{ $value }} times in the last 15m, so each of its rates is wrong.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('ProcessRestarting', {
    // Containers have their own alert; a machine with a cAdvisor has containers.
    expr: |||
      changes(process_start_time_seconds[30m]) > 2
      and
      # Each start is later than the one before; where it jumps to and fro, see WorkersNotAggregated.
      last_over_time(process_start_time_seconds[5m]) == max_over_time(process_start_time_seconds[30m])
      unless on (host)
      container_start_time_seconds
    |||,
    severity: 'warning',
    hold: '5m',
    by: ['job', 'host', 'instance'],
    summary: 'A process of {{ $labels.job }} starts again and again.',
    description: '{{ $labels.instance }} on {{ $labels.host }} has started {{ $value }} times in the last 30m.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('FileDescriptorsHigh', {
    expr: |||
      process_open_fds / (process_max_fds > 0) > %g
    ||| % limits.file_descriptors_ratio,
    severity: 'warning',
    hold: '10m',
    by: ['job', 'host', 'instance'],
    summary: 'A process of {{ $labels.job }} can soon open no file and no connection any more.',
    description: '{{ $value | humanizePercentage }} of the file descriptors of {{ $labels.instance }} on {{ $labels.host }} are in use.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('ProcessMemoryGrowing', {
    expr: |||
      (
        # What it takes more in six hours, at the pace of the last one.
        predict_linear(process_resident_memory_bytes[1h], 21600) - process_resident_memory_bytes
        > on (host) group_left ()
        min by (host) (node_memory_MemAvailable_bytes)
      )
      and
      # It climbs without end: not what a start fills once, or what comes and goes.
      min_over_time(process_resident_memory_bytes[15m]) > %g * max_over_time(process_resident_memory_bytes[15m] offset 45m)
    ||| % limits.process_memory_factor,
    severity: 'warning',
    hold: '30m',
    by: ['job', 'host', 'instance'],
    summary: 'A process of {{ $labels.job }} uses up the memory of {{ $labels.host }} within hours.',
    description: 'At the pace of the last hour {{ $labels.instance }} needs {{ $value | humanize1024 }}B more in 6h, and the machine has less left.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('MetricOverflow', {
    expr: problems.begun('claw_ai_exporter_overflow_total', '15m', ['job', 'host', 'metric']) + '> 0\n',
    severity: 'warning',
    hold: '15m',
    by: ['job', 'host', 'metric'],
    summary: '{{ $labels.job }} has too many series of {{ $labels.metric }}.',
    description: 'About {{ $value | humanize }} observations of the last 15m were folded into one series, because a label has too many values.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('InstrumentationFailing', {
    expr: problems.anyOf({
      'measuring raises errors':
        std.rstripChars(problems.begun('claw_ai_exporter_internal_errors_total', '15m', ['job', 'host', 'instance']), '\n') + ' > 0',
      'a query returns too many rows': problems.grown('claw_ai_exporter_probe_dropped_rows_total', '15m'),
    }),
    severity: 'warning',
    hold: '5m',
    by: ['job', 'host', 'instance', 'problem'],
    summary: 'Numbers of {{ $labels.job }} are incomplete: {{ $labels.problem }}.',
    description: 'At {{ $labels.instance }} about {{ $value | humanize }} values were lost in the last 15m.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('LogErrorBurst', {
    expr: |||
      (
        job:claw_ai_log_errors:rate5m
        unless
        job:claw_ai_log_errors:rate5m < %(factor)g * avg_over_time(job:claw_ai_log_errors:rate5m[1d] offset 10m)
      )
      and on (job)
      300 * job:claw_ai_log_errors:rate5m >= %(least)d
    ||| % { factor: limits.log_errors_factor, least: limits.log_errors_min },
    severity: 'warning',
    hold: '5m',
    keep: config.keep_firing_for,
    by: ['job'],
    summary: '{{ $labels.job }} logs far more errors than usual.',
    description: '{{ $value | humanize }} errors a second were logged in the last 5m, %g times the mean of the day or more.' % limits.log_errors_factor,
    dashboard: 'claw-ai-logs',
  }),
])
