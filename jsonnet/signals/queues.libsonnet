// Queues: what waits, as our exporter counts it in Redis, and what workers have done, as they count themselves.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local missing = 'no queue in exporter.yml';

{
  depth: signal.gauge('claw_ai_queue_depth', {
    title: 'Waiting',
    by: ['redis', 'queue'],
    aggregate: 'max',
    no_value: missing,
  }),
  age: signal.gauge('claw_ai_queue_oldest_age_seconds', {
    title: 'Oldest task waits',
    description: 'Time that the oldest entry has waited. Age, not depth: a long queue that moves hurts nobody.',
    by: ['redis', 'queue'],
    aggregate: 'max',
    thresholds: config.thresholds.queue_age_seconds,
    no_value: missing,
  }),
  tasks: signal.new({
    title: 'Tasks a minute',
    description: 'Tasks that workers ended, by how; the ten most frequent.',
    unit: 'short',
    by: ['queue', 'status'],
    query(s):: 'topk(10, 60 * sum by (queue, status) (%s))' % s.rate('claw_ai_queue_tasks_total'),
  }),
  duration: signal.quantile(0.95, 'claw_ai_queue_task_duration_seconds', {
    title: 'Time of a task, p95',
    by: ['queue'],
    no_value: 'no task in this time',
  }),
}
