// May we ship today?
local config = import '../config.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local slo = import '../signals/slo.libsonnet';

local app = signal.view(variables.of_app);
local all = signal.view({});

local words(texts) = [{ type: 'value', options: {
  [value]: texts[value]
  for value in std.objectFields(texts)
} }];
local titles = words({ [one.name]: { text: one.title } for one in slo.objectives });
local states = words({
  '0': { text: 'quiet', index: 0 },
  '1': { text: 'ticket', index: 1 },
  '2': { text: 'PAGE', index: 2 },
});
local in_column(name, properties) = { matcher: { id: 'byName', options: name }, properties: properties };

// A line for each factor at which an alert fires.
local factors = std.set([pair.factor for pair in config.slo.burn + config.slo.leak]);
local colours = ['yellow', 'yellow', 'orange', 'red'];
local burn_lines = { fieldConfig+: { defaults+: {
  custom+: { thresholdsStyle: { mode: 'dashed' } },
  thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }] + [
    { color: colours[std.max(0, std.length(colours) - std.length(factors)) + index], value: factors[index] }
    for index in std.range(0, std.length(factors) - 1)
  ] },
} } };

{
  title: 'Claw AI: objectives · 服务目标',
  description: 'May we ship today?',
  refresh: '1m',
  from: 'now-7d',
  variables: [variables.job, variables.instance],
  rows: [
    grafana.row('May we ship today?', [
      app.table([
        slo.budget_left,
        slo.state,
        slo.objective,
        slo.achieved,
      ] + slo.burn + [
        slo.bad,
        slo.counted,
      ], {
        title: 'All objectives',
        description: 'Over the last %s. While budget is left, ship; where it is spent, repair first. Few events: do not believe the shares.' % config.slo.window,
        by: ['slo', 'job'],
        headers: { slo: 'Objective about' },
        h: 5,
        with: {
          options+: { sortBy: [{ displayName: slo.budget_left.title, desc: false }] },
          fieldConfig+: { overrides+: [
            in_column('Objective about', [{ id: 'mappings', value: titles }, { id: 'custom.width', value: 340 }]),
            in_column('Alert', [{ id: 'mappings', value: states }]),
          ] },
        },
      }),
    ]),
  ] + [
    grafana.row('%s: who spends the budget?' % one.title, [
      app.timeseries(slo.budget_of(one), { w: 8, min: null, max: 1 }),
      app.timeseries(slo.burn_of(one), { w: 8, fill: 0, with: burn_lines }),
      app.timeseries(slo.spenders[one.name], { w: 8, stack: true, links: [
        dashboard.open(slo.causes[one.name], 'Why?'),
        dashboard.open('claw-ai-logs', 'Which log lines?'),
      ] }),
    ])
    for one in slo.objectives
  ] + [
    grafana.row('Are the alerts worth waking up for?', [
      all.stat(slo.pages, { w: 8, h: 3, with: { options+: { graphMode: 'none' } } }),
      all.stat(slo.tickets, { w: 8, h: 3, with: { options+: { graphMode: 'none' } } }),
      all.stat(slo.flaps, { w: 8, h: 3, with: { options+: { graphMode: 'none' } } }),
      all.state_timeline(slo.timeline, { w: 12 }),
      all.table([slo.began, slo.flapped, slo.fired_for], {
        title: 'Alerts by name',
        description: 'Within the shown time range. What fires often and is never acted upon should be repaired or removed.',
        by: ['alertname', 'severity'],
        headers: { alertname: 'alert' },
        sort_by: ['Firing'],
        w: 12,
        h: 8,
      }),
    ]),
  ],
}
