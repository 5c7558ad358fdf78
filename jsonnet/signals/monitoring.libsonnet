// The monitoring itself: what watches everything else, and would be the last to say that it does not.
local config = import '../config.libsonnet';
local seconds = import '../lib/duration.libsonnet';
local signal = import '../lib/signal.libsonnet';

// Seen once, it is worth a look; seen often, it is broken.
local never = { warning: 1, critical: 10 };
local of_group = 'label_replace(%s, "group", "$1", "rule_group", ".*;(.+)")';

// Alertmanager counts for every integration that it knows; this keeps those that were used.
local in_use(s) = ' and increase(%s[$__range]) > 0' % s.of('alertmanager_notifications_total');

// How often something happened within the shown time range.
local happened(title, metric, description, more={}) = signal.new({
  title: title,
  description: description,
  unit: 'short',
  query(s):: 'sum(increase(%s[$__range]))' % s.of(metric),
} + more);

local per_second(title, metric, description, more={}) = signal.rate(metric, {
  title: title,
  description: description,
  unit: 'cps',
} + more);

local now(title, metric, description, more={}) = signal.gauge(metric, {
  title: title,
  description: description,
  unit: 'short',
} + more);

{
  // ---- Heartbeat -----------------------------------------------------------------------------------------
  watchdog_age: signal.new({
    title: 'Heartbeat judged',
    description: 'Time since Prometheus last found each watchdog firing. Old: its rules do not run, or no data arrive, and no alert can fire.',
    unit: 's',
    by: ['alertname'],
    thresholds: { warning: 60, critical: 120 },
    query(s):: 'time() - max by (alertname) (timestamp(ALERTS{alertname=~"Watchdog.*", alertstate="firing"}))',
  }),
  alerts_handed_over: signal.new({
    title: 'Alerts lost',
    description: 'Share of the alerts that Prometheus could not hand over to Alertmanager.',
    unit: 'percentunit',
    thresholds: { warning: 0.001, critical: 0.01 },
    query(s):: |||
      sum(%s + %s)
      /
      # Where nothing was to be sent, nothing was lost.
      (sum(%s) > 0 or vector(1))
    ||| % [
      s.rate('prometheus_notifications_dropped_total'),
      'sum without (alertmanager) (%s)' % s.rate('prometheus_notifications_errors_total'),
      s.rate('prometheus_notifications_sent_total'),
    ],
  }),
  alertmanagers: now('Alertmanagers known', 'prometheus_notifications_alertmanagers_discovered', 'Alertmanagers that Prometheus hands alerts to.', {
    thresholds: { critical: 1, below: true },
    aggregate: 'min',
  }),
  notifications: signal.new({
    title: 'Notifications a minute',
    description: 'Notifications that Alertmanager tried to send, per minute and integration. The watchdogs alone send about one a minute: a line at 0 is no peace but a fault.',
    unit: 'short',
    by: ['integration'],
    query(s):: '60 * sum by (integration) (%s%s)' % [s.rate('alertmanager_notifications_total'), in_use(s)],
  }),
  notifications_failed: signal.new({
    title: 'Notifications failed',
    description: 'Share of the notifications that an integration did not take.',
    unit: 'percentunit',
    by: ['integration'],
    thresholds: { warning: 0.001, critical: 0.01 },
    query(s):: |||
      sum by (integration) (%s)
      /
      # Where nothing was to be sent, nothing failed.
      clamp_min(sum by (integration) (%s%s), 1e-9)
    ||| % [s.rate('alertmanager_notifications_failed_total'), s.rate('alertmanager_notifications_total'), in_use(s)],
  }),
  heartbeat_age: signal.new({
    title: 'Heartbeats at the relay',
    description: 'Age of each heartbeat that the relay waits for, usually that of another machine, as a share of its grace: at 1 it counts as stopped, and the relay speaks up.',
    unit: 'percentunit',
    by: ['heartbeat'],
    thresholds: { warning: 0.5, critical: 1 },
    no_value: 'no heartbeat in config.relay',
    query(s):: 'max by (heartbeat) (%s / %s)' % [s.of('claw_ai_notify_heartbeat_age_seconds'), s.of('claw_ai_notify_heartbeat_grace_seconds')],
  }),
  relay_sent: signal.new({
    title: 'Taken by chat services',
    description: 'Messages an hour that the relay got rid of, by channel.',
    unit: 'short',
    by: ['channel'],
    no_value: 'the relay has sent nothing',
    query(s):: '3600 * sum by (channel) (%s)' % s.rate('claw_ai_notify_sent_total'),
  }),
  relay_rejected: signal.new({
    title: 'Refused by chat services',
    description: 'Messages an hour that a chat service refused, in an answer with status 200 as well, by channel and reason.',
    unit: 'short',
    by: ['channel', 'reason'],
    legend: 'refused: {{channel}} {{reason}}',
    no_value: 'the relay has sent nothing',
    query(s):: '3600 * sum by (channel, reason) (%s) > 0' % s.rate('claw_ai_notify_rejected_total'),
  }),
  notification_p95: signal.quantile(0.95, 'alertmanager_notification_latency_seconds', {
    title: 'Time to deliver, p95',
    description: 'Time that a receiver took for a notification, by integration.',
    unit: 's',
    by: ['integration'],
  }),

  // ---- Targets -------------------------------------------------------------------------------------------
  target: {
    local column(title, unit, description, expr, more={}) = signal.new({
      title: title,
      unit: unit,
      description: description,
      by: ['job', 'instance'],
      query(s):: 'max by (job, instance) (%s)' % expr,
    } + more),
    up: column('Up', 'short', '1 while the target answers.', 'up', { thresholds: { warning: 1, critical: 1, below: true } }),
    age: column('Last scrape', 's', 'Time since the last attempt to scrape it.', 'time() - timestamp(up)', { thresholds: { warning: 60, critical: 120 } }),
    duration: column('Took', 's', 'How long the last scrape took; at the timeout it fails.', 'scrape_duration_seconds', { thresholds: { warning: 5, critical: 9 } }),
    samples: column('Samples', 'short', 'Samples of the last scrape.', 'scrape_samples_post_metric_relabeling'),
    of_limit: column('Of limit', 'percentunit', 'Samples as a share of the sample_limit in prometheus.yml: beyond it the whole scrape is dropped.', 'scrape_samples_post_metric_relabeling / %d' % config.sample_limit, {
      thresholds: { warning: config.thresholds.samples_of_limit_ratio, critical: 1 },
    }),
    new_series: column('New series, 1 h', 'short', 'Series that were not there a scrape before, added up over an hour. A target that keeps making new ones has a label with endless values.', 'sum_over_time(scrape_series_added[1h])', { thresholds: { warning: 10 * config.thresholds.new_series_min } }),
  },
  targets_missing: signal.new({
    title: 'Targets missing',
    description: 'Targets that are expected (config.libsonnet) but that Prometheus does not know: they are in no file, so nothing watches them.',
    unit: 'short',
    thresholds: { warning: 1, critical: 1 },
    query(s):: 'sum(clamp_min(job:claw_expected_targets:count - on (job) (job:up:count or 0 * job:claw_expected_targets:count), 0))',
  }),
  targets_down: signal.new({
    title: 'Targets down',
    description: 'Targets that do not answer.',
    unit: 'short',
    thresholds: { warning: 1, critical: 3 },
    query(s):: 'count(up == 0) or vector(0)',
  }),
  scrapes_dropped: signal.new({
    title: 'Scrapes dropped',
    description: 'Scrapes within the shown time range that stood above a limit of prometheus.yml: each is dropped whole.',
    unit: 'short',
    thresholds: { warning: 1, critical: 1 },
    query(s):: |||
      sum(
        increase(%s[$__range])
        + increase(%s[$__range])
      )
    ||| % [
      s.of('prometheus_target_scrapes_exceeded_sample_limit_total'),
      s.of('prometheus_target_scrapes_exceeded_body_size_limit_total'),
    ],
  }),

  // ---- Prometheus ----------------------------------------------------------------------------------------
  series: now('Series', 'prometheus_tsdb_head_series', 'Series in memory. Memory follows it: some 8 GB for a million.'),
  churn: per_second('New series', 'prometheus_tsdb_head_series_created_total', 'Series created a second. A restart makes a peak; a steady rate is a label whose values never end.'),
  samples: per_second('Samples', 'prometheus_tsdb_head_samples_appended_total', 'Samples stored a second.'),
  rule_share: signal.new({
    title: 'Rule groups: time of their interval',
    description: 'Time that a group of rules needed, as a share of its interval: beyond 1 it skips evaluations, and alerts come late. The ten slowest.',
    unit: 'percentunit',
    by: ['group'],
    thresholds: { warning: 0.5, critical: 1 },
    query(s):: 'topk(10, max by (group) (%s))' % (of_group % ('%s / %s' % [
                                                  s.of('prometheus_rule_group_last_duration_seconds'),
                                                  s.of('prometheus_rule_group_interval_seconds'),
                                                ])),
  }),
  rules_missed: happened('Evaluations skipped', 'prometheus_rule_group_iterations_missed_total', 'Evaluations of rule groups that were skipped within the shown time range, because the one before took too long.', { thresholds: never }),
  rules_failed: happened('Evaluations failed', 'prometheus_rule_evaluation_failures_total', 'Evaluations of rules that failed within the shown time range: an alert that cannot be judged cannot fire.', { thresholds: never }),
  wal_corruptions: happened('WAL corruptions', 'prometheus_tsdb_wal_corruptions_total', 'Damage found in the write-ahead log within the shown time range.', { thresholds: { warning: 1, critical: 1 } }),
  compactions_failed: happened('Compactions failed', 'prometheus_tsdb_compactions_failed_total', 'Compactions that failed within the shown time range; usually the disk is full.', { thresholds: { warning: 1, critical: 3 } }),
  out_of_order: happened('Samples refused', 'prometheus_tsdb_out_of_order_samples_total', 'Samples older than what was stored before, refused within the shown time range: two sources write one series, or a clock jumps.', { thresholds: { warning: 1, critical: 1000 } }),
  blocks: now('blocks', 'prometheus_tsdb_storage_blocks_bytes', 'Bytes on disk. Blocks are kept for the retention; the log in front of them holds the last two to three hours.', { unit: 'bytes' }),
  wal: now('write-ahead log', 'prometheus_tsdb_wal_storage_size_bytes', 'Bytes of the write-ahead log.', { unit: 'bytes' }),
  chunks: now('head chunks', 'prometheus_tsdb_head_chunks_storage_size_bytes', 'Bytes of the chunks in front of the blocks.', { unit: 'bytes' }),
  kept: signal.new({
    title: 'Data kept',
    description: 'Age of the oldest sample, as a share of the retention: at 1 old data make room for new ones. The retention is a flag of Prometheus.',
    unit: 'percentunit',
    query(s):: |||
      max(
        (time() - %s)
        /
        %s
      )
    ||| % [s.of('prometheus_tsdb_lowest_timestamp_seconds'), s.of('prometheus_tsdb_retention_limit_seconds')],
  }),
  query_p99: signal.new({
    title: 'Query time p99',
    description: 'p99 of the time that queries (panels, rules, scripts) spend in each stage. Waiting in the queue: too many at once; evaluating: some panel reads too many series.',
    unit: 's',
    by: ['slice'],
    query(s):: 'max by (slice) (%s) >= 0' % s.of('prometheus_engine_query_duration_seconds', { quantile: '0.99' }),
  }),
  remote_behind: signal.new({
    title: 'Remote storage behind',
    description: 'How far each remote storage is behind what was scraped. What waits for longer than two hours is lost.',
    unit: 's',
    by: ['remote_name'],
    thresholds: { warning: config.thresholds.remote_write_lag_seconds },
    no_value: 'none is configured',
    query(s):: 'max by (remote_name) (time() - (%s > 0))' % s.of('prometheus_remote_storage_queue_highest_sent_timestamp_seconds'),
  }),
  remote_refused: signal.new({
    title: 'Remote storage refused',
    description: 'Samples of the shown time range that a remote storage refused and Prometheus gave up.',
    unit: 'short',
    by: ['remote_name'],
    thresholds: never,
    no_value: 'none is configured',
    query(s):: 'sum by (remote_name) (increase(%s[$__range]))' % s.of('prometheus_remote_storage_samples_failed_total'),
  }),
  memory: signal.new({
    title: 'Memory of the stack',
    description: 'Resident memory of the programs that watch.',
    unit: 'bytes',
    by: ['job'],
    query(s):: 'sum by (job) (%s)' % s.of('process_resident_memory_bytes', { 'job=~': 'prometheus|alertmanager|loki|log-shipper|grafana|exporter|.*-exporter' }),
  }),

  // ---- Cardinality ---------------------------------------------------------------------------------------
  series_by_job: signal.new({
    title: 'Series by job',
    description: 'Samples that a scrape of all targets of a job leaves, hence its series.',
    unit: 'short',
    by: ['job'],
    query(s):: 'sort_desc(sum by (job) (scrape_samples_post_metric_relabeling))',
  }),
  new_by_job: signal.new({
    title: 'New series by job, 1 h',
    description: 'Series that were not there a scrape before, added up over the last hour.',
    unit: 'short',
    by: ['job'],
    query(s):: 'sum by (job) (sum_over_time(scrape_series_added[1h]))',
  }),
  overflow: happened('Label sets beyond the limit', 'claw_ai_exporter_overflow_total', 'Events that our library counted under `other`, because their metric had reached its limit of label sets: by metric, within the shown time range.', {
    by: ['job', 'metric'],
    thresholds: never,
    no_value: 'none: every metric is within its limit',
    query(s):: 'sum by (job, metric) (increase(%s[$__range])) > 0' % s.of('claw_ai_exporter_overflow_total'),
  }),

  // ---- Alertmanager --------------------------------------------------------------------------------------
  alerts: now('Alerts', 'alertmanager_alerts', 'Alerts that Alertmanager holds. Suppressed: muted by a silence or by another alert that explains them.', { by: ['state'] }),
  silences: now('Silences', 'alertmanager_silences', 'Silences by state. An active one hides alerts until it ends.', { by: ['state'] }),
  received: per_second('Alerts received', 'alertmanager_alerts_received_total', 'Alerts that Prometheus sends again and again while they fire, a second.', { by: ['status'] }),

  // ---- Our exporter --------------------------------------------------------------------------------------
  probe: {
    local column(title, unit, metric, description, more={}) = signal.gauge(metric, {
      title: title,
      unit: unit,
      description: description,
      by: ['probe'],
      aggregate: 'max',
    } + more),
    success: column('Success', 'short', 'claw_ai_exporter_probe_success', '1 while the probe works.', { aggregate: 'min', thresholds: { warning: 1, critical: 1, below: true } }),
    age: signal.new({
      title: 'Age',
      description: 'Age of the values that are served, in intervals of the probe: beyond 5 they are stale.',
      unit: 'short',
      by: ['probe'],
      thresholds: { warning: 2, critical: 5 },
      query(s):: 'max by (probe) (%s / %s)' % [s.of('claw_ai_exporter_probe_age_seconds'), s.of('claw_ai_exporter_probe_interval_seconds')],
    }),
    duration: column('Duration', 's', 'claw_ai_exporter_probe_duration_seconds', 'How long the probe took.'),
    interval: column('Interval', 's', 'claw_ai_exporter_probe_interval_seconds', 'How often it is run.'),
    errors: signal.new({
      title: 'Errors',
      description: 'Times that it failed within the shown time range.',
      unit: 'short',
      by: ['probe'],
      thresholds: never,
      query(s):: 'sum by (probe) (increase(%s[$__range]))' % s.of('claw_ai_exporter_probe_errors_total'),
    }),
    dropped: signal.new({
      title: 'Rows dropped',
      description: 'Rows beyond the limit of a SQL query within the shown time range.',
      unit: 'short',
      by: ['probe'],
      query(s):: |||
        sum by (probe) (increase(%s[$__range]))
        or
        0 * max by (probe) (%s)
      ||| % [s.of('claw_ai_exporter_probe_dropped_rows_total'), s.of('claw_ai_exporter_probe_success')],
    }),
  },
  internal_errors: signal.new({
    title: 'Errors inside our library',
    description: 'Errors that the library swallowed, so that the application did not fail, within the shown time range.',
    unit: 'short',
    by: ['job', 'where'],
    thresholds: never,
    no_value: 'none',
    query(s):: 'sum by (job, where) (increase(%s[$__range])) > 0' % s.of('claw_ai_exporter_internal_errors_total'),
  }),
  configuration_ok: signal.new({
    title: 'Configuration accepted',
    description: '1 where the newest configuration runs; 0 where it was refused, and the one before still runs.',
    unit: 'short',
    by: ['job', 'instance'],
    thresholds: { warning: 1, critical: 1, below: true },
    query(s):: |||
      min by (job, instance) (%s)
      or
      min by (job, instance) (%s)
      or
      min by (job, instance) (%s)
    ||| % [
      s.of('prometheus_config_last_reload_successful'),
      s.of('alertmanager_config_last_reload_successful'),
      s.of('claw_ai_exporter_config_last_reload_successful'),
    ],
  }),

  // What AlertmanagerDegraded counts, each by its name.
  alertmanager_faults: [
    happened('silences not saved', 'alertmanager_silences_maintenance_errors_total', 'Times that silences could not be written to the disk.', { thresholds: never }),
    happened('notifications forgotten', 'alertmanager_nflog_maintenance_errors_total', 'Times that the record of who was told could not be written.', { thresholds: never }),
    happened('too many groups', 'alertmanager_dispatcher_aggregation_group_limit_reached_total', 'Alerts that found no room in a group.', { thresholds: never }),
    happened('invalid alerts', 'alertmanager_alerts_invalid_total', 'Alerts that Alertmanager refused.', { thresholds: never }),
    now('members missing', 'alertmanager_cluster_failed_peers', 'Members of the cluster that do not answer.', { thresholds: never, aggregate: 'max' }),
    signal.new({
      title: 'configurations too many',
      description: 'Members whose configuration differs.',
      unit: 'short',
      thresholds: never,
      query(s):: 'count(count_values("hash", %s)) - 1' % s.of('alertmanager_config_hash'),
    }),
  ],
  collectors_failing: signal.new({
    title: 'Collectors that fail',
    description: 'Parts of exporters that answer, but have no numbers; alerts about them are silent. 0 is right.',
    unit: 'short',
    by: ['job', 'host'],
    thresholds: { warning: 1 },
    query(s):: std.join('\nor\n', [
      'sum by (job, host) (%s == bool 0)' % s.of('pg_scrape_collector_success'),
      'sum by (job, host) (%s)' % s.of('node_textfile_scrape_error'),
      'sum by (job, host) (%s == bool 0)' % s.of('nginx_up'),
      'sum by (job, host) (%s)' % s.of('redis_exporter_last_scrape_error'),
    ]),
  }),
  certificate: signal.new({
    title: 'Certificate ends in',
    description: 'How long the certificate of the public door is still valid. After that, browsers and log shippers refuse it.',
    unit: 's',
    by: ['target'],
    thresholds: config.thresholds.certificate_left_seconds { below: true },
    no_value: 'the public door is not probed here',
    query(s):: 'min by (target) (%s) - time()' % s.of('probe_ssl_earliest_cert_expiry'),
  }),

  // ---- Backups -------------------------------------------------------------------------------------------
  backup_age: signal.new({
    title: 'Last complete backup',
    description: 'Time since the last complete backup of a machine ended. `make backup` writes it.',
    unit: 's',
    by: ['host'],
    thresholds: { warning: seconds(config.backup_max_age) },
    no_value: 'no backup was ever made here',
    query(s):: 'time() - max by (host) (%s > 0)' % s.of('claw_ai_backup_last_success_timestamp_seconds'),
  }),
  backup_size: now('Size of the backup', 'claw_ai_backup_size_bytes', 'Bytes of the last complete backup: one that shrinks lacks something.', { unit: 'bytes', by: ['host'], aggregate: 'max', no_value: 'no backup was ever made here' }),
  backup_duration: now('Duration of the backup', 'claw_ai_backup_last_duration_seconds', 'How long the last complete backup took.', { unit: 's', by: ['host'], aggregate: 'max', no_value: 'no backup was ever made here' }),
}
