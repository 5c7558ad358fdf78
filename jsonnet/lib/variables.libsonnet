// The variables that dashboards share.
local config = import '../config.libsonnet';
local grafana = import 'grafana.libsonnet';

local label_values = grafana.variable.label_values;

{
  job: label_values('job', 'job', 'claw_ai_build_info', start=config.job),
  instance: label_values('instance', 'instance', 'claw_ai_build_info{job=~"$job"}'),
  endpoint: label_values('endpoint', 'endpoint', 'claw_ai_http_requests_total{job=~"$job"}'),
  host: label_values('host', 'host', 'node_uname_info'),

  // Matchers that go with them.
  of_app:: { 'job=~': '$job', 'instance=~': '$instance' },
  of_endpoint:: self.of_app { 'endpoint=~': '$endpoint' },
  of_host:: { 'host=~': '$host' },
}
