// Logs: what they alone can tell (the door's answers), and whether they arrive.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local problems = import '../lib/problems.libsonnet';

local limits = config.thresholds;

// Promtail and Alloy name the same thing differently, access logs of containers and of files as well: whichever exists.
local either(template, names) = std.join(' or ', [template % name for name in names]);
local increaseOf(names, window) = either('increase(%%s[%s])' % window, names);

local sent = ['promtail_sent_entries_total', 'loki_write_sent_entries_total'];
local retried = ['promtail_batch_retries_total', 'loki_write_batch_retries_total'];
local dropped = ['promtail_dropped_entries_total', 'loki_write_dropped_entries_total'];
local answers(match) = [
  'promtail_custom_nginx_responses_total' + match,
  'promtail_custom_nginx_file_responses_total' + match,
];
local gateway = '{status=~"502|503|504"}';

local shipper = {
  severity: 'warning',
  by: ['job', 'host', 'instance', 'problem'],
  summary: 'The logs of {{ $labels.host }} do not arrive.',
  dashboard: 'claw-ai-logs',
};

alert.group('logs-alerts', [
  alert.new('DoorErrors', {
    // A dead application counts nothing itself; what one answered by itself is its own objective's affair.
    expr: |||
      (
        sum by (host, service) (%(bad_rate)s)
        - on () group_left ()
        (sum(job_endpoint_status:claw_ai_http_requests:rate5m%(gateway)s) or vector(0))
      )
      / on (host, service)
      sum by (host, service) (%(rate)s)
      > %(ratio)g
      and on (host, service)
      sum by (host, service) (%(bad)s) >= %(least)d
    ||| % {
      bad_rate: either('rate(%s[5m])', answers(gateway)),
      rate: either('rate(%s[5m])', answers('')),
      bad: increaseOf(answers(gateway), '5m'),
      gateway: gateway,
      ratio: limits.door_error_ratio,
      least: limits.door_min_errors,
    },
    severity: 'critical',
    hold: '2m',
    keep: config.keep_firing_for,
    by: ['host', 'service'],
    summary: 'The door {{ $labels.service }} on {{ $labels.host }} finds nobody behind it.',
    description: '{{ $value | humanizePercentage }} of its answers in the last 5m were 502, 503 or 504 that no application gave.',
    dashboard: 'claw-ai-logs',
  }),
  alert.new('LogsDropped', {
    expr: |||
      sum by (job, host, instance, reason) (%s) >= %d
    ||| % [increaseOf(['loki_discarded_samples_total'] + dropped, '10m'), limits.logs_dropped_min],
    severity: 'warning',
    hold: '5m',
    by: ['job', 'host', 'instance', 'reason'],
    summary: 'Log lines are lost at {{ $labels.job }} on {{ $labels.host }}.',
    description: 'About {{ $value | humanize }} lines in the last 10m, for this reason: {{ $labels.reason }}.',
    dashboard: 'claw-ai-logs',
  }),
  alert.new('LogShipperStuck', shipper {
    expr: |||
      sum by (job, host, instance) (%s) > 0
    ||| % increaseOf(retried, '5m'),
    hold: '15m',
    labels: { problem: 'Loki does not take them' },
    description: '{{ $labels.instance }} has sent the same lines {{ $value | humanize }} times again in the last 5m. It keeps them for a day at the most.',
  }),
  alert.new('LogShipperStuck', shipper {
    expr: |||
      sum by (job, host, instance) (%s) == 0
      and
      # A machine that never says much may be silent for a while.
      sum by (job, host, instance) (%s) >= 1000
      unless
      sum by (job, host, instance) (%s) > 0
    ||| % [increaseOf(sent, '15m'), increaseOf(sent, '1d'), increaseOf(retried, '15m')],
    hold: '15m',
    labels: { problem: 'nothing is sent' },
    description: '{{ $labels.instance }} has sent {{ $value }} lines in the last 15m, and thousands in the last day.',
  }),
  alert.new('LokiDegraded', {
    expr: |||
      sum by (job, host, route) (rate(loki_request_duration_seconds_count{status_code=~"5.."}[5m]))
      /
      sum by (job, host, route) (rate(loki_request_duration_seconds_count[5m]))
      > %g
      and
      sum by (job, host, route) (increase(loki_request_duration_seconds_count{status_code=~"5.."}[5m])) >= 5
    ||| % limits.loki_error_ratio,
    severity: 'warning',
    hold: '10m',
    by: ['job', 'host', 'problem'],
    labels: { problem: 'requests fail' },
    summary: 'Loki on {{ $labels.host }} does not work as it should.',
    description: '{{ $value | humanizePercentage }} of the requests to {{ $labels.route }} in the last 5m failed.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('LokiDegraded', {
    expr: |||
      sum by (job, host) (increase(loki_panic_total[10m])) > 0
    |||,
    severity: 'warning',
    hold: '1m',
    by: ['job', 'host', 'problem'],
    labels: { problem: 'it panics' },
    summary: 'Loki on {{ $labels.host }} does not work as it should.',
    description: 'About {{ $value | humanize }} requests of the last 10m broke off in a panic.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('LokiDegraded', {
    expr: |||
      max by (job, host) (
        time() - (
          loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds > 0
          or
          # 0 until the first run after a start.
          (process_start_time_seconds and loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds == 0)
        )
      ) > %d
    ||| % limits.loki_compactor_max_age_seconds,
    severity: 'warning',
    hold: '10m',
    by: ['job', 'host', 'problem'],
    labels: { problem: 'the compactor does not run' },
    summary: 'Loki on {{ $labels.host }} does not work as it should.',
    description: 'Old logs were last compacted and deleted {{ $value | humanizeDuration }} ago, so its disk fills up.',
    dashboard: 'claw-ai-stack',
  }),
])
