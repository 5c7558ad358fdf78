// The variables that dashboards share.
local config = import '../config.libsonnet';
local grafana = import 'grafana.libsonnet';

local label_values = grafana.variable.label_values;

{
  job: label_values('job', 'job', 'claw_ai_build_info', start=config.job),
  instance: label_values('instance', 'instance', 'claw_ai_build_info{job=~"$job"}'),
  // No All: the panels of it look closely at one endpoint, or a few.
  endpoint: label_values('endpoint', 'endpoint', 'claw_ai_http_requests_total{job=~"$job"}', all=null) { includeAll: false, current: {} },
  host: label_values('host', 'host', 'node_uname_info'),

  loki: grafana.variable.datasource('loki', 'loki', 'Loki', 'loki'),
  // Which lines. A service in Loki has the name of its job, so that a choice made elsewhere holds here.
  of_lines:: [
    grafana.variable.stream_values('job', 'service', start=config.job),
    grafana.variable.custom('level', ['debug', 'info', 'warning', 'error', 'critical']),
    grafana.variable.text('search', 'search'),
    grafana.variable.text('trace_id', 'trace_id'),
    grafana.variable.text('conversation_id', 'conversation_id'),
    self.instance { hide: 2 },
  ],

  // Chosen elsewhere and meaningless here, but kept on the way from one dashboard to the next.
  carried:: [self.job { hide: 2 }, self.instance { hide: 2 }],

  // Matchers that go with them.
  of_app:: { 'job=~': '$job', 'instance=~': '$instance' },
  of_endpoint:: self.of_app { 'endpoint=~': '$endpoint' },
  of_host:: { 'host=~': '$host' },
}
