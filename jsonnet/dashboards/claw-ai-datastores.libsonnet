// Is a database the reason?
local colours = import '../lib/colours.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local postgres = import '../signals/postgres.libsonnet';
local queues = import '../signals/queues.libsonnet';
local redis = import '../signals/redis.libsonnet';
local stores = import '../signals/stores.libsonnet';

local instances(name, metric) = grafana.variable.label_values(name, 'instance', metric);

local app = signal.view(variables.of_app);
local pg = signal.view({ 'instance=~': '$postgres' });
local rd = signal.view({ 'instance=~': '$redis' });
local all = signal.view({});
// Lines that cross each other: no area below them.
local lines = { w: 6, fill: 0 };
local to_lines = { links: [dashboard.open('claw-ai-logs', 'Which log lines?')] };
local number = { w: 3, h: 4 };
local plain = number { with: { options+: { graphMode: 'none' } } };

{
  title: 'Claw AI: data stores · 数据存储',
  description: 'Is a database the reason?',
  refresh: '1m',
  variables: [variables.job, variables.instance, instances('postgres', 'pg_up'), instances('redis', 'redis_up')],
  rows: [
    grafana.row('Is it a store at all?', [
      all.state_timeline([stores.postgres_up, stores.redis_up, stores.vector_ok], {
        title: 'Stores',
        description: 'Green: up, or all operations good. Orange: some fail. Red: down, or one in ten fails.',
        thresholds: { warning: 0.99, critical: 0.9, below: true },
        w: 8,
      }),
      app.timeseries([stores.time_ai, stores.time_db, stores.time_redis, stores.time_vector, stores.time_total], {
        title: 'Where a request spends its time',
        w: 8,
        stack: true,
        overrides: [colours.ghost('whole request')],
        links: [dashboard.open('claw-ai-performance', 'Which endpoint?')],
      }),
      app.timeseries([stores.db.failed, stores.redis.failed, stores.vector.failed], {
        title: 'Failed operations a minute',
        w: 8,
        fill: 0,
      } + to_lines),
    ]),
    grafana.row('As the application sees them: does it wait for a connection, or for the answer?', [
      app.timeseries(stores.pool_used, lines { max: 1, links: [dashboard.open('claw-ai-performance', 'Which endpoint?')] }),
      app.timeseries(stores.pool_wait, lines),
      app.timeseries(stores.pool_timeouts, lines + to_lines),
      app.timeseries(stores.pool_connections, lines),
      app.timeseries(stores.db_p95, lines { title: 'Database operations, p95' }),
      app.timeseries(stores.redis_p95, lines { title: 'Redis operations, p95' }),
      app.timeseries([stores.db.busy, postgres.server_time], lines { title: 'Database: seconds a second' }),
      app.timeseries([stores.redis.busy, redis.server_time], lines { title: 'Redis: seconds a second' }),
    ]),
    grafana.row('Postgres: is it full, blocked, or short of memory?', [
      pg.gauge(stores.postgres_connections, { title: 'Connections used' } + number),
      pg.stat(postgres.longest, number),
      pg.stat(postgres.waiting, number),
      pg.stat(postgres.deadlocks, plain),
      pg.stat(postgres.cache_hit, number),
      pg.stat(postgres.xid_age, number),
      pg.stat(postgres.lag, number),
      pg.stat(postgres.growth, plain),
      pg.timeseries([postgres.connections, postgres.max_connections], {
        title: 'Connections by state',
        w: 6,
        stack: true,
        overrides: [colours.ghost('for applications')],
      }),
      pg.timeseries([postgres.commits, postgres.rollbacks], lines { title: 'Transactions' }),
      pg.timeseries(postgres.longest_by_state, lines),
      pg.timeseries([postgres.waiting, postgres.deadlocks_a_minute], lines { title: 'Locks', description: postgres.deadlocks_a_minute.description }),
      pg.timeseries(postgres.cache_hit_by_database, lines { max: 1, min: null }),
      pg.timeseries(postgres.temp, lines),
      pg.timeseries([postgres.size, postgres.wal], { title: 'Size', description: 'Databases and the write-ahead log, on disk.', w: 12, stack: true }),
      pg.table([
        postgres.table.dead,
        postgres.table.share,
        postgres.table.live,
        postgres.table.vacuumed,
        postgres.table.scans,
        postgres.table.size,
      ], {
        title: 'Tables',
        description: 'The twenty with most of each, in the databases that the exporter is connected to; most dead rows first.',
        by: ['datname', 'relname'],
        headers: { datname: 'database', relname: 'table' },
        sort_by: ['Dead rows'],
        h: 7,
      }),
    ]),
    grafana.row('Redis: does it lose, refuse or forget?', [
      rd.gauge(stores.redis_memory, { title: 'Memory used' }),
      rd.stat(redis.hit),
      rd.stat(redis.slow),
      rd.stat([redis.snapshot_ok, redis.append_ok], { title: 'Persistence', mappings: grafana.yes_or_no('ok', 'failed'), w: 8, with: { options+: { graphMode: 'none' } } }),
      rd.stat(redis.saved, { with: { options+: { graphMode: 'none' } } }),
      rd.timeseries([redis.used, redis.max], { title: 'Memory', w: 8, overrides: [colours.ghost('maxmemory')] }),
      rd.timeseries([redis.evicted, redis.rejected], { title: 'Lost and refused, a minute', w: 8 }),
      rd.timeseries([redis.clients, redis.blocked], { title: 'Clients', w: 8 }),
      rd.timeseries(redis.commands, { w: 8, stack: true }),
      rd.timeseries(redis.command_time, { w: 8, fill: 0 }),
      all.timeseries([redis.keys, redis.keys_by_pattern], { title: 'Keys', description: redis.keys.description, w: 8 }),
    ]),
    grafana.row('Queues: does work pile up?', [
      all.timeseries(queues.age, lines),
      all.timeseries(queues.depth, lines),
      app.timeseries(queues.tasks, lines),
      app.timeseries(queues.duration, lines),
    ]),
    grafana.row('Vector store and retrieval: does it find anything, and soon?', [
      app.timeseries(stores.vector_p95, lines { title: 'Vector store operations, p95' }),
      app.timeseries(stores.vector.rate, { w: 6, stack: true }),
      app.timeseries(stores.vector.failed_share, lines + to_lines),
      app.timeseries(stores.empty, lines),
    ]),
  ],
}
