// Objectives (slos.libsonnet) and the alerts' own record.
local config = import '../config.libsonnet';
local seconds = import '../lib/duration.libsonnet';
local signal = import '../lib/signal.libsonnet';
local slos = import '../slos.libsonnet';

local all = [slos[name] for name in std.objectFields(slos)];
local window = config.slo.window;
local ratio(span) = 'job:slo_errors:ratio_rate%s' % span;

// A column of the table of all objectives. Without max, the name of the recording would be a label, and a column.
local column(title, description, unit, query, more={}) = signal.new({
  title: title,
  description: description,
  unit: unit,
  by: ['job', 'slo'],
  query(s):: 'max by (job, slo) (%s)' % query(s),
} + more);

local burn(span, match={}) = function(s) |||
  %s
  / on (slo) group_left ()
  (1 - slo:objective:ratio)
||| % s.recorded(ratio(span), match);

// 2 while one of an objective's pages fires, 1 while one of its tickets does.
local firing(s) = std.join('\nor\n', [
  |||
    max by (job, slo) (
      label_replace(%(job)s * %(height)d, "slo", "%(slo)s", "", "")
    )
  ||| % {
    job: s.recorded('ALERTS', { 'alertname=~': one.alert + 'Budget(Burn|Leak)', alertstate: 'firing', severity: severity, 'job=~': '$job' }),
    height: { critical: 2, warning: 1 }[severity],
    slo: one.name,
  }
  for severity in ['critical', 'warning']
  for one in all
]);

local top(query) = 'topk(10, %s > 0)' % query;
local spender(title, description, by, query) = signal.new({
  title: title,
  description: description + ' The ten that spend most.',
  unit: 'short',
  by: by,
  no_value: 'nobody: nothing went wrong',
  query(s):: top(query(s)),
});

{
  objectives: all,

  // ---- The table -----------------------------------------------------------------------------------------
  objective: column('Objective', 'What is promised: the share of good events.', 'percentunit', function(s)
    '0 * %s + on (slo) group_left slo:objective:ratio' % s.recorded('job:slo:budget_left')),
  achieved: column('Last ' + window, 'The share of good events so far.', 'percentunit', function(s) '1 - ' + s.recorded(ratio(window))),
  budget_left: column('Budget left', 'Share of the error budget that is left. Below 0 the objective is missed.', 'percentunit', function(s)
    s.recorded('job:slo:budget_left'), { thresholds: { warning: 0.25, critical: 0, below: true } }),
  burn: [
    column('Burn ' + pair.long, 'How many times faster than allowed the budget is spent; 1 spends it within %s.' % window, 'suffix:×', burn(pair.long), {
      thresholds: { warning: 1, critical: std.max(pair.factor, 3) },
    })
    for pair in config.slo.burn + config.slo.leak
    if pair.long != '1d'
  ],
  counted: column('Events', 'Events that were counted: with a few hundred, one failure is a large share.', 'short', function(s)
    s.recorded('job:slo_total:sum' + window)),
  bad: column('Bad', 'Events that were bad.', 'short', function(s) s.recorded('job:slo_bad:sum' + window)),
  state: column('Alert', 'Whether one of its alerts fires.', 'short', function(s)
    '%s\nor\n0 * %s' % [firing(s), s.recorded('job:slo:budget_left')], {
      thresholds: { warning: 1, critical: 2 },
    }),

  // ---- One row each --------------------------------------------------------------------------------------
  budget_of(one):: signal.new({
    title: 'Budget left of ' + window,
    description: 'Share of the error budget that is left. A step down is an incident, a slope is a leak.',
    unit: 'percentunit',
    by: ['job'],
    thresholds: { warning: 0.25, critical: 0, below: true },
    query(s):: s.recorded('job:slo:budget_left', { slo: one.name }),
  }),
  burn_of(one):: [
    signal.new({
      title: 'Burn rates',
      description: 'How many times faster than allowed the budget is spent. The lines are the alerts\' factors: %s.' % std.join(', ', [
        '%s at %g' % [each.long, each.factor]
        for each in config.slo.burn + config.slo.leak
      ]),
      unit: 'suffix:×',
      by: ['job'],
      legend: '{{job}} ' + pair.long,
      query:: burn(pair.long, { slo: one.name }),
    })
    for pair in config.slo.burn + config.slo.leak
  ],
  // Who spends the budget of an objective; each must have one.
  spenders: {
    http_availability: spender('Failed requests a minute', 'By endpoint and status.', ['endpoint', 'status'], function(s)
      '60 * sum by (endpoint, status) (%s)' % s.averaged('job_endpoint_status:claw_ai_http_requests:rate5m', { 'status=~': '5..' })),
    http_latency: spender('Slow requests a minute', 'By endpoint.', ['endpoint'], function(s)
      |||
        60 * (
          sum by (endpoint) (%s)
          -
          sum by (endpoint) (%s)
        )
      ||| % [
        s.averaged('job_endpoint_le:claw_ai_http_request_duration_seconds_bucket:rate5m', {
          'endpoint!~': config.streaming_endpoints,
          le: '+Inf',
        }),
        s.averaged('job_endpoint_le:claw_ai_http_request_duration_seconds_bucket:rate5m', {
          'endpoint!~': config.streaming_endpoints,
          le: (import '../lib/bound.libsonnet')('claw_ai_http_request_duration_seconds', config.slo.http_latency.threshold_seconds),
        }),
      ]),
    ai_answers: spender('Failed answers a minute', 'By model and kind of error.', ['model', 'error_type'], function(s)
      '60 * sum by (model, error_type) (%s)' % s.averaged('job_model_provider_error_type:claw_ai_ai_errors:rate5m')),
  },

  // The dashboard that shows why.
  causes: { http_availability: 'claw-ai-performance', http_latency: 'claw-ai-performance', ai_answers: 'claw-ai-models' },

  // ---- The alerts themselves -----------------------------------------------------------------------------
  local began = 'alertname_severity:alerts_begun:count',
  local again = 'alertname_severity:alerts_begun_again:count',
  local of_alert = ['alertname', 'severity'],
  local number(title, description, record, severity) = signal.new({
    title: title,
    description: description,
    unit: 'short',
    query(s):: 'sum(sum_over_time(%s{severity=~"%s"}[$__range])) or vector(0)' % [record, severity],
  }),
  pages: number('Pages', 'Alerts that began to fire within the shown time range and wake somebody up.', 'severity:alerts_begun:count', 'critical'),
  tickets: number('Tickets', 'Alerts that began to fire within the shown time range and can wait for the morning.', 'severity:alerts_begun:count', 'warning'),
  flaps: number('Flaps', 'Alerts of the shown time range that fired again within an hour.', 'severity:alerts_begun_again:count', 'critical|warning'),
  local alerts_column(title, description, unit, query, more={}) = signal.new({
    title: title,
    description: description,
    unit: unit,
    by: of_alert,
    query(s):: query,
  } + more),
  began: alerts_column('Times', 'How often it began to fire.', 'short', 'sum by (alertname, severity) (sum_over_time(%s[$__range]))' % began),
  flapped: alerts_column('Flaps', 'How often it fired again within an hour.', 'short', 'sum by (alertname, severity) (sum_over_time(%s[$__range]))' % again, {
    thresholds: { warning: 1, critical: 10 },
  }),
  fired_for: alerts_column('Firing', 'How long it fired, all its instances added up.', 's',
    '%d * sum by (alertname, severity) (count_over_time(ALERTS{alertstate="firing", severity=~"critical|warning"}[$__range]))' % seconds(config.intervals.evaluation)),
  timeline: signal.new({
    title: 'When alerts fired',
    description: 'Alerts over time, by name. Orange: a ticket. Red: a page.',
    unit: 'short',
    by: ['alertname'],
    thresholds: { warning: 1, critical: 2, base: 'transparent' },
    no_value: 'no alert fired in this time',
    query(s):: |||
      max by (alertname) (
        2 * ALERTS{alertstate="firing", severity="critical"}
        or
        ALERTS{alertstate="firing", severity="warning"}
      )
    |||,
  }),
}
