// The three outputs of a monitoring mixin, under their usual names, so that public mixins combine with this one:
//   (import 'mixin.libsonnet') + (import 'their/mixin.libsonnet')
local alerts = import 'alerts/all.libsonnet';
local dashboard = import 'lib/dashboard.libsonnet';
local rules = import 'rules/all.libsonnet';

// Every group remembers, hidden, which file below prometheus/rules/ it goes to.
local groups(files) = {
  groups+: [
    group { file:: name }
    for name in std.objectFields(files)
    for group in files[name].groups
  ],
};

{
  prometheusRules+:: groups(rules),
  prometheusAlerts+:: groups(alerts),
  grafanaDashboards+:: dashboard.render({
    'claw-ai-datastores': import 'dashboards/claw-ai-datastores.libsonnet',
    'claw-ai-logs': import 'dashboards/claw-ai-logs.libsonnet',
    'claw-ai-models': import 'dashboards/claw-ai-models.libsonnet',
    'claw-ai-overview': import 'dashboards/claw-ai-overview.libsonnet',
    'claw-ai-performance': import 'dashboards/claw-ai-performance.libsonnet',
    'claw-ai-resources': import 'dashboards/claw-ai-resources.libsonnet',
    'claw-ai-slo': import 'dashboards/claw-ai-slo.libsonnet',
    'claw-ai-stack': import 'dashboards/claw-ai-stack.libsonnet',
  }),
}
