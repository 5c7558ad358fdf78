// Service level objectives as data. One function gives the recordings of every window, the alerts, and the numbers a
// dashboard row shows. Method: multi-window, multi-burn-rate alerts of the Google SRE workbook, chapter 5.
local alert = import 'alert.libsonnet';
local config = import '../config.libsonnet';
local seconds = import 'duration.libsonnet';

local percent(ratio) = '%g%%' % (ratio * 100);

local required = {
  name: error 'an objective must provide name',
  alert: error self.name + ': must provide alert, the first part of the alerts\' names',
  events: error self.name + ': must provide events, what is counted, in the plural',
  verb: error self.name + ': must provide verb, what bad events did',
  objective: error self.name + ': must provide objective, the ratio of good events',
  window: error self.name + ': must provide window, over which the objective holds',
  total: error self.name + ': must provide total, a selector of the counter of all events',
  burn: error self.name + ': must provide burn, the window pairs of the fast alert',
  min_bad_events: error self.name + ': must provide min_bad_events',
  dashboard: error self.name + ': must provide dashboard',
  severity: 'critical',
  // A selector of the counter of bad events, or of good ones where only those are counted (histogram buckets).
  bad: null,
  good: null,
  // Window pairs of the slow alert; none: no such alert.
  leak: [],
  min_bad_events_leak: self.min_bad_events,
  keep: null,
  // Further windows to record, for dashboards.
  windows: [],
};

// { name, alert, objective, total, bad | good, ... } -> { name, title, objective, window, alert, recordings, alerts }
function(spec)
  local s = required + spec;
  local budget = 1 - s.objective;

  local perSecond(selector, window) = 'sum by (job) (rate(%s[%s]))' % [selector, window];
  local count(selector, window) = 'sum by (job) (increase(%s[%s]))' % [selector, window];

  local badPerSecond =
    if s.good == null then
      // Without the second arm nothing would be recorded until the first bad event ever: no data instead of 0.
      |||
        %s
        or
        0 * %s
      ||| % [perSecond(s.bad, '5m'), perSecond(s.total, '5m')]
    else
      |||
        %s
        -
        %s
      ||| % [perSecond(s.total, '5m'), perSecond(s.good, '5m')];

  local badCount(window) =
    if s.good == null then count(s.bad, window)
    else '(%s - %s)' % [count(s.total, window), count(s.good, window)];

  local ratio(window) = 'job:slo_errors:ratio_rate%s' % window;
  local selected = '{slo="%s"}' % s.name;

  local pairs = s.burn + s.leak;
  local windows = std.set(std.flattenArrays([[pair.long, pair.short] for pair in pairs]) + s.windows + [s.window]);

  // How many events the window holds: each sample of a rate stands for one interval between evaluations.
  local counted(events) = alert.record(
    'job:slo_%s:sum%s' % [events, s.window],
    '%d * sum_over_time(job:slo_%s:rate5m%s[%s])' % [seconds(config.intervals.slo_evaluation), events, selected, s.window],
    { slo: s.name }
  );

  local ratioRecording(window) =
    if window == '5m' then alert.record(
      ratio(window),
      'job:slo_bad:rate5m%(slo)s / job:slo_total:rate5m%(slo)s' % { slo: selected },
      { slo: s.name }
    ) else alert.record(
      ratio(window),
      // An average of ratios would weigh a quiet hour like a busy one; averages of the two rates do not.
      |||
        avg_over_time(job:slo_bad:rate5m%(slo)s[%(window)s])
        /
        avg_over_time(job:slo_total:rate5m%(slo)s[%(window)s])
      ||| % { slo: selected, window: window },
      { slo: s.name }
    );

  // The long window says that it matters, the short one that it still goes on. The last arm counts bad events, not
  // traffic: a service that is quiet and entirely broken must still be heard.
  local burnRate(suffix, severity, guardWindow, minimum, pair) = alert.new(s.alert + suffix, {
    expr: |||
      (
        %(long)s%(slo)s > %(factor)g * %(budget)g
      and
        %(short)s%(slo)s > %(factor)g * %(budget)g
      )
      and on (job)
      %(guard)s >= %(minimum)d
    ||| % {
      long: ratio(pair.long),
      short: ratio(pair.short),
      slo: selected,
      factor: pair.factor,
      budget: budget,
      guard: badCount(guardWindow),
      minimum: minimum,
    },
    severity: severity,
    hold: pair.hold,
    keep: s.keep,
    by: ['job'],
    labels: { window: pair.long },
    summary: 'Too many %s of {{ $labels.job }} %s.' % [s.events, s.verb],
    description: '{{ $value | humanizePercentage }} of the %s in the last %s %s; the objective allows %s. At this pace the budget for %s is spent within %dh.' % [
      s.events,
      pair.long,
      s.verb,
      percent(budget),
      s.window,
      seconds(s.window) / pair.factor / 3600,
    ],
    dashboard: s.dashboard,
  });

  assert s.objective > 0 && s.objective < 1 : '%s: objective %g is not a ratio between 0 and 1' % [s.name, s.objective];
  assert (s.bad == null) != (s.good == null) : s.name + ': give either bad or good';
  assert std.length(s.burn) > 0 : s.name + ': burn has no window pair';
  assert std.all([pair.factor * budget < 1 for pair in pairs]) :
         '%s: with the objective %g the alert at %g times the budget can never fire' % [s.name, s.objective, std.foldl(std.max, [pair.factor for pair in pairs], 0)];

  {
    name: s.name,
    title: '%s that %s (at most %s)' % [s.events, s.verb, percent(budget)],
    objective: s.objective,
    window: s.window,
    alert: s.alert,
    recordings: [
      alert.record('job:slo_total:rate5m', perSecond(s.total, '5m'), { slo: s.name }),
      alert.record('job:slo_bad:rate5m', badPerSecond, { slo: s.name }),
    ] + [ratioRecording(window) for window in std.set(windows + ['5m'])] + [
      counted('total'),
      counted('bad'),
      alert.record('slo:objective:ratio', 'vector(%g)' % s.objective, { slo: s.name }),
      alert.record('job:slo:budget_left', '1 - %s%s / %g' % [ratio(s.window), selected, budget], { slo: s.name }),
    ],
    alerts: [burnRate('BudgetBurn', s.severity, pair.long, s.min_bad_events, pair) for pair in s.burn]
            + [burnRate('BudgetLeak', 'warning', pair.short, s.min_bad_events_leak, pair) for pair in s.leak],
  }
