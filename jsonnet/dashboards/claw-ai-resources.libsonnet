// What is full, and when will it be?
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local container = import '../signals/containers.libsonnet';
local host = import '../signals/hosts.libsonnet';
local process = import '../signals/processes.libsonnet';
local stores = import '../signals/stores.libsonnet';

local hosts = signal.view(variables.of_host);
local app = signal.view(variables.of_app);
local all = signal.view({});

{
  title: 'Claw AI: resources · 资源监控',
  description: 'What is full, and when will it be?',
  refresh: '1m',
  variables: [variables.host, variables.job, variables.instance],
  rows: [
    grafana.row('Which host is in trouble?', [
      hosts.table([
        host.answers,
        host.cpu,
        host.cpu_pressure,
        host.memory,
        host.memory_stalled,
        host.swapping,
        host.io_pressure,
        host.fullest_disk,
        host.soonest_full,
        host.inodes,
        host.network_errors,
        host.clock,
        host.clock_difference,
        host.clock_kept,
        host.uptime,
      ], {
        title: 'Hosts',
        description: 'Pressure is the share of time in which work waited; coloured columns are beyond their threshold.',
        by: ['host'],
        sort_by: ['CPU pressure'],
        h: 6,
      }),
    ]),
    grafana.row('CPU and memory: is work waiting for them?', [
      hosts.timeseries(host.cpu, { title: 'CPU usage · CPU 使用率', w: 8, max: 1 }),
      hosts.timeseries(host.cpu_modes, { w: 8, stack: true }),
      hosts.timeseries([host.cpu_pressure, host.memory_pressure, host.memory_stalled, host.io_pressure], { title: 'Pressure', w: 8 }),
      hosts.timeseries(host.memory, { title: 'Memory usage · 内存使用率', w: 8, max: 1 }),
      hosts.timeseries([host.memory_total, host.memory_available, host.memory_cache], { title: 'Memory by use', w: 8 }),
      hosts.stat(host.oom_kills, { w: 4, h: 8, with: { options+: { graphMode: 'none' } } }),
      hosts.timeseries(host.swapping, { w: 4 }),
    ]),
    grafana.row('Disk: what is full, when will it be, is it fast?', [
      hosts.timeseries(host.disk, { title: 'Disk usage · 磁盘使用率', w: 8, max: 1 }),
      hosts.timeseries(host.days_left, { w: 8 }),
      all.timeseries([stores.postgres_size, stores.prometheus_size, stores.prometheus_wal_size, stores.redis_size], {
        title: 'Who uses it',
        description: 'Bytes of the databases of this stack.',
        w: 8,
        stack: true,
      }),
      hosts.timeseries([host.read_latency, host.write_latency], { title: 'Disk latency', w: 8 }),
      hosts.timeseries(host.disk_busy, { w: 8, max: 1 }),
      hosts.stat(host.read_only, { w: 4, h: 8, with: { options+: { graphMode: 'none' } } }),
      hosts.stat(host.inodes, { w: 4, h: 8 }),
    ]),
    grafana.row('Network: is it busy, does it lose anything?', [
      hosts.timeseries([host.received, host.sent], { title: 'Network traffic · 网络流量', w: 8, min: null }),
      hosts.timeseries(host.network_errors, { w: 8 }),
      hosts.timeseries([host.retransmits, host.conntrack], {
        title: 'TCP trouble',
        description: 'Segments sent again (loss on the way), and how full the connection table is (full: new connections are dropped).',
        w: 8,
      }),
    ]),
    grafana.row('Containers: does each run, has each enough?', [
      hosts.table([
        container.running,
        container.age,
        container.restarts,
        container.oom,
        container.memory_share,
        container.cpu_share,
        container.throttled,
      ], {
        title: 'Container state · 容器状态',
        description: 'By compose service. Needs cAdvisor: empty where there are no containers.',
        by: ['service'],
        drill: { service: dashboard.logs_of('service') },
        no_value: container.no_value,
        sort_by: ['Restarts, 24 h'],
        w: 12,
        h: 9,
      }),
      hosts.timeseries(container.top_memory, { w: 6, h: 9 }),
      hosts.timeseries(container.top_cpu, { w: 6, h: 9 }),
    ]),
    grafana.row('Application: has the process enough of everything?', [
      app.timeseries(process.memory, { w: 8 }),
      app.timeseries(process.memory_growth, { w: 8 }),
      app.timeseries(process.cpu, { w: 8 }),
      app.timeseries(process.loop_lag, { w: 6, links: [dashboard.logs] }),
      app.timeseries(process.files, { w: 6, max: 1 }),
      app.timeseries(process.collections, { w: 6 }),
      app.timeseries(process.workers, { w: 6 }),
    ]),
    grafana.row('Stores: is one of them full?', [
      app.gauge(stores.pool_used, { w: 8, h: 6 }),
      all.gauge(stores.postgres_connections, { w: 8, h: 6 }),
      all.gauge(stores.redis_memory, { w: 8, h: 6 }),
    ]),
  ],
}
