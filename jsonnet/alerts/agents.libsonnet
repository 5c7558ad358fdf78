// Agents, the tools they call, what they look up, and what guards them.
local alert = import '../lib/alert.libsonnet';
local bound = import '../lib/bound.libsonnet';
local share = import '../lib/share.libsonnet';
local config = import '../config.libsonnet';

local limits = config.thresholds;
local dashboard = 'claw-ai-models';

local runs = 'claw_ai_agent_runs_total';
local decisions = 'claw_ai_guardrail_decisions_total';
local blocks = decisions + '{decision="block"}';
local found = 'claw_ai_retrieval_results';
local vectors = 'claw_ai_vector_db_operation_duration_seconds_count';

local about(by, spec) = { keep: config.keep_firing_for, by: by, dashboard: dashboard, severity: 'warning' } + spec;

alert.group('agents-alerts', [
  alert.new('AgentRunsFailing', about(['job', 'agent'], {
    expr: share(
      runs + '{outcome="error"}', runs + '{outcome!="cancelled"}', ['job', 'agent'], '10m',
      limits.agent_runs_failed_ratio, limits.agent_runs_failed_min
    ),
    hold: '10m',
    summary: 'Runs of the agent {{ $labels.agent }} of {{ $labels.job }} fail.',
    description: '{{ $value | humanizePercentage }} of its runs in the last 10m ended with an error.',
  })),
  alert.new('AgentLooping', about(['job', 'agent', 'problem'], {
    expr: share(
      runs + '{outcome="max_steps"}', runs + '{outcome!="cancelled"}', ['job', 'agent'], '15m',
      limits.agent_max_steps_ratio, limits.agent_max_steps_min
    ),
    hold: '5m',
    labels: { problem: 'limit of steps' },
    summary: 'The agent {{ $labels.agent }} of {{ $labels.job }} does not come to an end.',
    description: '{{ $value | humanizePercentage }} of its runs in the last 15m were stopped by their limit of steps.',
  })),
  alert.new('AgentLooping', about(['job', 'agent', 'problem'], {
    expr: |||
      sum by (job, agent) (increase(claw_ai_agent_repeated_tool_calls_total[15m])) >= %(min)d
      and on (job, agent)
      sum by (job, agent) (increase(claw_ai_agent_repeated_tool_calls_total[15m]))
      > %(each)g * sum by (job, agent) (increase(%(runs)s[15m]))
    ||| % { runs: runs, min: limits.agent_repeated_calls_min, each: limits.agent_repeated_calls_per_run },
    hold: '5m',
    labels: { problem: 'repeated calls' },
    summary: 'The agent {{ $labels.agent }} of {{ $labels.job }} goes round in circles.',
    description: 'In the last 15m it called tools about {{ $value | humanize }} times as it had called them before in the same run.',
  })),
  alert.new('ToolFailing', about(['job', 'tool'], {
    expr: share(
      'claw_ai_tool_calls_total{status="error"}', 'claw_ai_tool_calls_total{status!="cancelled"}', ['job', 'tool'], '10m',
      limits.tool_failed_ratio, limits.tool_failed_min
    ),
    hold: '10m',
    summary: 'The tool {{ $labels.tool }} of {{ $labels.job }} fails.',
    description: '{{ $value | humanizePercentage }} of its calls in the last 10m ended with an error.',
  })),
  alert.new('GuardrailBlocksSurge', about(['job', 'guard'], {
    expr: |||
      (sum by (job, guard) (increase(%(blocks)s[10m])) >= %(min)d)
      > %(factor)g * 10 * 60 * sum by (job, guard) (rate(%(blocks)s[1d]))
      and on (job, guard)
      # The mean of a day that is not over is too low.
      group by (job, guard) (%(blocks)s offset 1d)
    ||| % { blocks: blocks, min: limits.guardrail_blocks_min, factor: limits.guardrail_blocks_factor },
    hold: '10m',
    summary: 'The guardrail {{ $labels.guard }} of {{ $labels.job }} blocks far more than usual.',
    description: 'About {{ $value | humanize }} blocks in the last 10m, over %g times as many as in ten minutes of the last day.' % limits.guardrail_blocks_factor,
  })),
  alert.new('GuardrailErrors', about(['job', 'guard'], {
    expr: share(
      decisions + '{decision="error"}', decisions, ['job', 'guard'], '5m',
      limits.guardrail_failed_ratio, limits.guardrail_failed_min
    ),
    severity: 'critical',
    hold: '5m',
    summary: 'The guardrail {{ $labels.guard }} of {{ $labels.job }} fails itself.',
    description: '{{ $value | humanizePercentage }} of its decisions in the last 5m are errors: whatever it should stop may pass.',
  })),
  alert.new('RetrievalEmpty', about(['job', 'index'], {
    expr: share(
      '%s_bucket{le="%s"}' % [found, bound(found, 0)], found + '_count', ['job', 'index'], '15m',
      limits.retrieval_empty_ratio, limits.retrieval_empty_min
    ),
    dashboard: 'claw-ai-datastores',
    hold: '10m',
    summary: 'Searches of {{ $labels.job }} in {{ $labels.index }} find nothing.',
    description: '{{ $value | humanizePercentage }} of the searches in the last 15m came back empty; the answers rest on nothing.',
  })),
  alert.new('VectorDbFailing', about(['job', 'operation'], {
    expr: share(
      vectors + '{status="error"}', vectors + '{status!="cancelled"}', ['job', 'operation'], '10m',
      limits.vector_db_failed_ratio, limits.vector_db_failed_min
    ),
    dashboard: 'claw-ai-datastores',
    hold: '10m',
    summary: 'The vector store of {{ $labels.job }} fails at {{ $labels.operation }}.',
    description: '{{ $value | humanizePercentage }} of these operations in the last 10m ended with an error.',
  })),
])
