"""What Redis does in one step: an entry is counted exactly when it is there, whoever is killed in between."""

from __future__ import annotations

from typing import Final

__all__ = ["APPEND", "DONE", "LAG"]

# KEYS: the counts, the streams. ARGV: for each entry the number of its stream, its kind, and its fields.
APPEND: Final = """
local ids = {}
for i = 1, #ARGV, 7 do
  ids[#ids + 1] = redis.call('XADD', KEYS[1 + ARGV[i]], '*',
    'tenant', ARGV[i + 2], 'received_us', ARGV[i + 3], 'count', ARGV[i + 4],
    'idempotency_key', ARGV[i + 5], 'body', ARGV[i + 6])
  redis.call('HINCRBY', KEYS[1], ARGV[i + 1] .. ':records', ARGV[i + 4])
  redis.call('HINCRBY', KEYS[1], ARGV[i + 1] .. ':bytes', #ARGV[i + 6])
end
return ids
"""

# KEYS: the counts, a stream. ARGV: the group, the kind, and for each entry its id, count and bytes.
# An entry that somebody else has done already is not counted again; where none is left, none is counted.
DONE: Final = """
local records, bytes = 0, 0
for i = 3, #ARGV, 3 do
  redis.call('XACK', KEYS[2], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 then
    records = records + ARGV[i + 1]
    bytes = bytes + ARGV[i + 2]
  end
end
if redis.call('XLEN', KEYS[2]) == 0 then
  redis.call('HDEL', KEYS[1], ARGV[2] .. ':records', ARGV[2] .. ':bytes')
elseif records > 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[2] .. ':records', -records)
  redis.call('HINCRBY', KEYS[1], ARGV[2] .. ':bytes', -bytes)
end
"""

# KEYS: the counts, the streams. ARGV: their kinds.
# Returns for each stream: entries, records, bytes, age of the oldest in milliseconds.
LAG: Final = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local lag = {}
for i = 1, #ARGV do
  local first = redis.call('XRANGE', KEYS[1 + i], '-', '+', 'COUNT', 1)[1]
  local counts = redis.call('HMGET', KEYS[1], ARGV[i] .. ':records', ARGV[i] .. ':bytes')
  lag[i] = {redis.call('XLEN', KEYS[1 + i]), tonumber(counts[1] or 0), tonumber(counts[2] or 0),
    first and math.max(0, now_ms - string.match(first[1], '%d+')) or 0}
end
return lag
"""
