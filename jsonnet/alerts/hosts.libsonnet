// Machines.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

local free = config.thresholds.disk_free_ratio;
local watched = 'fstype!~"%s"' % config.ignored_filesystems;

// One shape for bytes and for inodes. File systems without a fixed number of inodes report 0 of 0: not compared.
local resources = {
  bytes: { left: 'node_filesystem_avail_bytes', size: 'node_filesystem_size_bytes', words: 'space' },
  inodes: { left: 'node_filesystem_files_free', size: 'node_filesystem_files', words: 'inodes' },
};

// The selector stands once: what has no partner on the left is dropped by the division and by `and`.
local share(resource) = '%(left)s{%(watched)s} / (%(size)s > 0)' % resource { watched: watched };

local filling(name) =
  local resource = resources[name];
  local common = {
    by: ['host', 'device', 'mountpoint', 'resource'],
    labels: { resource: name },
    summary: 'The disk at {{ $labels.mountpoint }} on {{ $labels.host }} is running out of %s.' % resource.words,
    dashboard: 'claw-ai-resources',
  };
  [
    alert.new('HostDiskFilling', common {
      expr: |||
        %(share)s < %(free)g
        and
        # At the pace of the last six hours nothing is left within a day.
        predict_linear(%(left)s[6h], 86400) < 0
      ||| % resource { share: share(resource), free: free.warning },
      severity: 'warning',
      hold: '1h',
      description: '{{ $value | humanizePercentage }} of the %s is left, and at the pace of the last 6h it is gone within a day.' % resource.words,
    }),
    alert.new('HostDiskFilling', common {
      expr: |||
        %s < %g
      ||| % [share(resource), free.critical],
      severity: 'critical',
      hold: '5m',
      description: '{{ $value | humanizePercentage }} of the %s is left.' % resource.words,
    }),
  ];

local down = alert.new('HostDown', {
  expr: |||
    max by (host) (up{job="node-exporter"}) == 0
    and on (host)
    # Whoever can still reach it knows that it lives: then the way from here is broken, which ProbeFailed tells.
    max by (host) (probe_success{module="icmp"}) == 0
  |||,
  severity: 'critical',
  hold: '2m',
  keep: config.keep_firing_for,
  by: ['host'],
  summary: 'The machine {{ $labels.host }} does not answer.',
  description: 'Neither its node exporter nor a ping has been answered for 2m: up is {{ $value }}.',
  dashboard: 'claw-ai-resources',
});

alert.group('hosts-alerts', [down] + std.flattenArrays([filling(name) for name in std.objectFields(resources)]))
