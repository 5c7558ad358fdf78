// A signal is declared once: what is measured, how it is aggregated, its unit, its words, its thresholds.
// It is rendered as a panel or table column (through a `view`), as a recording rule and as an alert expression.
//
// Fields of a signal's spec: title; by (labels to keep, checked against the catalogue); match (label -> value, an
// operator may follow the label: { 'status=~': '5..' }); unit and description (from the catalogue where it has them);
// legend (from `by` where absent); thresholds ({ warning, critical }); record (a recording rule of the metric's rate, to
// be read instead of it).
local grafana = import 'grafana.libsonnet';
local metrics = import '../metrics.libsonnet';

local operator(key) =
  local two = std.substr(key, std.length(key) - 2, 2);
  if two == '=~' || two == '!~' || two == '!=' then two else '';
local label_of(key) = std.substr(key, 0, std.length(key) - std.length(operator(key)));
// strReplace is native code, escapeStringJson and string formatting are interpreted: this runs for every selector.
local quoted(value) = '"' + std.strReplace(std.strReplace(value, '\\', '\\\\'), '"', '\\"') + '"';
local matcher(key, value) =
  label_of(key) + (if operator(key) == '' then '=' else operator(key)) + quoted(value);

// [label, key, text] of each matcher. Arrays, because a field of an object is worked out again at each look.
local written(match) = [[label_of(key), key, matcher(key, match[key])] for key in std.objectFields(match)];
local selector(name, matchers) =
  if matchers == [] then name else name + '{' + std.join(', ', [one[2] for one in matchers]) + '}';

// Where an expression is evaluated: which matchers every selector gets, and over which range rates are taken.
local scope(match={}, range='$__rate_interval') =
  local shared = written(match);
  local without(more) = [one for one in shared if !std.objectHas(more, one[1])];
  {
    range: range,
    // name{matchers}: the scope's own, where the metric has the label, and those given.
    of(name, more={})::
      local labels = metrics.label_set(name);
      local given = [
        if one[0] in labels then one else metrics.no_label(name, one[0])
        for one in written(more)
      ];
      selector(name, [one for one in without(more) if one[0] in labels] + given),
    // The same for `up` and other series that Prometheus makes itself, which have only the labels of a target.
    target(name, more={}):: selector(name, without(more) + written(more)),
    // A recording rule: of the scope's matchers, those apply whose label its level names (level:metric:operations).
    // Records are about all instances.
    recorded(name, more={})::
      local level = '_' + std.split(name, ':')[0] + '_';
      selector(name, [one for one in without(more) if std.strReplace(level, '_' + one[0] + '_', '') != level] + written(more)),
    // The same over time: a bare record at a step of 43 minutes would show 5 of them.
    averaged(name, more={}):: 'avg_over_time(' + self.recorded(name, more) + '[' + range + '])',
    rate(name, more={}):: 'rate(' + self.of(name, more) + '[' + range + '])',
    increase(name, more={}):: 'increase(' + self.of(name, more) + '[' + range + '])',
  };
local rules_scope = scope(range='5m');

local grouped(by, operation='sum') =
  if by == [] then operation else operation + ' by (' + std.join(', ', by) + ') ';

local legend_of(spec) =
  local by = std.get(spec, 'by', []);
  std.get(spec, 'legend', if by == [] then spec.title else std.join(' ', ['{{' + label + '}}' for label in by]));

local of_whole_range(expr) = std.strReplace(expr, '[$__range]', '') != expr;

// ---- Rendering ---------------------------------------------------------------------------------------------
local signal(spec) = {
  local this = self,
  local title = std.get(spec, 'title', error 'signal: must provide title'),
  title: title,
  by: std.get(spec, 'by', []),
  unit: std.get(spec, 'unit', error 'signal %s: must provide unit' % title),
  description: std.get(spec, 'description', error 'signal %s: must provide description' % title),
  legend: legend_of(spec),
  panel:: { unit: this.unit, description: this.description }
          + (if std.objectHas(spec, 'thresholds') then { thresholds: spec.thresholds } else {})
          + (if std.objectHas(spec, 'no_value') then { no_value: spec.no_value } else {}),
  query:: std.get(spec, 'query', error 'signal %s: must provide query' % title),
  // A signal of lines in Loki is asked there, in its own language.
  local of_lines = std.get(spec, 'of_lines', false),
  range(s, extra={})::
    if of_lines then grafana.logql(this.query(s), this.legend) else grafana.range(this.query(s), this.legend, extra),
  instant(s, extra={})::
    if of_lines then grafana.logql(this.query(s), this.legend, instant=true) else grafana.instant(this.query(s), this.legend, extra),

  // Recording rule; the name's operation says how the number came about.
  record(name):: { record: name, expr: this.query(rules_scope) },
  // Alert expressions: the signal's value against a number, as it is now over `range`.
  above(value, range='5m'):: '%s > %g' % [wrapped(this.query(scope(range=range))), value],
  below(value, range='5m'):: '%s < %g' % [wrapped(this.query(scope(range=range))), value],
  local wrapped(expr) = '(\n%s\n)' % std.rstripChars(expr, '\n'),
};

// A signal over one metric: unit and description come from the catalogue where it has them.
local of_metric(metric, spec, query, per_second=false) =
  local by = metrics.with_labels(metric, std.get(spec, 'by', []));
  local help = metrics.help(metric);
  signal(
    { unit: metrics.unit(metric, per_second) }
    + (if help == null then {} else { description: help })
    + spec { by: by, query: query }
  );

// Thresholds of a latency, each of them a bucket bound.
local bounded(metric, spec) =
  if !std.objectHas(spec, 'thresholds') then spec else spec {
    thresholds+: {
      [height]: metrics.bound(metric, spec.thresholds[height])
      for height in ['warning', 'critical']
      if height in spec.thresholds
    },
  };

// Prometheus 3 stores whole bounds with a decimal point.
local le_of(bound) =
  if std.floor(bound) == bound then '%d.0' % bound else '%g' % bound;

// Events per second of a metric or of a part of it: from a recording (`record`), where so many series make it up that a
// panel would be slow, else from the metric itself.
local per_second_of(s, metric, spec, match) =
  if std.objectHas(spec, 'record') then s.averaged(spec.record, match) else s.rate(metric, match);

local fraction(part, whole, zero) = function(s)
  // Without the second arm a ratio has no value until the first bad event; with it, it is 0 as soon as there is traffic.
  local top = if zero then '(' + part(s) + ' or 0 * ' + whole(s) + ')' else part(s);
  top + '\n/\n' + whole(s) + '\n';

{
  new:: signal,

  // What lines in Loki say; `expr` is LogQL.
  lines(spec):: signal(spec { query(s):: spec.expr, of_lines: true }),

  // Events per second of a counter (or of a histogram's _count).
  rate(metric, spec):: of_metric(metric, spec, function(s)
    '%s(%s)' % [grouped(std.get(spec, 'by', [])), per_second_of(s, metric, spec, std.get(spec, 'match', {}))], per_second=true),

  // A gauge as it is now; `aggregate` says how series are put together.
  gauge(metric, spec):: of_metric(metric, spec, function(s)
    '%s(%s)' % [grouped(std.get(spec, 'by', []), std.get(spec, 'aggregate', 'sum')), s.of(metric, std.get(spec, 'match', {}))]),

  // A quantile of a histogram. Thresholds must be bucket bounds: between bounds a quantile is interpolated.
  quantile(q, metric, spec):: of_metric(metric, bounded(metric, spec), function(s)
    'histogram_quantile(%g, %s(%s))' % [
      q,
      grouped(std.get(spec, 'by', []) + ['le']),
      per_second_of(s, metric + '_bucket', spec, std.get(spec, 'match', {})),
    ]),

  // Share of a histogram's observations above a bucket bound.
  above_bound(bound, metric, spec)::
    local by = std.get(spec, 'by', []), match = std.get(spec, 'match', {});
    local le = le_of(metrics.bound(metric, bound));
    local all(s) =
      if std.objectHas(spec, 'record') then s.averaged(spec.record, match { le: '+Inf' }) else s.rate(metric + '_count', match);
    of_metric(metric, { unit: 'percentunit' } + spec, function(s)
      |||
        1 -
        %s(%s)
        /
        %s(%s)
      ||| % [
        grouped(by),
        per_second_of(s, metric + '_bucket', spec, match { le: le }),
        grouped(by),
        all(s),
      ]),

  // Mean of a histogram's observations.
  mean(metric, spec)::
    local by = std.get(spec, 'by', []), match = std.get(spec, 'match', {});
    of_metric(metric, spec, fraction(
      function(s) '%s(%s)' % [grouped(by), s.rate(metric + '_sum', match)],
      function(s) '%s(%s)' % [grouped(by), s.rate(metric + '_count', match)],
      zero=false
    )),

  // Observations per bucket, for a heat map.
  buckets(metric, spec):: of_metric(metric, { legend: '{{le}}' } + spec, function(s)
    'sum by (le) (%s)' % s.increase(metric + '_bucket', std.get(spec, 'match', {}))),

  // Share of a counter's events that match `bad`; 0 where there are events but no bad ones.
  share(metric, bad, spec)::
    local by = std.get(spec, 'by', []), match = std.get(spec, 'match', {});
    of_metric(metric, { unit: 'percentunit' } + spec, fraction(
      function(s) '%s(%s)' % [grouped(by), per_second_of(s, metric, spec, match + bad)],
      function(s) '%s(%s)' % [grouped(by), per_second_of(s, metric, spec, match)],
      zero=true
    )),

  // ---- A view renders signals as panels, all under the same scope ------------------------------------------
  view(match):: {
    local here = scope(match),
    local many(signals) = if std.isArray(signals) then signals else [signals],
    local first(signals) = many(signals)[0],
    local options_of(signals, options) = first(signals).panel + options,
    local title_of(signals, options) = std.get(options, 'title', first(signals).title),
    local ranges(signals, options, extra={}) = [
      one.range(here, extra)
      for one in many(signals)
    ],
    scope:: here,

    // A number of the whole time that is shown is asked for once, not at every step of it.
    stat(signals, options={}):: grafana.stat(title_of(signals, options), [
      if of_whole_range(one.query(here)) then one.instant(here) else one.range(here)
      for one in many(signals)
    ], options_of(signals, options)),
    gauge(signals, options={}):: grafana.gauge(title_of(signals, options), ranges(signals, options), options_of(signals, options)),
    timeseries(signals, options={}):: grafana.timeseries(title_of(signals, options), ranges(signals, options), options_of(signals, options)),
    state_timeline(signals, options={}):: grafana.state_timeline(title_of(signals, options), ranges(signals, options), options_of(signals, options)),
    piechart(signals, options={}):: grafana.piechart(title_of(signals, options), [
      one.instant(here)
      for one in many(signals)
    ], options_of(signals, options)),
    bargauge(signals, options={}):: grafana.bargauge(title_of(signals, options), [
      one.instant(here)
      for one in many(signals)
    ], options_of(signals, options)),
    // Lines as they are: the signal comes from `lines`.
    logs(one, options={}):: grafana.logs(title_of(one, options), [one.range(here)], options_of(one, options)),
    // Buckets of a histogram: the signal comes from `buckets`.
    heatmap(one, options={}):: grafana.heatmap(
      title_of(one, options), ranges(one, options, { format: 'heatmap', exemplar: true }), options_of(one, options)
    ),
    // One row of cells per series of the signal, coloured by its value.
    rows_heatmap(one, options={}):: grafana.heatmap(
      title_of(one, options), ranges(one, options), options_of(one, { cell_unit: one.unit } + options) { unit: 'short' }
    ),
    // One line per set of `by` labels, one column per signal; `headers` renames label columns.
    table(signals, options)::
      local by = options.by, headers = std.get(options, 'headers', {});
      local width = std.length(signals);
      local value(index) = if width == 1 then 'Value' else 'Value #%s' % std.char(65 + index);
      local renamed = { [value(index)]: signals[index].title for index in std.range(0, width - 1) }
                      + { 'Value #A': signals[0].title }  // Loki's only column has a letter, too
                      + headers;
      local order = by + [value(index) for index in std.range(0, width - 1)];
      local column(name, properties) = { matcher: { id: 'byName', options: name }, properties: properties };
      grafana.table(
        options.title,
        [one.instant(here, { format: 'table', legendFormat: '__auto' }) for one in signals],
        options {
          unit: 'short',
          transformations: [
            { id: 'merge', options: {} },
            { id: 'organize', options: {
              excludeByName: { Time: true },
              includeByName: {},
              indexByName: { [order[index]]: index for index in std.range(0, std.length(order) - 1) },
              renameByName: renamed,
            } },
          ],
          overrides: [
            column(one.title, [{ id: 'unit', value: one.unit }] + (
              if !std.objectHas(one.panel, 'thresholds') then [] else [
                { id: 'thresholds', value: grafana.thresholds(one.panel.thresholds) },
                { id: 'custom.cellOptions', value: { type: 'color-text' } },
                { id: 'color', value: { mode: 'thresholds' } },
              ]
            ))
            for one in signals
          ] + [
            column(std.get(headers, label, label), [{ id: 'links', value: many(options.drill[label]) }])
            for label in std.objectFields(std.get(options, 'drill', {}))
          ],
        }
      ),
  },
}
