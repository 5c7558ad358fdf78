// Everything that Jsonnet writes: path in the repository -> { source, document }.
// `make generate` (generate.py) turns the documents into text: Jsonnet's own std.manifestYamlDoc and
// std.manifestJsonEx are interpreted, and take half a minute for what Python writes in a blink.
local messages = import 'messages.libsonnet';
local mixin = import 'mixin.libsonnet';
local routes = import 'routes.libsonnet';

// One file per rule group, or per `file` where a group says to which it belongs.
local file_of(group) = if std.objectHasAll(group, 'file') then group.file else group.name;
local rule_files(source, groups) = {
  ['prometheus/rules/%s.yml' % name]: {
    source: source,
    document: { groups: [group for group in groups if file_of(group) == name] },
  }
  for name in std.set([file_of(group) for group in groups])
};

rule_files('jsonnet/rules/', mixin.prometheusRules.groups)
+ rule_files('jsonnet/alerts/', mixin.prometheusAlerts.groups)
+ {
  'alertmanager/alertmanager.yml': {
    source: 'jsonnet/routes.libsonnet',
    document: routes.alertmanager,
  },
  'relay/relay.yml': {
    source: 'jsonnet/config.libsonnet',
    document: routes.relay,
  },
}
+ {
  ['alertmanager/templates/' + name]: {
    source: 'jsonnet/messages.libsonnet',
    document: { text: messages[name] },
  }
  for name in std.objectFields(messages)
}
+ {
  ['grafana/dashboards/' + name]: {
    source: 'jsonnet/dashboards/%s.libsonnet' % mixin.grafanaDashboards[name].uid,
    document: mixin.grafanaDashboards[name],
  }
  for name in std.objectFields(mixin.grafanaDashboards)
}
