// Who is scraped, and who should be.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

local listed = std.join('\nor\n', [
  'label_replace(vector(%d), "job", "%s", "", "")' % [config.expected_targets[job], job]
  for job in std.objectFields(config.expected_targets)
]);

alert.group('targets-rules', [
  alert.record('job:up:count', 'count by (job) (up)'),
  alert.record('job:up:sum', 'sum by (job) (up)'),
  alert.record('job:claw_expected_targets:count', |||
    %(listed)s
    or
    # A job that nobody listed is expected for a while after it was seen: one target, however many it had, so that
    # scaling down is no alarm.
    clamp_max(max_over_time(job:up:count[%(memory)s]), 1)
  ||| % { listed: listed, memory: config.remember_job_for }),
])
