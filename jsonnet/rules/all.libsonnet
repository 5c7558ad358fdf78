// Every file of recording rules: name under prometheus/rules/ -> content.
{
  'agents-rules': import 'agents.libsonnet',
  'ai-rules': import 'ai.libsonnet',
  'alert-quality-rules': import 'alert-quality.libsonnet',
  'dashboards-rules': import 'dashboards.libsonnet',
  'http-rules': import 'http.libsonnet',
  'money-rules': import 'money.libsonnet',
  'slo-rules': import 'slo.libsonnet',
  'stores-rules': import 'stores.libsonnet',
  'targets-rules': import 'targets.libsonnet',
  'traffic-rules': import 'traffic.libsonnet',
}
