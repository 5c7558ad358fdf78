// How often alerts begin to fire: the history of ALERTS says since when one fires, not how many there were.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

local firing = 'ALERTS{alertstate="firing", severity=~"critical|warning"}';
local begun = '(%s unless %s offset %s)' % [firing, firing, config.intervals.evaluation];

alert.group('alert-quality-rules', [
  // A sample only where something began to fire since the evaluation before: their sum is the number of notifications
  // that people got at the most, before grouping.
  alert.record('alertname_severity:alerts_begun:count', 'count by (alertname, severity) %s' % begun),
  alert.record('severity:alerts_begun:count', 'sum by (severity) (alertname_severity:alerts_begun:count)'),
  // The same alert had fired within the hour before.
  alert.record('alertname_severity:alerts_begun_again:count', |||
    count by (alertname, severity) (
      %s
      and
      # Not what begins now: the alert that ended before.
      last_over_time(%s[1h] offset 1m)
    )
  ||| % [begun, firing]),
  alert.record('severity:alerts_begun_again:count', 'sum by (severity) (alertname_severity:alerts_begun_again:count)'),
])
