// Containers, by cAdvisor; `service` is the name in docker-compose.prod.yml.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local limits = config.thresholds;
local missing = 'needs cAdvisor: it runs where there are containers';

local column(title, description, unit, query, more={}) = signal.new({
  title: title,
  description: description,
  unit: unit,
  by: ['service'],
  no_value: missing,
  query:: query,
} + more);

local memory(s) = |||
  sum by (service) (%s)
  /
  (sum by (service) (%s) > 0)
||| % [s.of('container_memory_working_set_bytes'), s.of('container_spec_memory_limit_bytes')];

{
  no_value: missing,
  running: column('Running', 'Containers seen in the last minute.', 'short', function(s)
    'sum by (service) (time() - %s < bool 60)' % s.of('container_last_seen'), { thresholds: { warning: 1, critical: 1, below: true } }),
  age: column('Age', 'Time since the youngest container of the service started.', 's', function(s)
    'min by (service) (time() - %s)' % s.of('container_start_time_seconds')),
  restarts: column('Restarts, 24 h', 'Starts within a day, the first one not counted.', 'short', function(s)
    'sum by (service) (changes(%s[1d]))' % s.of('container_start_time_seconds'), { thresholds: { warning: 1, critical: 3 } }),
  oom: column('OOM kills, 24 h', 'Times that the kernel killed for want of memory.', 'short', function(s)
    'sum by (service) (increase(%s[1d]))' % s.of('container_oom_events_total'), { thresholds: { warning: 1, critical: 2 } }),
  memory_share: column('Memory of limit', 'Working set as a share of the limit.', 'percentunit', memory, { thresholds: limits.pool_used_ratio }),
  cpu_share: column('CPU of limit', 'CPU time as a share of the limit.', 'percentunit', function(s) |||
    sum by (service) (%s)
    /
    sum by (service) (%s / %s)
  ||| % [
    s.rate('container_cpu_usage_seconds_total'),
    s.of('container_spec_cpu_quota'),
    s.of('container_spec_cpu_period'),
  ], { thresholds: limits.cpu_used_ratio }),
  throttled: column('Throttled', 'Share of scheduling periods in which a container had to wait for its quota.', 'percentunit', function(s) |||
    sum by (service) (%s)
    /
    sum by (service) (%s)
  ||| % [s.rate('container_cpu_cfs_throttled_periods_total'), s.rate('container_cpu_cfs_periods_total')], { thresholds: { warning: 0.1, critical: 0.5 } }),

  top_memory: column('Containers by memory', 'Working set of the five largest containers.', 'bytes', function(s)
    'topk(5, sum by (host, service) (%s))' % s.of('container_memory_working_set_bytes'), { by: ['host', 'service'] }),
  top_cpu: column('Containers by CPU', 'Cores used by the five busiest containers.', 'short', function(s)
    'topk(5, sum by (host, service) (%s))' % s.rate('container_cpu_usage_seconds_total'), { by: ['host', 'service'] }),
}
