// Machines and containers.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';
local problems = import '../lib/problems.libsonnet';

local limits = config.thresholds;
local free = limits.disk_free_ratio;
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

// Values of several kinds: each fault has its own rule, which names it in the label `problem`.
local memory = [
  alert.new('HostMemoryPressure', common {
    severity: 'critical',
    hold: '5m',
    keep: config.keep_firing_for,
    by: ['host', 'instance', 'problem'],
    summary: 'The machine {{ $labels.host }} has too little memory.',
    dashboard: 'claw-ai-resources',
  })
  for common in [
    {
      expr: |||
        rate(node_pressure_memory_stalled_seconds_total[5m]) > %g
      ||| % limits.memory_stalled_ratio,
      labels: { problem: 'everything waits' },
      description: 'For {{ $value | humanizePercentage }} of the last 5m every process waited for memory.',
    },
    {
      expr: |||
        node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < %g
      ||| % limits.memory_available_ratio,
      labels: { problem: 'nothing is free' },
      description: '{{ $value | humanizePercentage }} of its memory is available; the kernel will soon end a process.',
    },
  ]
];

local clock = [
  alert.new('HostClockSkewed', common {
    severity: 'warning',
    hold: '10m',
    by: ['host', 'instance', 'problem'],
    summary: 'The clock of {{ $labels.host }} is wrong or on its own.',
    dashboard: 'claw-ai-resources',
  })
  for common in [
    {
      expr: |||
        abs(node_timex_offset_seconds) > %g
      ||| % limits.clock_offset_seconds,
      labels: { problem: 'it is off' },
      description: 'Its time service wants to correct it by {{ $value | humanizeDuration }}.',
    },
    {
      // A machine that never had a time service (most containers, many virtual ones) says 0 too, and may be right.
      expr: |||
        node_timex_sync_status == 0
        and
        max_over_time(node_timex_sync_status[1d]) == 1
      |||,
      labels: { problem: 'it lost its time service' },
      description: 'Nothing corrects it any more: its sync status is {{ $value }}, and was 1 within the last day.',
    },
    {
      // What is left for machines without a time service. A slow scrape makes a difference of its own length.
      expr: |||
        abs(node_time_seconds - timestamp(node_time_seconds)) - scrape_duration_seconds > %g
      ||| % limits.clock_difference_seconds,
      labels: { problem: 'it differs from Prometheus' },
      description: 'It differs by {{ $value | humanizeDuration }} from the clock of Prometheus.',
    },
  ]
];

local machines = [
  alert.new('HostCpuPressure', {
    // Busy is not broken: waiting is.
    expr: |||
      rate(node_pressure_cpu_waiting_seconds_total[5m]) > %g
    ||| % limits.cpu_waiting_ratio,
    severity: 'warning',
    hold: '15m',
    keep: config.keep_firing_for,
    by: ['host', 'instance'],
    summary: 'The processors of {{ $labels.host }} are not enough.',
    description: 'For {{ $value | humanizePercentage }} of the last 5m something waited for a processor.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('HostDiskReadOnly', {
    // Some are meant to be: only one that could be written within the day is news.
    expr: |||
      node_filesystem_readonly{%s} == 1
      and
      min_over_time(node_filesystem_readonly[1d]) == 0
    ||| % watched,
    severity: 'critical',
    hold: '2m',
    by: ['host', 'device', 'mountpoint'],
    summary: 'The disk at {{ $labels.mountpoint }} on {{ $labels.host }} cannot be written any more.',
    description: 'Its read-only flag is {{ $value }}, and was 0 within the last day: the kernel does this after errors.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('HostOomKill', {
    // Where cAdvisor can tell whose process it was, ContainerRestarting does.
    expr: |||
      increase(node_vmstat_oom_kill[30m]) > 0
      unless on (host)
      increase(container_oom_events_total[30m]) > 0
    |||,
    severity: 'warning',
    hold: '1m',
    by: ['host', 'instance'],
    summary: 'The kernel of {{ $labels.host }} ended a process for want of memory.',
    description: 'Processes that it ended in the last 30m: about {{ $value | humanize }}.',
    dashboard: 'claw-ai-resources',
  }),
  alert.new('ContainerRestarting', {
    expr: problems.anyOf({
      'it starts again and again': 'max by (host, name, service) (changes(container_start_time_seconds{name!=""}[30m])) > 2',
      'it ran out of memory': 'max by (host, name, service) (increase(container_oom_events_total{name!=""}[30m])) > 0',
    }),
    severity: 'warning',
    hold: '1m',
    by: ['host', 'name', 'problem'],
    summary: 'The container {{ $labels.name }} on {{ $labels.host }} does not stay alive: {{ $labels.problem }}.',
    description: 'This happened about {{ $value | humanize }} times in the last 30m.',
    dashboard: 'claw-ai-resources',
  }),
];

alert.group(
  'hosts-alerts',
  [down]
  + std.flattenArrays([filling(name) for name in std.objectFields(resources)])
  + memory + clock + machines
)
