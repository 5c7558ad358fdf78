// What runs, what fires, what changed.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local firing(severity, limits) = signal.new({
  title: severity,
  description: 'Alerts that fire now, by severity, whatever job they are about.',
  unit: 'short',
  thresholds: limits,
  query(s):: 'count(ALERTS{alertstate="firing", severity="%s"}) or vector(0)' % severity,
});

{
  critical: firing('critical', { warning: 1, critical: 1 }),
  warning: firing('warning', { warning: 1, critical: 10 }),
  firing_for: signal.new({
    title: 'Firing for',
    description: 'Alerts that fire now and since when. The two watchdogs always fire: they prove that alerting works.',
    unit: 's',
    by: ['severity', 'alertname', 'job', 'dashboard'],
    query(s):: |||
      (time() - max by (severity, alertname, job, dashboard) (ALERTS_FOR_STATE))
      and on (severity, alertname, job, dashboard)
      ALERTS{alertstate="firing"}
    |||,
  }),
  budget_left: signal.new({
    title: 'Error budget left, %s' % config.slo.window,
    description: 'Share of the error budget that is left. Below 0 the objective is missed: stop shipping, start repairing.',
    unit: 'percentunit',
    by: ['slo'],
    thresholds: { warning: 0.25, critical: 0, below: true },
    query(s):: 'min by (slo) (%s)' % s.recorded('job:slo:budget_left', { 'slo=~': 'http_availability|ai_answers' }),
  }),
  targets_up: signal.new({
    title: 'Service health',
    description: 'Targets up, as a share of the targets expected (config.libsonnet), by job. 0 also where a job vanished.',
    unit: 'percentunit',
    by: ['job'],
    thresholds: { warning: 1, critical: 0.5, below: true },
    query(s):: |||
      (job:up:sum or 0 * job:claw_expected_targets:count)
      / on (job)
      job:claw_expected_targets:count
    |||,
  }),
  app_up: signal.new({
    title: 'Application',
    description: '1 while every instance of the application answers scrapes.',
    unit: 'percentunit',
    by: ['job'],
    query(s):: 'min by (job) (%s)' % s.target('up'),
  }),
  door_up: signal.new({
    title: 'Public door',
    description: '1 while probes from outside get through.',
    unit: 'percentunit',
    by: ['target'],
    legend: 'probe of {{target}}',
    query(s):: 'min by (target) (%s)' % s.of('probe_success', { 'module=~': 'https?_2xx.*' }),
  }),
  versions: signal.new({
    title: 'Instances',
    description: 'Instances that run a version.',
    unit: 'short',
    by: ['job', 'app', 'version', 'library_version'],
    query(s):: 'count by (job, app, version, library_version) (claw_ai_build_info)',
  }),
  uptime: signal.new({
    title: 'Running for',
    description: 'Time since the process of a target started.',
    unit: 's',
    by: ['job', 'instance'],
    query(s):: 'time() - max by (job, instance) (process_start_time_seconds)',
  }),
  restarts: signal.new({
    title: 'Restarts',
    description: 'How often the process of a target started anew within the shown time range.',
    unit: 'short',
    by: ['job', 'instance'],
    thresholds: { warning: 1, critical: 3 },
    query(s):: 'max by (job, instance) (changes(process_start_time_seconds[$__range]))',
  }),
  prometheus_config_age: signal.new({
    title: 'Prometheus',
    description: 'Time since the configuration was last loaded.',
    unit: 's',
    query(s):: 'time() - max(prometheus_config_last_reload_success_timestamp_seconds)',
  }),
  alertmanager_config_age: signal.new({
    title: 'Alertmanager',
    description: 'Time since the configuration was last loaded.',
    unit: 's',
    query(s):: 'time() - max(alertmanager_config_last_reload_success_timestamp_seconds)',
  }),
}
