// Several faults of one kind in one alert: the label `problem` of the result tells which.
// problems({ 'rules fail': 'expression', ... }) -> one expression. All of them share the texts of the alert, so their
// values must mean the same: usually how often it happened.
local anyOf(arms) = std.join('or\n', [
  |||
    label_replace(%s, "problem", "%s", "", "")
  ||| % [arms[problem], problem]
  for problem in std.objectFields(arms)
]);

{
  anyOf: anyOf,

  // How often a counter of a program grew, where it grew at least so often.
  grown(metric, window, least=null)::
    'sum by (job, host, instance) (increase(%s[%s])) %s' % [metric, window, if least == null then '> 0' else '>= %d' % least],

  // The same for a counter whose series only appears with its first event, which increase() cannot see: what was not
  // there a window ago counts whole.
  begun(metric, window, by):: |||
    sum by (%(by)s) (
      (last_over_time(%(metric)s[%(window)s]) unless %(metric)s offset %(window)s)
      or
      increase(%(metric)s[%(window)s])
    )
  ||| % { metric: metric, window: window, by: std.join(', ', by) },
}
