// A threshold that a histogram is compared with must be one of its bounds: between two bounds a quantile is a guess.
// bound(metric, seconds) -> the value of the label `le`, as Prometheus 3 stores it ("0.5", "1.0").
local metrics = import '../../exporter/metrics.json';

function(metric, value)
  local buckets = metrics[metric].buckets;
  assert std.member(buckets, value) : '%g is no bucket bound of %s; its bounds are %s' % [value, metric, buckets];
  if std.floor(value) == value then '%d.0' % value else '%g' % value
