// The catalogue bridge: every metric that a panel, rule or alert may name, with its labels, unit and bucket bounds.
// Ours come from exporter/metrics.json and relay/metrics.json, everybody else's from vendor-metrics.json (captured from live exporters).
// A name, label or bound that does not exist stops the evaluation here.
local ours = (import '../exporter/metrics.json') + (import '../relay/metrics.json');
local vendors = import 'vendor-metrics.json';

// Asking an object whether it has a field reads all of its fields: so only the smaller one is asked about our metrics.
local catalogue(name) = if std.startsWith(name, 'claw_') then ours else vendors;
local target_labels = { host: true, instance: true, job: true };
local labels_by_relabelling = { 'blackbox-exporter': { module: true, target: true } };
local synthetic = { up: true, scrape_duration_seconds: true, scrape_samples_scraped: true };

// Grafana's name of a unit, and of that unit per second.
local units = {
  '': ['short', 'cps'],
  bytes: ['bytes', 'Bps'],
  ratio: ['percentunit', 'percentunit'],
  seconds: ['s', 'percentunit'],  // seconds of work per second: a share of the time
  usd: ['currencyUSD', 'currencyUSD'],
};

// A part of a histogram or summary belongs to the metric without the suffix.
local base(name) = if std.objectHas(catalogue(name), name) then name else
  local part(suffix) = if std.endsWith(name, suffix) then std.substr(name, 0, std.length(name) - std.length(suffix));
  local candidates = [part(suffix) for suffix in ['_bucket', '_count', '_sum']];
  local known = [candidate for candidate in candidates if candidate != null && std.objectHas(catalogue(candidate), candidate)];
  if known == [] then error 'unknown metric %s' % name else known[0];

{
  // The catalogue entry of a metric; `name` may be a part of a histogram (..._bucket, ..._sum, ..._count).
  get(name):: catalogue(name)[base(name)],

  // A histogram's catalogue entry.
  histogram(name)::
    local metric = self.get(name);
    if metric.type == 'histogram' then metric else error '%s is a %s, not a histogram' % [name, metric.type],

  // All labels of a metric's series, those of the scrape target included, as the fields of an object: looking one up
  // is native code, searching an array is not.
  label_set(name)::
    if name in synthetic then target_labels else
      local metric = self.get(name);
      target_labels
      + { [label]: true for label in metric.labels }
      + std.get(labels_by_relabelling, std.get(metric, 'source', ''), {})
      + (if std.endsWith(name, '_bucket') then { le: true } else {})
      + (if metric.type == 'summary' && std.objectHas(catalogue(name), name) then { quantile: true } else {}),

  no_label(name, label)::
    error 'no label %s of %s (there are: %s)' % [label, name, std.join(', ', std.objectFields(self.label_set(name)))],

  // Returns `wanted` when every one of these labels exists.
  with_labels(name, wanted)::
    local labels = self.label_set(name);
    [if label in labels then label else self.no_label(name, label) for label in wanted],

  // Grafana's unit of a metric's value; `per_second` for its rate. The parts of a histogram that count have none.
  unit(name, per_second=false)::
    local counts = std.endsWith(name, '_count') || std.endsWith(name, '_bucket');
    local unit = if counts then '' else std.get(self.get(name), 'unit', '');
    units[unit][if per_second then 1 else 0],

  // What the catalogue says about a metric; vendors' metrics are described where they are used.
  help(name):: std.get(self.get(name), 'help', null),

  // Returns `seconds` when it is a bucket bound of the histogram; a quantile compared with anything else is guesswork.
  bound(name, seconds)::
    local bounds = self.histogram(name).buckets;
    if std.member(bounds, seconds) then seconds
    else error '%g is no bucket bound of %s (there are: %s)' % [seconds, name, std.join(', ', ['%g' % b for b in bounds])],
}
