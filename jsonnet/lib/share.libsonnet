// The expression of an alert about a share: more than `limit` of the events in `window` are bad, and at least `min` bad
// ones came. The guard counts bad events: one in events a second would be blind to a quiet service that is entirely
// broken. `bad` and `total` are selectors of counters, `by` the labels of the result.
function(bad, total, by, window, limit, min)
  |||
    sum by (%(by)s) (rate(%(bad)s[%(window)s]))
    /
    sum by (%(by)s) (rate(%(total)s[%(window)s]))
    > %(limit)g
    and on (%(by)s)
    sum by (%(by)s) (increase(%(bad)s[%(window)s])) >= %(min)g
  ||| % { bad: bad, total: total, by: std.join(', ', by), window: window, limit: limit, min: min }
