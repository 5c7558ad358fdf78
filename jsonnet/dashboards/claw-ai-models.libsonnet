// Provider, experience, money: which model hurts, what is it like to wait for it, what does it cost?
local colours = import '../lib/colours.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local agents = import '../signals/agents.libsonnet';
local ai = import '../signals/ai.libsonnet';
local money = import '../signals/money.libsonnet';

local answers = 'claw_ai_ai_response_duration_seconds_count';
local label_values = grafana.variable.label_values;
local of_model = variables.of_app { 'provider=~': '$provider', 'model=~': '$model' };

local app = signal.view(variables.of_app);
local all = signal.view({});
local chosen = signal.view(of_model);
// Lines that cross each other: no area below them.
local lines = { w: 6, fill: 0 };
local to_lines = { links: [dashboard.open('claw-ai-logs', 'Which log lines?')] };
local choose(label) = dashboard.drill('claw-ai-models', label, label, 'Show this %s below' % label);

{
  title: 'Claw AI: models · 模型与成本',
  description: 'Which model or provider hurts, what is it like to wait for it, and what does it cost?',
  refresh: '1m',
  variables: [
    variables.job,
    variables.instance,
    label_values('provider', 'provider', answers + '{job=~"$job"}'),
    // All of them, by name: a provider that is chosen narrows also what knows its model only.
    label_values('model', 'model', answers + '{job=~"$job", provider=~"$provider"}', all=null),
  ],
  rows: [
    grafana.row('Which model hurts most?', [
      chosen.table([
        ai.model.failed,
        ai.model.rate,
        ai.model.errors,
        ai.model.refused,
        ai.model.first_token,
        ai.model.p95,
        ai.model.speed,
        ai.model.dollars,
      ], {
        title: 'Models',
        description: 'All instances, last five minutes, most harmful first. A click on a provider or a model chooses it.',
        by: ['provider', 'model'],
        sort_by: ['Failed/min'],
        h: 9,
        drill: { provider: choose('provider'), model: choose('model') },
      }),
    ]),
    grafana.row('Providers: does each answer, or is it slow, full or unpaid?', [
      chosen.state_timeline(ai.provider_ok, {
        title: 'Providers',
        description: 'Share of HTTP requests answered well. Orange and red: the limits at which the alerts speak.',
        thresholds: ai.provider_limits,
        w: 8,
      }),
      chosen.timeseries(ai.attempts, { w: 8, stack: true, overrides: colours.by_outcome }),
      chosen.timeseries(ai.failed_attempts, lines { w: 8 } + to_lines),
      chosen.timeseries(ai.in_flight, { w: 8, stack: true }),
      chosen.timeseries(ai.rate_limited, lines { w: 8 }),
      chosen.timeseries(ai.headroom, lines { w: 8, max: 1 }),
      chosen.timeseries(ai.repeated, lines { w: 8 }),
      chosen.timeseries(ai.fallbacks, lines { w: 8 } + to_lines),
      all.timeseries(ai.canary, lines { w: 8 }),
    ]),
    grafana.row('Experience: how long until there is something to read, and does it keep coming?', [
      chosen.timeseries(ai.first_token_p50, lines),
      chosen.timeseries(ai.first_token_p95, lines),
      chosen.timeseries(ai.gap, lines),
      chosen.timeseries(ai.silence, lines + to_lines),
      chosen.heatmap(ai.buckets, { w: 12 }),
      chosen.timeseries(ai.p95, lines),
      chosen.timeseries(ai.speed, lines),
    ]),
    grafana.row('Output: is what comes back whole and allowed?', [
      chosen.timeseries(ai.finish, { w: 6, stack: true, overrides: colours.by_outcome }),
      chosen.timeseries(ai.unfinished, lines),
      chosen.timeseries(ai.context, lines { max: 1 }),
      app.timeseries(agents.guardrails, lines),
    ]),
    grafana.row('Tokens: what do answers use?', [
      chosen.timeseries(ai.tokens, { w: 6, stack: true }),
      chosen.timeseries(ai.tokens_by_model, { w: 6, stack: true }),
      chosen.timeseries(ai.tokens_per_answer, lines),
      chosen.timeseries([ai.cached, ai.reasoning], lines { title: 'Cached and reasoning tokens', max: 1 }),
    ]),
    grafana.row('Money: what does it cost, and will the budget last?', [
      app.stat(money.dollars_an_hour),
      app.stat(money.spent_day),
      app.stat([money.forecast, money.month], { title: '30 days' }),
      app.gauge(money.day_budget),
      app.gauge(money.month_budget),
      chosen.stat([money.per_answer, money.per_conversation], { title: 'Cost of' }),
      chosen.timeseries(money.by_model, { w: 12, stack: true }),
      chosen.timeseries([money.unpriced, money.usage_missing], { title: 'Cost that is not counted, per minute', w: 12 }),
    ]),
    grafana.row('Agents: do they finish, or go round in circles?', [
      app.timeseries(agents.runs, { w: 6, stack: true, overrides: colours.by_outcome }),
      app.timeseries([agents.failing, agents.stopped], lines { title: 'Runs that fail, or are stopped' } + to_lines),
      app.timeseries([agents.steps_p50, agents.steps_p95], lines { title: 'Steps of a run' }),
      app.timeseries(agents.repeated, lines),
      app.table([agents.tool.failed, agents.tool.rate, agents.tool.errors, agents.tool.p95], {
        title: 'Tools',
        description: 'All instances, last five minutes, most failures first.',
        by: ['tool'],
        sort_by: ['Failed/min'],
        w: 12,
        h: 8,
      }),
      app.timeseries(agents.step_time, { w: 12, stack: true }),
    ]),
  ],
}
