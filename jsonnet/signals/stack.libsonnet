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
    no_value: 'nothing fires',
    description: 'Alerts that fire now and since when. A click opens the dashboard that shows why. The two watchdogs are left out: they always fire.',
    unit: 's',
    by: ['severity', 'alertname', 'job', 'dashboard'],
    query(s):: |||
      (time() - max by (severity, alertname, job, dashboard) (ALERTS_FOR_STATE))
      and on (severity, alertname, job, dashboard)
      ALERTS{alertstate="firing", severity=~"critical|warning|info"}
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
  canaries: signal.new({
    title: 'Providers asked by the exporter',
    description: '1 while the small request that the exporter makes to each provider succeeds: fails it too, it is not us.',
    unit: 'percentunit',
    by: ['provider'],
    legend: '{{provider}} (canary)',
    query(s):: 'min by (provider) (%s)' % s.of('claw_ai_canary_success'),
  }),
  versions: signal.new({
    title: 'Instances',
    description: 'Instances that run a version, of an application or of its table of prices.',
    unit: 'short',
    by: ['job', 'app', 'version', 'library_version'],
    query(s):: |||
      count by (job, app, version, library_version) (claw_ai_build_info)
      or
      label_replace(count by (job, version) (claw_ai_ai_price_table_info), "app", "prices", "", "")
    |||,
  }),
  uptime: signal.new({
    title: 'Running for',
    description: 'Time since the youngest process of a job started.',
    unit: 's',
    by: ['job'],
    query(s):: 'time() - max by (job) (process_start_time_seconds)',
  }),
  restarts: signal.new({
    title: 'Restarts',
    description: 'How often processes of a job started anew within the shown time range.',
    unit: 'short',
    by: ['job'],
    thresholds: { warning: 1, critical: 3 },
    query(s):: 'sum by (job) (changes(process_start_time_seconds[$__range]))',
  }),
  configured: signal.new({
    title: 'Configured',
    description: 'Time since the configuration was last loaded.',
    unit: 's',
    by: ['job'],
    query(s):: |||
      time() - max by (job) (
        %s
        or
        %s
        or
        %s
      )
    ||| % [
      s.of('prometheus_config_last_reload_success_timestamp_seconds'),
      s.of('alertmanager_config_last_reload_success_timestamp_seconds'),
      s.of('claw_ai_exporter_config_last_reload_success_timestamp_seconds'),
    ],
  }),
}
