// The monitoring itself: whatever breaks here makes every other alert silent.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local seconds = import '../lib/duration.libsonnet';

// Several faults of one kind in one alert; the label `problem` tells which.
local anyOf(arms) = std.join('or\n', [
  |||
    label_replace(%s, "problem", "%s", "", "")
  ||| % [arms[problem], problem]
  for problem in std.objectFields(arms)
]);

local grown(metric, window) = 'sum by (job, host, instance) (increase(%s[%s])) > 0' % [metric, window];

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
    dashboard: 'claw-ai-overview',
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
    dashboard: 'claw-ai-overview',
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
    dashboard: 'claw-ai-overview',
  }),
  alert.new('ScrapeLimitHit', {
    expr: anyOf({
      'too many samples': grown('prometheus_target_scrapes_exceeded_sample_limit_total', '10m'),
      'too many bytes': grown('prometheus_target_scrapes_exceeded_body_size_limit_total', '10m'),
    }),
    severity: 'critical',
    hold: '1m',
    by: ['job', 'instance', 'problem'],
    summary: 'Prometheus throws scrapes away: {{ $labels.problem }}.',
    description: 'About {{ $value | humanize }} scrapes in the last 10m stood above a limit of prometheus.yml; each was dropped whole.',
    dashboard: 'claw-ai-overview',
  }),
  alert.new('ProbeStale', {
    expr: |||
      claw_ai_exporter_probe_age_seconds > 5 * claw_ai_exporter_probe_interval_seconds
    |||,
    severity: 'warning',
    hold: '5m',
    by: ['job', 'instance', 'probe'],
    summary: 'The values of the probe {{ $labels.probe }} are old.',
    description: 'The exporter at {{ $labels.instance }} serves values older than five intervals. Their age is {{ $value | humanizeDuration }} (+Inf: there was none yet).',
    dashboard: 'claw-ai-overview',
  }),
  alert.new('PrometheusDegraded', {
    expr: anyOf({
      'rule evaluations fail': grown('prometheus_rule_evaluation_failures_total', '10m'),
      'rule evaluations are skipped': grown('prometheus_rule_group_iterations_missed_total', '10m'),
      'compactions fail': grown('prometheus_tsdb_compactions_failed_total', '1h'),
      'the write-ahead log is corrupt': grown('prometheus_tsdb_wal_corruptions_total', '1h'),
    }),
    severity: 'warning',
    hold: '5m',
    by: ['job', 'instance', 'problem'],
    summary: 'Prometheus at {{ $labels.instance }} does not work as it should: {{ $labels.problem }}.',
    description: 'This happened about {{ $value | humanize }} times lately; rules and alerts may be late or wrong.',
    dashboard: 'claw-ai-overview',
  }),
  alert.new('ConfigReloadFailed', {
    expr: staleConfig('prometheus') + 'or\n' + staleConfig('alertmanager'),
    severity: 'critical',
    hold: '2m',
    by: ['job', 'instance'],
    summary: '{{ $labels.job }} at {{ $labels.instance }} refused its new configuration.',
    description: 'It still works by one that is {{ $value | humanizeDuration }} old; a restart would not come up.',
    dashboard: 'claw-ai-overview',
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
    dashboard: 'claw-ai-overview',
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
    dashboard: 'claw-ai-overview',
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
    dashboard: 'claw-ai-overview',
  }),
  alert.new('Watchdog', {
    expr: 'vector(1)',
    severity: 'none',
    summary: 'Alerts reach their receivers.',
    description: 'Always firing. Where it stops arriving, Prometheus, Alertmanager or the way between is broken.',
    dashboard: 'claw-ai-overview',
  }),
  alert.new('WatchdogFreshData', {
    expr: |||
      vector(1) and on () time() - max(timestamp(up)) < 120
    |||,
    severity: 'none',
    summary: 'Prometheus scrapes, stores and evaluates.',
    description: 'Always firing while samples arrive. Where it stops while Watchdog goes on, scraping or storing is broken.',
    dashboard: 'claw-ai-overview',
  }),
])
