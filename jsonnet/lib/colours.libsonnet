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

  // What was tried: good is green whatever else there is.
  by_outcome: [
    by_name('ok', [fixed('green')]),
    by_name('stop', [fixed('green')]),
    by_name('cancelled', [fixed('text')]),
    by_name('rate_limited', [fixed('orange')]),
    by_name('max_steps', [fixed('orange')]),
    by_name('length', [fixed('orange')]),
    by_regexp('error|server_error|timeout|connection', [fixed('red')]),
    by_regexp('quota_exhausted|auth|content_filter|refusal', [fixed('purple')]),
  ],

  by_level: [
    by_name('debug', [fixed('text')]),
    by_name('info', [fixed('blue')]),
    by_name('warning', [fixed('orange')]),
    by_name('error', [fixed('red')]),
    by_name('critical', [fixed('dark-red')]),
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
