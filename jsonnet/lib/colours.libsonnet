// Colours with a meaning, as overrides of panels.
local grafana = import 'grafana.libsonnet';

local by_regexp(pattern, properties) = { matcher: { id: 'byRegexp', options: pattern }, properties: properties };
local by_name(name, properties) = { matcher: { id: 'byName', options: name }, properties: properties };
local fixed(colour) = { id: 'color', value: { mode: 'fixed', fixedColor: colour } };

{
  by_status: [
    by_regexp('2..', [fixed('green')]),
    by_regexp('3..', [fixed('blue')]),
    by_regexp('4..', [fixed('orange')]),
    by_regexp('5..', [fixed('red')]),
  ],
  by_status_class: [
    by_name('2xx', [fixed('green')]),
    by_name('3xx', [fixed('blue')]),
    by_name('4xx', [fixed('orange')]),
    by_name('5xx', [fixed('red')]),
  ],

  // A dashed grey line that stands beside a stack, not on it.
  ghost(name):: by_name(name, [
    fixed('text'),
    { id: 'custom.stacking', value: { group: 'A', mode: 'none' } },
    { id: 'custom.fillOpacity', value: 0 },
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [6, 6] } },
  ]),

  // Other thresholds for one series of a panel.
  limits(name, thresholds):: by_name(name, [{ id: 'thresholds', value: grafana.thresholds(thresholds) }]),
}
