// The monitoring itself: whatever breaks here makes every other alert silent.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local problems = import '../lib/problems.libsonnet';
local seconds = import '../lib/duration.libsonnet';

local anyOf = problems.anyOf;
local grown = problems.grown;
local limits = config.thresholds;

// Age of the configuration that runs where a newer one was refused: its value says more than the 0 that is compared.
local staleConfig(server) = |||
  time() - %(server)s_config_last_reload_success_timestamp_seconds
  and
  %(server)s_config_last_reload_successful == 0
||| % { server: server };

alert.group('monitoring-alerts', [
  alert.new('TargetDown', {
    expr: |||
      up{job!="probes"} == 0
      or
      # A probe fails with its prober, which is a target itself: only one whose prober is there is news.
      (up{job="probes"} == 0 unless on (instance) up{job="blackbox-exporter"} == 0)
    |||,
    severity: 'warning',
    hold: '5m',
    by: ['job', 'host'],
    summary: 'A target of {{ $labels.job }} cannot be scraped.',
    description: '{{ $labels.instance }} on {{ $labels.host }} has not answered for 5m: up is {{ $value }}.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('TargetDown', {
    // The value is how many there are: with all of them down, how many are up says nothing. By host, so that a dead
    // machine mutes what it took along, and nothing else.
    expr: |||
      count by (job, host) (up{job!="probes"}) and on (job) job:up:sum == 0
    |||,
    severity: 'critical',
    hold: '5m',
    by: ['job', 'host'],
    summary: 'No target of {{ $labels.job }} can be scraped.',
    description: 'Known targets on {{ $labels.host }}: {{ $value }}. None has answered for 5m, there or elsewhere, so nothing is known about this job any more.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('TargetMissing', {
    // `up` cannot tell that a target left its file: it leaves with it. The arm with 0 is for jobs that left entirely.
    expr: |||
      job:claw_expected_targets:count
      - on (job)
      (job:up:count or 0 * job:claw_expected_targets:count)
      > 0
    |||,
    severity: 'critical',
    hold: '10m',
    by: ['job'],
    summary: 'Prometheus does not know every target of {{ $labels.job }}.',
    description: 'Targets missing: {{ $value }}. They stand in no file that it reads, so nothing watches them.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('ScrapeLimitHit', {
    expr: anyOf({
      'too many samples': grown('prometheus_target_scrapes_exceeded_sample_limit_total', '10m'),
      'too many bytes': grown('prometheus_target_scrapes_exceeded_body_size_limit_total', '10m'),
      'too many or too long labels': grown('prometheus_target_scrape_pool_exceeded_label_limits_total', '10m'),
      'too many targets': grown('prometheus_target_scrape_pool_exceeded_target_limit_total', '10m'),
    }),
    severity: 'critical',
    hold: '1m',
    by: ['job', 'instance', 'problem'],
    summary: 'Prometheus throws scrapes away: {{ $labels.problem }}.',
    description: 'About {{ $value | humanize }} times in the last 10m something stood above a limit of prometheus.yml; each time all of it was dropped.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('ProbeStale', {
    expr: |||
      # What asks a model has an alert of its own, AiCanaryFailing.
      claw_ai_exporter_probe_age_seconds{probe!~"canary/.*"} > 5 * claw_ai_exporter_probe_interval_seconds
    |||,
    severity: 'warning',
    hold: '5m',
    by: ['job', 'instance', 'probe'],
    summary: 'The values of the probe {{ $labels.probe }} are old.',
    description: 'The exporter at {{ $labels.instance }} serves values older than five intervals. Their age is {{ $value | humanizeDuration }} (+Inf: there was none yet).',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('PrometheusDegraded', {
    expr: anyOf({
      'rule evaluations fail': grown('prometheus_rule_evaluation_failures_total', '10m'),
      'rule evaluations are skipped': grown('prometheus_rule_group_iterations_missed_total', '10m'),
      'compactions fail': grown('prometheus_tsdb_compactions_failed_total', '1h'),
      'blocks cannot be read again': grown('prometheus_tsdb_reloads_failures_total', '1h', least=2),
      'the write-ahead log is corrupt': grown('prometheus_tsdb_wal_corruptions_total', '1h'),
      'the write-ahead log cannot be written': grown('prometheus_tsdb_wal_writes_failed_total', '1h'),
      // A file that is being written may be unreadable once.
      'target files cannot be read': grown('prometheus_sd_file_read_errors_total', '10m', least=2),
      'target files hold invalid entries': grown('prometheus_target_sync_failed_total', '30m'),
      'two targets write the same series': grown('prometheus_target_scrapes_sample_duplicate_timestamp_total', '10m', least=10),
      'samples come out of order': grown('prometheus_target_scrapes_sample_out_of_order_total', '10m', least=10),
    }),
    severity: 'warning',
    hold: '5m',
    by: ['job', 'instance', 'problem'],
    summary: 'Prometheus at {{ $labels.instance }} does not work as it should: {{ $labels.problem }}.',
    description: 'This happened about {{ $value | humanize }} times lately; rules and alerts may be late or wrong.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('ConfigReloadFailed', {
    expr: std.join('or\n', [staleConfig(server) for server in ['prometheus', 'alertmanager', 'claw_ai_exporter']]),
    severity: 'critical',
    hold: '2m',
    by: ['job', 'instance'],
    summary: '{{ $labels.job }} at {{ $labels.instance }} refused its new configuration.',
    description: 'It still works by one that is {{ $value | humanizeDuration }} old; a restart would not come up.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('NotificationsFailing', {
    expr: |||
      sum by (job, host, instance, integration) (increase(alertmanager_notifications_failed_total[15m]))
      /
      sum by (job, host, instance, integration) (increase(alertmanager_notifications_total[15m]))
      > 0.01
      and
      # Once may be a receiver that restarted.
      sum by (job, host, instance, integration) (increase(alertmanager_notifications_failed_total[15m])) >= 2
    |||,
    severity: 'critical',
    hold: '5m',
    by: ['job', 'instance', 'integration'],
    summary: 'Alertmanager cannot deliver notifications by {{ $labels.integration }}.',
    description: '{{ $value | humanizePercentage }} of the notifications in the last 15m were lost.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('AlertsUndelivered', {
    // By the Alertmanager that takes most of them: one of several may be away.
    expr: anyOf({
      'no Alertmanager takes them': |||
        min by (job, host, instance) (increase(prometheus_notifications_errors_total[5m])) >= 3
      |||,
      'they are dropped': grown('prometheus_notifications_dropped_total', '5m'),
    }),
    severity: 'critical',
    hold: '5m',
    by: ['job', 'host', 'instance', 'problem'],
    summary: 'Alerts of the Prometheus at {{ $labels.instance }} are lost: {{ $labels.problem }}.',
    description: 'About {{ $value | humanize }} did not get through in the last 5m.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('AlertsUndelivered', {
    expr: |||
      max_over_time(prometheus_notifications_alertmanagers_discovered[5m]) < 1
    |||,
    severity: 'critical',
    hold: '5m',
    by: ['job', 'host', 'instance', 'problem'],
    labels: { problem: 'no Alertmanager is known' },
    summary: 'Alerts of the Prometheus at {{ $labels.instance }} are lost: it knows no Alertmanager.',
    description: 'Alertmanagers in its target file: {{ $value }}.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('PrometheusRemoteWriteFailing', {
    // Prometheus 3.7 gave the timestamp to each queue; the older one knows only the newest sample of all.
    expr: |||
      (
        prometheus_remote_storage_queue_highest_timestamp_seconds
        or
        prometheus_remote_storage_queue_highest_sent_timestamp_seconds * 0
        + on (job, host, instance) group_left ()
        prometheus_remote_storage_highest_timestamp_in_seconds
      )
      - (
        prometheus_remote_storage_queue_highest_sent_timestamp_seconds > 0
        or
        # 0 until the first one arrives.
        prometheus_remote_storage_queue_highest_sent_timestamp_seconds * 0
        + on (job, host, instance) group_left ()
        process_start_time_seconds
      )
      > %d
    ||| % limits.remote_write_lag_seconds,
    severity: 'warning',
    hold: '15m',
    by: ['job', 'host', 'instance', 'remote_name', 'problem'],
    labels: { problem: 'it is behind' },
    summary: 'The remote storage {{ $labels.remote_name }} does not get what Prometheus measures.',
    description: 'It is {{ $value | humanizeDuration }} behind; what waits for longer than two hours is lost.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('PrometheusRemoteWriteFailing', {
    expr: |||
      sum by (job, host, instance, remote_name) (increase(prometheus_remote_storage_samples_failed_total[10m])) > 0
    |||,
    severity: 'warning',
    hold: '10m',
    by: ['job', 'host', 'instance', 'remote_name', 'problem'],
    labels: { problem: 'samples are refused' },
    summary: 'The remote storage {{ $labels.remote_name }} does not get what Prometheus measures.',
    description: 'It refused {{ $value | humanize }} samples in the last 10m, and Prometheus gave them up.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('AlertmanagerDegraded', {
    expr: anyOf({
      'it refuses alerts as invalid': grown('alertmanager_alerts_invalid_total', '10m'),
      'it has too many groups': grown('alertmanager_dispatcher_aggregation_group_limit_reached_total', '10m'),
      'it cannot save its silences': grown('alertmanager_silences_maintenance_errors_total', '1h'),
      'it cannot save whom it told': grown('alertmanager_nflog_maintenance_errors_total', '1h'),
      'members do not find each other': 'max by (job, host, instance) (min_over_time(alertmanager_cluster_failed_peers[5m])) > 0',
      // Those who send twice, or not at all, because each goes by its own configuration.
      'configurations differ': 'count by (job) (count_values by (job) ("hash", alertmanager_config_hash)) > 1',
    }),
    severity: 'warning',
    hold: '10m',
    by: ['job', 'problem'],
    summary: 'Alertmanager does not work as it should: {{ $labels.problem }}.',
    description: 'Counted: {{ $value | humanize }}.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('CardinalityGrowing', {
    expr: |||
      max by (job, host, instance) (scrape_samples_post_metric_relabeling) > %d
    ||| % [limits.samples_of_limit_ratio * config.sample_limit],
    severity: 'warning',
    hold: '10m',
    by: ['job', 'problem'],
    labels: { problem: 'near the limit' },
    summary: '{{ $labels.job }} shows more and more series.',
    description: 'A scrape of {{ $labels.instance }} has {{ $value | humanize }} samples. Above the sample_limit of %d all of it is dropped.' % config.sample_limit,
    dashboard: 'claw-ai-stack',
  }),
  alert.new('CardinalityGrowing', {
    // By the largest instance: a second one is no growth. A deployment begins with few series and comes back to its own.
    expr: |||
      max by (job) (scrape_samples_post_metric_relabeling)
      - max by (job) (max_over_time(scrape_samples_post_metric_relabeling[1d] offset 1h))
      > clamp_min(
        0.5 * max by (job) (max_over_time(scrape_samples_post_metric_relabeling[1d] offset 1h)),
        %d
      )
      and on (job)
      # What is new grows all day.
      max by (job) (scrape_samples_post_metric_relabeling offset 1d)
    ||| % limits.new_series_min,
    severity: 'warning',
    hold: '15m',
    by: ['job', 'problem'],
    labels: { problem: 'more than ever' },
    summary: '{{ $labels.job }} shows more and more series.',
    description: 'Within the last hour a target of it grew by {{ $value | humanize }} series, more than half of the most it had in the day before.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('CardinalityGrowing', {
    // Each restart shows all series as new: so many within an hour are no restarts.
    expr: |||
      sum by (job) (sum_over_time(scrape_series_added[1h]))
      > clamp_min(5 * sum by (job) (scrape_samples_post_metric_relabeling), %d)
    ||| % [10 * limits.new_series_min],
    severity: 'warning',
    hold: '15m',
    by: ['job', 'problem'],
    labels: { problem: 'series come and go' },
    summary: '{{ $labels.job }} shows more and more series.',
    description: '{{ $value | humanize }} new ones in the last hour, more than five times as many as it shows at once: a label changes its value all the time.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('CollectorFailing', {
    // Its numbers are missing, so alerts on them are silent. A folder for textfiles that never held one is no fault.
    expr: anyOf({
      'files of the textfile collector': |||
        sum by (job, host, instance) (
          node_textfile_scrape_error == 1
          and on (host, instance)
          last_over_time(node_textfile_mtime_seconds[1d])
        )
      |||,
      'a collector of the Postgres exporter': 'sum by (job, host, instance) (pg_scrape_collector_success == bool 0) > 0',
      'what Redis answers': 'sum by (job, host, instance) (redis_exporter_last_scrape_error == 1 and on (job, host, instance) redis_up == 1)',
      'the status page of nginx': 'sum by (job, host, instance) (nginx_up == bool 0) > 0',
    }),
    severity: 'warning',
    hold: '15m',
    by: ['job', 'host', 'instance', 'problem'],
    summary: '{{ $labels.job }} on {{ $labels.host }} cannot read a part of what it should.',
    description: 'Parts that fail at {{ $labels.instance }}: {{ $value }} ({{ $labels.problem }}). Alerts about them are silent.',
    dashboard: 'claw-ai-stack',
  }),
  // The series is written by `make up` and `make backup`: where neither ever ran (the demo), nobody waits for a backup.
  alert.new('BackupStale', {
    expr: |||
      time() - (claw_ai_backup_last_success_timestamp_seconds > 0) > %d
    ||| % seconds(config.backup_max_age),
    severity: 'warning',
    hold: '5m',
    by: ['host', 'problem'],
    labels: { problem: 'too old' },
    summary: 'The last complete backup of {{ $labels.host }} is old.',
    description: 'It ended {{ $value | humanizeDuration }} ago. What happened since is in no backup.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('BackupStale', {
    expr: 'claw_ai_backup_last_success_timestamp_seconds == 0',
    severity: 'warning',
    // Time to set up the stack and its first backup.
    hold: '1h',
    by: ['host', 'problem'],
    labels: { problem: 'never' },
    summary: 'There has never been a complete backup of {{ $labels.host }}.',
    description: 'Complete backups: {{ $value }}. What breaks now is lost.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('Watchdog', {
    expr: 'vector(1)',
    severity: 'none',
    summary: 'Alerts reach their receivers.',
    description: 'Always firing. Where it stops arriving, Prometheus, Alertmanager or the way between is broken.',
    dashboard: 'claw-ai-stack',
  }),
  alert.new('WatchdogFreshData', {
    expr: |||
      vector(1) and on () time() - max(timestamp(up)) < 120
    |||,
    severity: 'none',
    summary: 'Prometheus scrapes, stores and evaluates.',
    description: 'Always firing while samples arrive. Where it stops while Watchdog goes on, scraping or storing is broken.',
    dashboard: 'claw-ai-stack',
  }),
])
