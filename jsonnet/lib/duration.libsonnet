// seconds('1h') -> 3600. One number and one unit, as durations are written throughout.
local units = { s: 1, m: 60, h: 3600, d: 86400 };

function(text)
  local unit = text[std.length(text) - 1];
  assert std.objectHas(units, unit) : 'the duration %s does not end in one of %s' % [text, std.objectFields(units)];
  std.parseInt(text[:std.length(text) - 1]) * units[unit]
