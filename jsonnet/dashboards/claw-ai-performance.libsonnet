// Which endpoint, since when, how bad, and why?
local config = import '../config.libsonnet';
local colours = import '../lib/colours.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local ai = import '../signals/ai.libsonnet';
local http = import '../signals/http.libsonnet';
local process = import '../signals/processes.libsonnet';
local stores = import '../signals/stores.libsonnet';

local app = signal.view(variables.of_app);
local chosen = signal.view(variables.of_endpoint);
local endpoint = http.endpoint;
local streams = http.streams;

{
  title: 'Claw AI: performance · 性能监控',
  description: 'Which endpoint, since when, how bad, and why?',
  refresh: '1m',
  variables: [variables.job, variables.instance, variables.endpoint],
  rows: [
    grafana.row('Which endpoint hurts most?', [
      app.table([
        endpoint.hurt,
        endpoint.rate,
        endpoint.errors,
        endpoint.abandoned,
        endpoint.p50,
        endpoint.p95,
        endpoint.first_byte_p95,
        endpoint.p95_against_last_week,
      ], {
        title: 'Endpoints',
        description: 'All instances, last five minutes, most harmful first. A click on an endpoint chooses it for the panels below.',
        by: ['endpoint'],
        sort_by: ['Hurt/min'],
        h: 9,
        drill: { endpoint: [dashboard.drill('claw-ai-performance', 'endpoint', 'endpoint', 'Show this endpoint below'), dashboard.logs] },
      }),
    ]),
    grafana.row('Latency: how slow, for how many?', [
      chosen.heatmap(http.buckets, { h: 9 }),
      app.timeseries(endpoint.slowest, { title: 'API response time by endpoint · API 响应时间(按端点)', w: 12, h: 9 }),
      chosen.timeseries(http.quantiles_of_endpoint, {
        title: 'Response time quantiles of $endpoint',
        w: 12,
      }),
      chosen.timeseries([http.slower_than_warning, http.slower_than_critical], {
        title: 'Share of slow requests to $endpoint',
        w: 12,
      }),
    ]),
    grafana.row('Rate: where does the load go?', [
      app.timeseries(endpoint.busiest, { title: 'API request rate · API 请求速率', w: 12, h: 9, stack: true }),
      app.rows_heatmap(endpoint.busiest, {
        title: 'Endpoint heat map · 端点热力图',
        description: 'Requests a second per endpoint over time, the twenty busiest. A row that fades has lost its users; a row that glows has found a loop.',
        h: 9,
      }),
    ]),
    grafana.row('Errors: how many, which, and whose?', [
      app.stat(http.errors, { title: 'Error rate · 错误率监控', w: 4, h: 8 }),
      chosen.timeseries([http.errors_of_endpoint, http.abandoned, http.refused], {
        title: 'Errors, clients gone, refusals: $endpoint',
        w: 8,
        max: null,
        links: [dashboard.error_logs],
      }),
      app.timeseries(http.failures_by_endpoint, { w: 12, links: [dashboard.error_logs] }),
      app.rows_heatmap(endpoint.failing, { w: 12 }),
      app.timeseries(ai.cancelled_after, { w: 12 }),
    ]),
    grafana.row('Streaming: does the first byte come soon, does the last one come at all?', [
      app.timeseries(streams.first_byte, { w: 8 }),
      app.timeseries(streams.length, { w: 8 }),
      app.timeseries(streams.broken, { w: 8, links: [dashboard.error_logs] }),
      app.timeseries(streams.size, { w: 6 }),
      app.timeseries(streams.sockets, { w: 6 }),
      app.timeseries(streams.socket_life, { w: 6 }),
      app.timeseries(streams.socket_closes, { w: 6 }),
    ]),
    grafana.row('Why is it slow?', [
      app.timeseries([stores.time_ai, stores.time_db, stores.time_redis, stores.time_vector, stores.time_total], {
        title: 'Where a request spends its time',
        w: 12,
        stack: true,
        links: [dashboard.open('claw-ai-datastores', 'The stores'), dashboard.open('claw-ai-models', 'The models')],
        overrides: [colours.ghost('whole request')],
      }),
      app.timeseries(http.active, { w: 6 }),
      app.timeseries(process.loop_lag, { w: 6 }),
      app.timeseries(stores.pool_used, { w: 6, max: 1 }),
      app.timeseries(stores.pool_wait, { w: 6 }),
      app.timeseries([stores.db_p95, stores.redis_p95, stores.vector_p95], { title: 'Store operations p95', description: 'p95 of each kind of store operation, as the application saw it.', w: 6 }),
      app.timeseries(ai.p95, { w: 6 }),
    ]),
  ],
}
