// Alertmanager's configuration as data: matchers, receivers, and inhibition that cannot mute by accident.
local seconds = import 'duration.libsonnet';

local is(label, value) = '%s = "%s"' % [label, value];
local isOneOf(label, values) = '%s =~ "%s"' % [label, std.join('|', values)];
local isSet(label) = '%s != ""' % label;

// Name, severity and promised labels of each alert. As locals: a field of an object is worked out again at each look, and
// inhibition looks thousands of times.
local rulesOf(files) = [
  local name = rule.alert, severity = rule.labels.severity, by = rule.by;
  { alert: name, severity: severity, by: by }
  for stem in std.objectFields(files)
  for group in files[stem].groups
  for rule in group.rules
  if std.objectHas(rule, 'alert')
];

local named(rules, name) =
  local found = [rule for rule in rules if rule.alert == name];
  if found == [] then error 'inhibition names the alert %s, which does not exist' % name else found;

// Alertmanager takes a label that both sides lack for equal: one page would mute half the world. So each label that is
// compared must be one that the alert promises, and must be there.
local inhibit(rules, name, source, target, equal) =
  local promised(alertname) = std.foldl(std.setInter, [std.set(rule.by) for rule in named(rules, alertname)], std.set(equal));
  local missing = [
    '%s does not promise the label %s' % [alertname, label]
    for alertname in [source.alert, target.alert]
    for label in equal
    if !std.member(promised(alertname), label)
  ];
  local matchers(side) =
    [is('alertname', side.alert)]
    + (if 'severity' in side then [is('severity', side.severity)] else [])
    + [isSet(label) for label in equal];
  assert std.length(equal) > 0 : name + ': an inhibition without equal labels mutes everywhere';
  assert missing == [] : '%s: %s' % [name, std.join('; ', missing)];
  { name: name, source_matchers: matchers(source), target_matchers: matchers(target), equal: equal };

local list(names) = std.join(', ', names);

local known(name, where, intervals) =
  if std.objectHas(intervals, name) then name
  else error "%s: '%s' is not one of config.time_intervals (%s)" % [where, name, list(std.objectFields(intervals))];

// The teams that a row names; [] where it names none.
local teamsOf(row, where, teams) =
  local given = std.get(row, 'team', []);
  local wanted = if std.isArray(given) then given else [given];
  local unknown = [team for team in wanted if !std.member(teams, team)];
  assert unknown == [] : "%s: '%s' is not one of config.teams (%s)" % [where, unknown[0], list(teams)];
  wanted;

{
  is: is,
  isOneOf: isOneOf,

  // The rows of config.routing as routes.
  //
  //   context: { receiver(name, where), teams, intervals, repeat: { critical, warning } }
  rows(routing, context)::
    local severities = ['critical', 'warning'];
    local one(index, row) =
      local where = 'config.routing[%d]' % index;
      local unknown = [key for key in std.objectFields(row) if !std.member(['during', 'receiver', 'severity', 'team'], key)];
      local chosen = if std.objectHas(row, 'severity') then [row.severity] else severities;
      local wanted = teamsOf(row, where, context.teams);
      assert unknown == [] : "%s: '%s' is no setting of a row; there are during, receiver, severity, team" % [where, unknown[0]];
      assert std.member(severities, chosen[0]) :
             "%s: severity '%s' is not one of %s (info and none are sent to nobody)" % [where, chosen[0], std.join(', ', severities)];
      {
        receiver: context.receiver(std.get(row, 'receiver', error where + ': must provide receiver'), where),
        covers:: [[team, severity] for team in (if wanted == [] then context.teams else wanted) for severity in chosen],
        waits:: std.objectHas(row, 'during'),
        matchers:
          [if std.length(chosen) == 1 then is('severity', chosen[0]) else isOneOf('severity', chosen)]
          + (if wanted == [] then [] else if std.length(wanted) == 1 then [is('team', wanted[0])] else [isOneOf('team', wanted)]),
        [if chosen == ['critical'] then 'repeat_interval']: context.repeat.critical,
        [if std.length(chosen) > 1 then 'routes']: [
          {
            receiver: row.receiver,
            matchers: [is('severity', 'critical')],
            repeat_interval: context.repeat.critical,
            [if std.objectHas(row, 'during') then 'active_time_intervals']: [known(row.during, where, context.intervals)],
          },
        ],
        [if std.objectHas(row, 'during') then 'active_time_intervals']: [known(row.during, where, context.intervals)],
      };
    local rows = std.mapWithIndex(one, routing);
    local before(index) = std.flattenArrays([row.covers for row in rows[:index]]);
    local idle = [
      index
      for index in std.range(0, std.length(rows) - 1)
      if [pair for pair in rows[index].covers if !std.member(before(index), pair)] == []
    ];
    local untold = [
      'team %s, severity %s' % [team, severity]
      for team in context.teams
      for severity in severities
      if !std.member(std.flattenArrays([row.covers for row in rows]), [team, severity])
    ];
    // Asking for the receivers is asking whether they exist; better said before what follows from it.
    assert std.isString(std.join('', [row.receiver for row in rows])) : 'never';
    assert idle == [] : 'config.routing[%d] can never fit: the rows above it take whatever it would; move it up' % idle[0];
    assert untold == [] : 'config.routing has no row for %s: add one that names its receiver' % untold[0];
    rows,

  // One entry of config.maintenance: { during, matchers }.
  window(window, where, intervals, teams)::
    local unknown = [key for key in std.objectFields(window) if !std.member(['during', 'labels'], key)];
    local labels = std.get(window, 'labels', {});
    local unheard = [team for team in teamsOf(labels, where, teams) if !std.member(teams, team)];
    assert unknown == [] : "%s: '%s' is no setting of a window; there are during, labels" % [where, unknown[0]];
    assert unheard == [] : where;
    {
      during: known(std.get(window, 'during', error where + ': must provide during'), where, intervals),
      matchers: [is(label, labels[label]) for label in std.objectFields(labels)],
    },

  // A span of time by its name; its parts are in the time zone of all, unless they say another.
  interval(name, parts, time_zone):: {
    name: name,
    time_intervals: [{ location: time_zone } + part for part in parts],
  },

  // A heartbeat's timing. When both were equal, every second beat would find its group just visited.
  heartbeat(timing)::
    assert seconds(timing.repeat_interval) < seconds(timing.group_interval) :
           'a heartbeat repeats every %s, which is not below its group_interval of %s' % [timing.repeat_interval, timing.group_interval];
    { group_by: ['alertname'], group_wait: '0s' } + timing,

  // For every alert that comes at two heights: the critical one mutes the warning about the same thing.
  severityInhibitions(files)::
    local rules = rulesOf(files);
    local names(severity) = std.set([rule.alert for rule in rules if rule.severity == severity]);
    [
      inhibit(
        rules,
        'critical-%s-mutes-its-warning' % name,
        { alert: name, severity: 'critical' },
        { alert: name, severity: 'warning' },
        named(rules, name)[0].by
      )
      for name in std.setInter(names('critical'), names('warning'))
    ],

  // causes: [{ source, mutes: [alert], equal: [label] }]
  causeInhibitions(files, causes)::
    local rules = rulesOf(files);
    [
      inhibit(rules, '%s-mutes-%s' % [cause.source, target], { alert: cause.source }, { alert: target }, cause.equal)
      for cause in causes
      for target in cause.mutes
    ],
}
