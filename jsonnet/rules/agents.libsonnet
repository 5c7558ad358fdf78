// Agents and tools as the dashboards show them, without the instance.
local config = import '../config.libsonnet';
local alert = import '../lib/alert.libsonnet';

alert.group('agents-rules', [
  alert.rate(['job', 'agent', 'outcome'], 'claw_ai_agent_runs_total'),
  alert.rate(['job', 'agent'], 'claw_ai_agent_runs_total'),
  alert.rate(['job', 'agent', 'le'], 'claw_ai_agent_run_steps_bucket'),
  alert.rate(['job', 'agent', 'step_type'], 'claw_ai_agent_step_duration_seconds_sum'),
  alert.rate(['job', 'tool', 'status'], 'claw_ai_tool_calls_total'),
  alert.rate(['job', 'tool', 'le'], 'claw_ai_tool_call_duration_seconds_bucket'),
], config.intervals.recording)
