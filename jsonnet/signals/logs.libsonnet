// Logs: do they arrive? By the numbers of Loki and of the shipper, which is Promtail or Alloy: the one that runs.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local bad = { 'level=~': 'error|critical' };
local missing = 'needs Loki and a log shipper';

// The same number by both names; whichever exists.
local either(template, names) = std.join('\nor\n', [template % name for name in names]);
local shipper(title, unit, name, description, more={}) = signal.new({
  title: title,
  description: description,
  unit: unit,
  by: ['host'],
  no_value: missing,
  query(s):: either('sum by (host) (%s)', [s.rate(program + name) for program in ['promtail_', 'loki_write_']]),
} + more);
local loki(title, unit, metric, description, more={}) = signal.new({
  title: title,
  description: description,
  unit: unit,
  no_value: missing,
  query(s):: 'sum(%s)' % s.rate(metric),
} + more);

{
  // ---- Counted by applications and by the door, without Loki ----------------------------------------------
  records: signal.rate('claw_ai_log_records_total', {
    title: 'Lines counted by applications',
    description: 'Lines a second that applications logged, by level, as our library counts them: also where Loki is down.',
    by: ['level'],
  }),
  errors_now: signal.rate('claw_ai_log_records_total', {
    title: 'now',
    description: 'Lines a second of level error and critical, as our library counts them; the dashed line is yesterday.',
    match: bad,
  }),
  errors_yesterday: signal.new({
    title: 'yesterday',
    description: 'The same, a day before.',
    unit: 'cps',
    query(s):: 'sum(rate(%s[%s] offset 1d))' % [s.of('claw_ai_log_records_total', bad), s.range],
  }),
  errors_by_job: signal.new({
    title: 'Errors by application',
    description: 'Lines of level error and critical within the shown time range, as our library counts them.',
    unit: 'short',
    by: ['job', 'level'],
    query(s):: 'sum by (job, level) (increase(%s[$__range]))' % s.of('claw_ai_log_records_total', bad),
  }),
  door_by_status: signal.new({
    title: 'Answers of nginx by status',
    description: 'Answers a second in access logs, by status, as the log shipper counts them: also what the application never saw.',
    unit: 'reqps',
    by: ['status'],
    no_value: missing,
    query(s):: 'sum by (status) (%s or %s)' % [
      s.rate('promtail_custom_nginx_responses_total'),
      s.rate('promtail_custom_nginx_file_responses_total'),
    ],
  }),

  // ---- Shipper -------------------------------------------------------------------------------------------
  sent: shipper('Lines shipped', 'cps', 'sent_entries_total', 'Lines a second that each machine sends to Loki.'),
  sent_bytes: shipper('Bytes shipped', 'Bps', 'sent_bytes_total', 'Bytes a second that each machine sends to Loki.'),
  retried: shipper('Batches sent again', 'cps', 'batch_retries_total', 'Batches a second that Loki did not take at once. The shipper keeps trying for a day, and reads nothing more meanwhile.', {
    thresholds: { warning: 0.01, critical: 0.1 },
  }),
  dropped: shipper('Lines given up by the shipper', 'cps', 'dropped_entries_total', 'Lines a second that are lost, by reason.', {
    by: ['host', 'reason'],
    query(s):: either('sum by (host, reason) (%s)', [s.rate(program + 'dropped_entries_total') for program in ['promtail_', 'loki_write_']]),
    thresholds: { warning: 0.01, critical: 1 },
  }),
  push_p95: signal.new({
    title: 'Time to push, p95',
    description: 'Time that Loki takes for a batch of lines, as the shipper sees it.',
    unit: 's',
    by: ['host'],
    no_value: missing,
    query(s):: either('histogram_quantile(0.95, sum by (host, le) (%s))', [
      s.rate(program + 'request_duration_seconds_bucket')
      for program in ['promtail_', 'loki_write_']
    ]),
  }),
  unsent: signal.new({
    title: 'Lines read and not sent',
    description: 'Lines a second that were read from containers, less those that were sent: above 0 for long, the shipper falls behind; below 0 it catches up.',
    unit: 'cps',
    by: ['host'],
    no_value: missing,
    query(s):: std.join('\nor\n', [
      'sum by (host) (%s) - sum by (host) (%s)' % [s.rate(pair[0]), s.rate(pair[1])]
      for pair in [
        ['promtail_docker_target_entries_total', 'promtail_sent_entries_total'],
        ['loki_source_docker_target_entries_total', 'loki_write_sent_entries_total'],
      ]
    ]),
  }),

  // ---- Loki ----------------------------------------------------------------------------------------------
  received: loki('Lines received', 'cps', 'loki_distributor_lines_received_total', 'Lines a second that Loki takes in.'),
  received_bytes: loki('Bytes received', 'Bps', 'loki_distributor_bytes_received_total', 'Bytes a second that Loki takes in; the limit is ingestion_rate_mb in loki-config.yml.'),
  discarded: loki('Lines refused by Loki', 'cps', 'loki_discarded_samples_total', 'Lines a second that Loki refuses, by reason: too old, too many, too long. They are lost.', {
    by: ['reason'],
    query(s):: 'sum by (reason) (%s)' % s.rate('loki_discarded_samples_total'),
    thresholds: { warning: 0.01, critical: 1 },
  }),
  cut: loki('Lines cut short', 'cps', 'loki_mutated_samples_total', 'Lines a second that were longer than max_line_size: their end is lost.', {
    by: ['reason'],
    query(s):: 'sum by (reason) (%s)' % s.rate('loki_mutated_samples_total'),
  }),
  streams: loki('Streams', 'short', 'loki_ingester_memory_streams', 'Streams in memory: one for each set of labels. Thousands mean that a label has endless values.', {
    query(s):: 'sum(%s)' % s.of('loki_ingester_memory_streams'),
  }),
  errors: loki('Loki: failed requests', 'percentunit', 'loki_request_duration_seconds', 'Share of the requests to Loki that failed, by route.', {
    by: ['route'],
    thresholds: { warning: config.thresholds.loki_error_ratio },
    query(s):: |||
      sum by (route) (%s)
      /
      sum by (route) (%s)
    ||| % [s.rate('loki_request_duration_seconds_count', { 'status_code=~': '5..' }), s.rate('loki_request_duration_seconds_count')],
  }),
  panics: loki('Loki: panics', 'short', 'loki_panic_total', 'Requests of the shown time range that broke off in a panic.', {
    thresholds: { warning: 1 },
    query(s):: 'sum(increase(%s[$__range]))' % s.of('loki_panic_total'),
  }),
  compactor_age: loki('Compactor ran', 's', 'loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds', 'Time since old logs were last compacted and deleted. Where it stops, the disk fills up.', {
    thresholds: { warning: config.thresholds.loki_compactor_max_age_seconds },
    query(s):: 'time() - max(%s > 0)' % s.of('loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds'),
  }),
}
