// One screen: is it us, the provider, or the infrastructure?
local colours = import '../lib/colours.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local ai = import '../signals/ai.libsonnet';
local line = import '../signals/lines.libsonnet';
local http = import '../signals/http.libsonnet';
local stack = import '../signals/stack.libsonnet';
local stores = import '../signals/stores.libsonnet';

local app = signal.view(variables.of_app);
local all = signal.view({});
local which_model = dashboard.open('claw-ai-models', 'Which model?');
local which_store = dashboard.open('claw-ai-datastores', 'What is wrong with it?');
local which_endpoint = dashboard.open('claw-ai-performance', 'Which endpoint?');

{
  title: 'Claw AI: system overview · 系统概览',
  description: 'Is it us, the provider, or the infrastructure?',
  refresh: '30s',
  variables: [variables.loki, variables.job, variables.instance],
  rows: [
    grafana.row('How bad is it now?', [
      all.stat([stack.critical, stack.warning], { title: 'Firing alerts', overrides: [colours.limits('warning', stack.warning.panel.thresholds)] }),
      app.stat(stack.budget_left, { links: [dashboard.open('claw-ai-slo', 'Who spends it?')] }),
      app.stat(http.hurt, { links: [which_endpoint, dashboard.error_logs] }),
      app.stat(http.against_last_week),
      app.stat(ai.first_token_of_all, { links: [which_model] }),
      app.stat(ai.dollars_an_hour, { links: [which_model] }),
    ]),
    grafana.row('Is it us, a store, a provider or the door?', [
      app.state_timeline([stack.app_up, stores.vector_ok, ai.provider_ok], {
        title: 'Application and what it calls',
        description: 'Green: all well. Orange: some calls fail. Red: one in ten fails, or it is down.',
        thresholds: { warning: 0.99, critical: 0.9, below: true },
        h: 5,
      }),
      all.state_timeline([stores.postgres_up, stores.redis_up, stack.door_up, stack.canaries], {
        title: 'Stores, public door, providers from outside',
        description: 'Green: up. Red: down. The door is probed where a blackbox exporter runs, providers where exporter.yml has a canary.',
        links: [which_store],
        thresholds: { warning: 0.99, critical: 0.9, below: true },
        h: 5,
      }),
    ]),
    grafana.row('HTTP: do requests come, succeed, and come back fast?', [
      all.stat(stack.targets_up, {
        title: 'Service health · 服务健康状态',
        w: 6,
        h: 7,
        with: { options+: { colorMode: 'background', graphMode: 'none', textMode: 'value_and_name' } },
      }),
      app.timeseries([http.by_class, http.last_week], {
        title: 'Request rate · 请求速率',
        w: 6,
        h: 7,
        stack: true,
        overrides: colours.by_status_class + [colours.ghost('a week ago')],
        links: [which_endpoint, dashboard.logs],
      }),
      app.timeseries(http.quantiles + [http.first_byte_p95], {
        title: 'Response times · 响应时间分布',
        w: 6,
        h: 7,
        links: [which_endpoint],
      }),
      app.bargauge(http.status_codes, {
        title: 'HTTP status codes · HTTP 状态码分布',
        w: 6,
        h: 7,
        overrides: colours.by_status,
        links: [which_endpoint, dashboard.error_logs],
      }),
    ]),
    grafana.row('AI: do answers come, at what price?', [
      app.timeseries(ai.answers, { w: 6, h: 7, stack: true, links: [which_model] }),
      app.timeseries(ai.errors, { w: 5, h: 7, stack: true, links: [which_model, dashboard.error_logs] }),
      app.timeseries(ai.tokens_of_all, { w: 5, h: 7, stack: true }),
      app.timeseries(ai.in_flight, { w: 4, h: 7 }),
      app.timeseries([ai.conversations, ai.messages], { title: 'New messages a minute', w: 4, h: 7 }),
    ]),
    grafana.row('What fires, what changed?', [
      all.table([stack.firing_for], {
        title: 'Alerts',
        description: stack.firing_for.description,
        by: stack.firing_for.by,
        drill: { alertname: dashboard.open_alert(), job: dashboard.logs_of('job') },
        headers: { alertname: 'alert' },
        sort_by: [{ displayName: 'severity', desc: false }],
        no_value: 'nothing fires',
        w: 7,
        h: 7,
      }),
      all.table([line.top_messages], {
        title: 'Most frequent errors in logs',
        description: line.top_messages.description,
        by: ['service', 'message'],
        drill: { service: dashboard.logs_of('service') },
        sort_by: ['Times'],
        w: 6,
        h: 7,
      }),
      all.table([stack.versions], {
        title: 'Versions running',
        description: 'Which versions of applications, of the library and of price tables run, and on how many instances.',
        by: stack.versions.by,
        headers: { library_version: 'library' },
        w: 5,
        h: 7,
      }),
      all.table([stack.uptime, stack.restarts, stack.configured], {
        title: 'Restarts and reloads',
        description: 'Processes by how long they run, how often they started anew within the shown time range, and since when they have their configuration.',
        by: stack.uptime.by,
        drill: { job: dashboard.logs_of('job') },
        sort_by: ['Restarts'],
        w: 6,
        h: 7,
      }),
    ]),
  ],
}
