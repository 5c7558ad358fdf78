// Recordings of the objectives (slos.libsonnet).
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local slos = import '../slos.libsonnet';

alert.group(
  'slo-rules',
  std.flattenArrays([slos[name].recordings for name in std.objectFields(slos)]),
  config.intervals.slo_evaluation
)
