// Every file of recording rules: name under prometheus/rules/ -> content.
{
  'ai-rules': import 'ai.libsonnet',
  'dashboards-rules': import 'dashboards.libsonnet',
  'http-rules': import 'http.libsonnet',
  'slo-rules': import 'slo.libsonnet',
  'targets-rules': import 'targets.libsonnet',
}
