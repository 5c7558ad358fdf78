// Processes that expose their own numbers: the application, the exporters, the stack.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

{
  memory: signal.gauge('process_resident_memory_bytes', {
    title: 'Memory of processes',
    description: 'Resident memory by process.',
    unit: 'bytes',
    by: ['job', 'instance'],
    aggregate: 'max',
  }),
  memory_growth: signal.new({
    title: 'Growth in 6 h of free memory',
    description: 'What a process takes more in six hours, at the pace of the last hour, as a share of what its machine has left; above 1 it does not fit.',
    unit: 'percentunit',
    by: ['job', 'instance'],
    thresholds: { warning: 1 },
    query(s)::
      local memory = s.of('process_resident_memory_bytes');
      |||
        max by (job, instance) (
          clamp_min(predict_linear(%s[1h], 21600) - %s, 0)
          / on (host) group_left ()
          min by (host) (node_memory_MemAvailable_bytes)
        )
      ||| % [memory, memory],
  }),
  cpu: signal.rate('process_cpu_seconds_total', {
    title: 'CPU of processes',
    description: 'Cores used by process; an asyncio application cannot use more than 1.',
    unit: 'short',
    by: ['job', 'instance'],
  }),
  files: signal.new({
    title: 'File descriptors of limit',
    description: 'Open files and sockets as a share of what the process may open.',
    unit: 'percentunit',
    by: ['job', 'instance'],
    thresholds: { warning: config.thresholds.file_descriptors_ratio, critical: 0.95 },
    query(s):: |||
      max by (job, instance) (
        %s
        /
        %s
      )
    ||| % [s.of('process_open_fds'), s.of('process_max_fds')],
  }),
  // The worst instance: each process has a loop of its own, and one that hangs is hidden in a sum.
  loop_lag: signal.gauge('claw_ai_event_loop_lag_seconds', {
    title: 'Event loop lag',
    by: ['instance'],
    aggregate: 'max',
    thresholds: { critical: config.thresholds.event_loop_lag_seconds },
  }),
  workers: signal.gauge('claw_ai_exporter_workers', {
    title: 'Worker processes',
    by: ['job', 'instance'],
    aggregate: 'max',
    no_value: 'one process for each instance',
  }),
  collections: signal.rate('python_gc_collections_total', {
    title: 'Garbage collections',
    description: 'Collections a second by generation; many of generation 2 cost time.',
    unit: 'cps',
    by: ['job', 'generation'],
  }),
}
