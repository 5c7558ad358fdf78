// Processes that expose their own numbers: the application, the exporters, the stack.
local signal = import '../lib/signal.libsonnet';

{
  memory: signal.gauge('process_resident_memory_bytes', {
    title: 'Memory of processes',
    description: 'Resident memory by process.',
    unit: 'bytes',
    by: ['job', 'instance'],
    aggregate: 'max',
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
    thresholds: { warning: 0.7, critical: 0.9 },
    query(s):: |||
      max by (job, instance) (
        %s
        /
        %s
      )
    ||| % [s.of('process_open_fds'), s.of('process_max_fds')],
  }),
  collections: signal.rate('python_gc_collections_total', {
    title: 'Garbage collections',
    description: 'Collections a second by generation; many of generation 2 cost time.',
    unit: 'cps',
    by: ['job', 'generation'],
  }),
}
