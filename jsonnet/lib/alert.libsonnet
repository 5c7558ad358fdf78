// Alerting and recording rules. What every alert must have is asserted here, once.
local severities = ['critical', 'warning', 'info', 'none'];

// strReplace and split are native code; findSubstr and escapeStringJson are interpreted, and took seconds here.
local contains(text, part) = std.strReplace(text, part, '') != text;

local isCamelCase(name) = std.asciiUpper(name[0]) == name[0] && !contains(name, '_') && !contains(name, ' ');

local required(name) = {
  expr: error name + ': must provide expr',
  severity: error name + ': must provide severity',
  summary: error name + ': must provide summary',
  description: error name + ': must provide description',
  dashboard: error name + ': must provide dashboard (the uid of the one that shows what is wrong)',
};

{
  // One alerting rule. `by` names the labels that tell one alert of this name from another: inhibition between the
  // severities of a name compares them (lib/route.libsonnet). It is not written out.
  new(name, spec)::
    local s = required(name) + { hold: '0m', keep: null, by: [], labels: {} } + spec;
    assert isCamelCase(name) : name + ': a name is CamelCase';
    assert std.member(severities, s.severity) : '%s: severity is %s, not one of %s' % [name, s.severity, severities];
    assert std.endsWith(s.summary, '.') : '%s: the summary is not a sentence: %s' % [name, s.summary];
    assert s.severity == 'none' || contains(s.description, '{{ $value') : name + ': the description does not tell {{ $value }}';
    {
      alert: name,
      expr: s.expr,
      [if s.hold != '0m' then 'for']: s.hold,
      [if s.keep != null then 'keep_firing_for']: s.keep,
      labels: s.labels { severity: s.severity, dashboard: s.dashboard },
      annotations: { summary: s.summary, description: s.description },
      by:: s.by,
    },

  // The same symptom at two heights: `levels` maps a severity to what differs, usually { threshold, hold }.
  // `spec.expr` is a function of the threshold.
  levels(name, spec, levels):: [
    local level = levels[severity];
    self.new(name, spec { severity: severity, hold: level.hold, expr: spec.expr(level.threshold) })
    for severity in std.objectFields(levels)
  ],

  record(name, expr, labels={}):: {
    assert std.length(std.split(name, ':')) == 3 : name + ': a recording is named level:metric:operations',
    record: name,
    expr: expr,
    [if labels != {} then 'labels']: labels,
  },

  // The rate of a counter, or of a part of a histogram, without the labels that `by` leaves out.
  rate(by, metric, match=''):: self.record(
    '%s:%s:rate5m' % [std.join('_', by), std.strReplace(metric, '_total', '')],
    'sum by (%s) (rate(%s%s[5m]))' % [std.join(', ', by), metric, match]
  ),

  group(name, rules, interval=null):: { groups: [{ name: name, rules: rules, [if interval != null then 'interval']: interval }] },

  // Adds to every alert what follows from its file, its name and its dashboard: the team, and the links.
  complete(files, teams, urls):: std.mapWithKey(function(stem, file) {
    groups: [
      group {
        rules: [
          if 'alert' in rule then rule {
            labels+: { team: std.get(teams, stem, error stem + ': config.teams does not say whose alerts these are') },
            annotations+: {
              runbook_url: '%s/%s.md' % [urls.runbooks, rule.alert],
              dashboard_url: '%s/d/%s' % [urls.grafana, rule.labels.dashboard],
            },
          } else rule
          for rule in group.rules
        ],
      }
      for group in file.groups
    ],
  }, files),
}
