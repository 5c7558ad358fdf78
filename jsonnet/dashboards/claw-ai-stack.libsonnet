// Can the other dashboards and the alerts be trusted?
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local logs = import '../signals/logs.libsonnet';
local watch = import '../signals/monitoring.libsonnet';

local all = signal.view({});
local flat = { with: { options+: { graphMode: 'none' } } };

{
  title: 'Claw AI: monitoring · 监控自身',
  description: 'Can the other dashboards and the alerts be trusted?',
  refresh: '1m',
  variables: variables.carried,
  rows: [
    grafana.row('Would an alert reach somebody?', [
      all.stat(watch.watchdog_age, { w: 4, h: 7 } + flat),
      all.stat(watch.heartbeat_age, { w: 3, h: 7 } + flat),
      all.stat(watch.alertmanagers, { w: 2, h: 7 } + flat),
      all.stat(watch.alerts_handed_over, { w: 3, h: 7 }),
      all.timeseries(watch.notifications, { w: 6, h: 7 }),
      all.timeseries(watch.notifications_failed, { w: 6, h: 7 }),
      all.timeseries(watch.notification_p95, { w: 12, h: 6, with: { fieldConfig+: { defaults+: { custom+: { spanNulls: true } } } } }),
      all.timeseries([watch.relay_sent, watch.relay_rejected], { title: 'Chat services, messages an hour', w: 12, h: 6 }),
    ]),
    grafana.row('Is everything watched that should be?', [
      all.table([watch.target.up, watch.target.age, watch.target.duration, watch.target.samples, watch.target.of_limit, watch.target.new_series], {
        title: 'Targets',
        description: 'What Prometheus scrapes, those that do not answer first.',
        by: ['job', 'instance'],
        sort_by: [{ displayName: 'Up', desc: false }],
        drill: { job: dashboard.logs_of('job') },
        w: 15,
        h: 9,
      }),
      all.stat(watch.targets_down, { w: 3, h: 9 } + flat),
      all.stat(watch.targets_missing, { w: 3, h: 9 } + flat),
      all.stat(watch.scrapes_dropped, { w: 3, h: 9 } + flat),
      all.timeseries(watch.collectors_failing, { w: 15, h: 6 }),
      all.stat(watch.certificate, { w: 9, h: 6 } + flat),
    ]),
    grafana.row('Does Prometheus keep up?', [
      all.bargauge(watch.rule_share, { w: 8 }),
      all.stat([watch.rules_missed, watch.rules_failed, watch.out_of_order, watch.wal_corruptions, watch.compactions_failed], {
        title: 'Went wrong in the shown time',
        description: 'Evaluations of rules that were skipped or failed, samples that came out of order, damage to the log, compactions that failed. 0 is right.',
        w: 8,
        h: 8,
      } + flat),
      all.timeseries(watch.query_p99, { w: 8 }),
      all.timeseries(watch.series, { w: 6, min: null }),
      all.timeseries([watch.samples, watch.churn], { title: 'Samples and new series', w: 6 }),
      all.timeseries([watch.blocks, watch.wal, watch.chunks], { title: 'Prometheus on disk', w: 6, stack: true }),
      all.timeseries(watch.memory, { w: 6, stack: true }),
      all.gauge(watch.kept, { w: 6, h: 5, with: { fieldConfig+: { defaults+: { color: { mode: 'fixed', fixedColor: 'blue' } } } } }),
      all.stat(watch.remote_behind, { w: 4, h: 5 } + flat),
      all.stat(watch.remote_refused, { w: 4, h: 5 } + flat),
      all.stat(watch.configuration_ok, { w: 10, h: 5, mappings: grafana.yes_or_no('accepted', 'refused') } + flat),
    ]),
    grafana.row('What makes the series?', [
      all.bargauge(watch.series_by_job, { w: 8, h: 9 }),
      all.timeseries(watch.new_by_job, { w: 8, h: 9 }),
      all.timeseries(watch.overflow, { w: 4, h: 9 }),
      all.timeseries(watch.internal_errors, { w: 4, h: 9 }),
    ]),
    grafana.row('Alertmanager: what does it hold back?', [
      all.timeseries(watch.alerts, { w: 6 }),
      all.timeseries(watch.silences, { w: 6 }),
      all.timeseries(watch.received, { w: 6 }),
      all.stat(watch.alertmanager_faults, {
        title: 'Went wrong in Alertmanager',
        description: 'In the shown time: what it could not write, had no room for, or refused; members that are missing or configured otherwise.',
        w: 6,
        h: 8,
      } + flat),
    ]),
    grafana.row('Logs: do lines arrive?', [
      all.timeseries([logs.received, logs.sent], { title: 'Lines shipped and received', w: 6, links: [dashboard.open('claw-ai-logs', 'More about logs')] }),
      all.timeseries([logs.discarded, logs.dropped], { title: 'Lines lost', w: 6 }),
      all.timeseries(logs.errors, { w: 5 }),
      all.stat(logs.panics, { w: 2, h: 8 } + flat),
      all.stat(logs.streams, { w: 2, h: 8 }),
      all.stat(logs.compactor_age, { w: 3, h: 8 } + flat),
    ]),
    grafana.row('Our exporter: are its numbers fresh?', [
      all.table([watch.probe.success, watch.probe.age, watch.probe.duration, watch.probe.interval, watch.probe.errors, watch.probe.dropped], {
        title: 'Probes',
        description: 'What asks databases, queues and the machine. An age is given in intervals; beyond 5 the alert ProbeStale fires.',
        by: ['probe'],
        sort_by: ['Age'],
        h: 8,
        w: 24,
      }),
    ]),
    grafana.row('Backups: could everything be put back?', [
      all.stat(watch.backup_age, { w: 8 } + flat),
      all.stat(watch.backup_size, { w: 8 }),
      all.stat(watch.backup_duration, { w: 8 }),
    ]),
  ],
}
