// Alertmanager's configuration as data: matchers, receivers, and inhibition that cannot mute by accident.
local seconds = import 'duration.libsonnet';

local is(label, value) = '%s = "%s"' % [label, value];
local isOneOf(label, values) = '%s =~ "%s"' % [label, std.join('|', values)];
local isSet(label) = '%s != ""' % label;

local rulesOf(files) = [
  rule
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

{
  is: is,
  isOneOf: isOneOf,

  // A receiver. Its address is read from a file when a notification leaves, so that no address stands in the
  // configuration. Alertmanager resolves the path against its working directory: the folder of its configuration.
  receiver(name, options):: {
    name: name,
    [if 'url_file' in options then 'webhook_configs']: [
      { url_file: 'secrets/' + options.url_file, send_resolved: std.get(options, 'send_resolved', true) },
    ],
  },

  // A heartbeat's timing. When both were equal, every second beat would find its group just visited.
  heartbeat(timing)::
    assert seconds(timing.repeat_interval) < seconds(timing.group_interval) :
           'a heartbeat repeats every %s, which is not below its group_interval of %s' % [timing.repeat_interval, timing.group_interval];
    { group_by: ['alertname'], group_wait: '0s' } + timing,

  // For every alert that comes at two heights: the critical one mutes the warning about the same thing.
  severityInhibitions(files)::
    local rules = rulesOf(files);
    local names(severity) = std.set([rule.alert for rule in rules if rule.labels.severity == severity]);
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
