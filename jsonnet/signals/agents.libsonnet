// Agents, their tools and their guardrails.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local limits = config.thresholds;
local runs = 'job_agent_outcome:claw_ai_agent_runs:rate5m';
local steps = 'job_le:claw_ai_agent_run_steps_bucket:rate5m';
local step_time = 'job_agent_step_type:claw_ai_agent_step_duration_seconds_sum:rate5m';
local calls = 'job_tool_status:claw_ai_tool_calls:rate5m';
local call_buckets = 'job_tool_le:claw_ai_tool_call_duration_seconds_bucket:rate5m';

{
  runs: signal.new({
    title: 'Runs by outcome',
    description: 'Runs of agents a second by how they ended; max_steps: the limit of steps stopped them.',
    unit: 'cps',
    by: ['outcome'],
    query(s):: 'sum by (outcome) (%s) > 0' % s.averaged(runs),
  }),
  local share(title, outcome, description, limit) = signal.new({
    title: title,
    description: description + ' Share of an agent\'s runs, the ten worst.',
    unit: 'percentunit',
    by: ['agent'],
    legend: '{{agent}} ' + title,
    thresholds: { warning: limit },
    query(s):: |||
      topk(
        10,
        (
          sum by (agent) (%(bad)s)
          or
          0 * sum by (agent) (%(all)s)
        )
        /
        (sum by (agent) (%(all)s) > 0)
      )
    ||| % { bad: s.averaged(runs, { outcome: outcome }), all: s.averaged('job_agent:claw_ai_agent_runs:rate5m') },
  }),
  failing: share('failed', 'error', 'Runs that failed, and runs that the limit of steps stopped.', limits.agent_runs_failed_ratio),
  stopped: share('stopped', 'max_steps', 'Runs that the limit of steps stopped.', limits.agent_max_steps_ratio),
  local steps_quantile(q) = signal.new({
    title: 'p%d' % (q * 100),
    description: 'Steps of a run. A p95 that climbs while the median stays is an agent that goes round in circles.',
    unit: 'short',
    query(s):: |||
      # Between the bounds 0 and 1 there is no number of steps.
      ceil(histogram_quantile(%g, sum by (le) (%s)))
    ||| % [q, s.averaged(steps)],
  }),
  steps_p50: steps_quantile(0.5),
  steps_p95: steps_quantile(0.95),
  repeated: signal.new({
    title: 'Repeated tool calls a minute',
    description: 'Tool calls that repeat one of the same run, with the same arguments; the ten agents with most.',
    unit: 'short',
    by: ['agent'],
    query(s):: 'topk(10, 60 * sum by (agent) (%s))' % s.rate('claw_ai_agent_repeated_tool_calls_total'),
  }),
  step_time: signal.new({
    title: 'Where agents spend their time',
    description: 'Seconds of agents\' steps within a second, by kind of step.',
    unit: 'short',
    by: ['step_type'],
    query(s):: 'sum by (step_type) (%s)' % s.averaged(step_time),
  }),

  tool: {
    local column(title, description, unit, query, more={}) = signal.new({
      title: title,
      description: description,
      unit: unit,
      by: ['tool'],
      query:: query,
    } + more),
    failed: column('Failed/min', 'Calls that failed, per minute.', 'short', function(s)
      '60 * sum by (tool) (%s)' % s.recorded(calls, { status: 'error' })),
    rate: column('Calls/s', 'Calls a second.', 'cps', function(s) 'sum by (tool) (%s)' % s.recorded(calls)),
    errors: column('Failed', 'Share of calls that failed.', 'percentunit', function(s) |||
      sum by (tool) (%s)
      /
      (sum by (tool) (%s) > 0)
    ||| % [s.recorded(calls, { status: 'error' }), s.recorded(calls)], { thresholds: { warning: limits.tool_failed_ratio } }),
    p95: column('p95', 'p95 of the duration of a call.', 's', function(s)
      'histogram_quantile(0.95, sum by (tool, le) (%s)) >= 0' % s.recorded(call_buckets)),
  },

  guardrails: signal.new({
    title: 'Guardrails',
    description: 'What guardrails blocked per minute, and how often a guard itself failed (error: it let through what it could not judge).',
    unit: 'short',
    by: ['guard', 'decision'],
    query(s):: 'topk(10, 60 * sum by (guard, decision) (%s))' % s.rate('claw_ai_guardrail_decisions_total', { 'decision=~': 'block|error' }),
  }),
}
