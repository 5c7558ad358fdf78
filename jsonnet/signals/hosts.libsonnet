// Hosts, by the node exporter.
local config = import '../config.libsonnet';
local signal = import '../lib/signal.libsonnet';

local limits = config.thresholds;
local real = { 'fstype!~': config.ignored_filesystems };
local real_interfaces = { 'device!~': 'lo|veth.*|docker.*|br-.*|ifb.*' };

// Share of the time in which work waited for a resource (pressure stall information of the kernel).
local pressure(title, metric, limits={}) = signal.new({
  title: title,
  description: 'Share of the time in which at least one task waited for it. Busy is not broken; waiting is.',
  unit: 'percentunit',
  by: ['host'],
  legend: '{{host}} ' + title,
  query(s):: 'max by (host) (%s)' % s.rate(metric),
} + limits);

local memory_part(title, metric) = signal.new({
  title: title,
  description: 'What the memory of the shown hosts is used for.',
  unit: 'bytes',
  query(s):: 'sum(%s)' % s.of(metric),
});

local disk_used(s, by) = |||
  max by (%(by)s) (
    1 - %(free)s
    /
    %(size)s
  )
||| % {
  by: by,
  free: s.of('node_filesystem_avail_bytes', real),
  size: s.of('node_filesystem_size_bytes', real),
};

// Days until a file system is full at the pace of the last six hours; at most 365.
local days_left(s) = |||
  clamp_max(
    %(free)s
    /
    # What does not shrink never gets full: a tiny pace gives the maximum.
    clamp_min(-deriv(%(free)s[6h]), 1e-9)
    / 86400,
    365
  )
||| % { free: s.of('node_filesystem_avail_bytes', real) };

{
  cpu: signal.new({
    title: 'CPU used',
    description: 'Share of the CPU time of all cores that is not idle.',
    unit: 'percentunit',
    by: ['host'],
    thresholds: limits.cpu_used_ratio,
    query(s):: '1 - avg by (host) (%s)' % s.rate('node_cpu_seconds_total', { mode: 'idle' }),
  }),
  cpu_modes: signal.new({
    title: 'CPU time by mode',
    description: 'Cores\' worth of time by mode: iowait is waiting for disks, steal is a neighbour on the same machine.',
    unit: 'short',
    by: ['mode'],
    query(s):: 'sum by (mode) (%s)' % s.rate('node_cpu_seconds_total', { 'mode!=': 'idle' }),
  }),
  cpu_pressure: pressure('CPU pressure', 'node_pressure_cpu_waiting_seconds_total', {
    thresholds: { warning: limits.cpu_waiting_ratio },
  }),
  memory_pressure: pressure('Memory pressure', 'node_pressure_memory_waiting_seconds_total'),
  memory_stalled: pressure('Memory stalled', 'node_pressure_memory_stalled_seconds_total', {
    description: 'Share of the time in which everything waited for memory: the machine does nothing but swap.',
    thresholds: { critical: limits.memory_stalled_ratio },
  }),
  io_pressure: pressure('IO pressure', 'node_pressure_io_waiting_seconds_total'),

  memory: signal.new({
    title: 'Memory used',
    description: 'Share of the memory that is not available to new work; page cache counts as available.',
    unit: 'percentunit',
    by: ['host'],
    thresholds: limits.memory_used_ratio,
    query(s):: |||
      1 - min by (host) (
        %s
        /
        %s
      )
    ||| % [s.of('node_memory_MemAvailable_bytes'), s.of('node_memory_MemTotal_bytes')],
  }),
  memory_available: memory_part('available', 'node_memory_MemAvailable_bytes'),
  memory_cache: memory_part('page cache', 'node_memory_Cached_bytes'),
  memory_total: memory_part('total', 'node_memory_MemTotal_bytes'),
  swapping: signal.new({
    title: 'Swapping',
    description: 'Pages a second to and from swap: any steady number means too little memory.',
    unit: 'cps',
    by: ['host'],
    thresholds: { warning: 10, critical: 1000 },
    query(s):: 'sum by (host) (%s + %s)' % [s.rate('node_vmstat_pswpin'), s.rate('node_vmstat_pswpout')],
  }),
  oom_kills: signal.new({
    title: 'OOM kills',
    description: 'Processes that the kernel killed for want of memory, within the shown time range.',
    unit: 'short',
    by: ['host'],
    thresholds: { warning: 1, critical: 2 },
    query(s):: 'sum by (host) (increase(%s[$__range]))' % s.of('node_vmstat_oom_kill'),
  }),

  fullest_disk: signal.new({
    title: 'Fullest disk',
    description: 'Share of the fullest file system in use.',
    unit: 'percentunit',
    by: ['host'],
    thresholds: limits.disk_used_ratio,
    query(s):: disk_used(s, 'host'),
  }),
  disk: signal.new({
    title: 'Disk used',
    description: 'Share of each file system in use, as far as an ordinary user may fill it.',
    unit: 'percentunit',
    by: ['host', 'mountpoint'],
    thresholds: limits.disk_used_ratio,
    query(s):: disk_used(s, 'host, mountpoint'),
  }),
  soonest_full: signal.new({
    title: 'Days until full',
    description: 'Days until the first file system is full, at the pace of the last six hours.',
    unit: 'd',
    by: ['host'],
    thresholds: { warning: 7, critical: 1, below: true },
    query(s):: 'min by (host) (\n%s)' % days_left(s),
  }),
  days_left: signal.new({
    title: 'Days until a disk is full',
    description: 'At the pace of the last six hours; 365 means longer than a year, or never.',
    unit: 'd',
    by: ['host', 'mountpoint'],
    thresholds: { warning: 7, critical: 1, below: true },
    query(s):: 'min by (host, mountpoint) (\n%s)' % days_left(s),
  }),
  inodes: signal.new({
    title: 'Inodes used',
    description: 'Share of the inodes in use, of the fullest file system.',
    unit: 'percentunit',
    by: ['host'],
    thresholds: limits.disk_used_ratio,
    query(s):: |||
      max by (host) (
        1 - %s
        /
        (%s > 0)
      )
    ||| % [s.of('node_filesystem_files_free', real), s.of('node_filesystem_files', real)],
  }),
  read_only: signal.new({
    title: 'Read-only file systems',
    description: 'File systems that the kernel turned read-only, usually after an error of the disk.',
    unit: 'short',
    by: ['host'],
    thresholds: { warning: 1, critical: 1 },
    query(s):: 'sum by (host) (%s)' % s.of('node_filesystem_readonly', real),
  }),
  disk_busy: signal.new({
    title: 'Disk busy',
    description: 'Share of the time in which a disk had work to do.',
    unit: 'percentunit',
    by: ['host', 'device'],
    query(s):: 'max by (host, device) (%s)' % s.rate('node_disk_io_time_seconds_total'),
  }),
  local latency(title, time, operations) = signal.new({
    title: title,
    description: 'Mean time of one read and one write.',
    unit: 's',
    by: ['host', 'device'],
    legend: title + ' {{host}} {{device}}',
    query(s):: |||
      sum by (host, device) (%s)
      /
      # No operation, no latency.
      (sum by (host, device) (%s) > 0)
    ||| % [s.rate(time), s.rate(operations)],
  }),
  read_latency: latency('read', 'node_disk_read_time_seconds_total', 'node_disk_reads_completed_total'),
  write_latency: latency('write', 'node_disk_write_time_seconds_total', 'node_disk_writes_completed_total'),

  local traffic(title, metric, sign='') = signal.new({
    title: title,
    description: 'Bits a second through each interface; sent below the axis.',
    unit: 'bps',
    by: ['host', 'device'],
    legend: title + ' {{host}} {{device}}',
    query(s):: '%s8 * sum by (host, device) (%s)' % [sign, s.rate(metric, real_interfaces)],
  }),
  received: traffic('received', 'node_network_receive_bytes_total'),
  sent: traffic('sent', 'node_network_transmit_bytes_total', '-'),
  network_errors: signal.new({
    title: 'Network errors',
    description: 'Packets a second that were faulty or dropped.',
    unit: 'cps',
    by: ['host'],
    thresholds: { warning: 1, critical: 100 },
    query(s):: |||
      sum by (host) (
        %s
        + %s
        + %s
        + %s
      )
    ||| % [
      s.rate('node_network_receive_errs_total', real_interfaces),
      s.rate('node_network_transmit_errs_total', real_interfaces),
      s.rate('node_network_receive_drop_total', real_interfaces),
      s.rate('node_network_transmit_drop_total', real_interfaces),
    ],
  }),
  conntrack: signal.new({
    title: 'Connection table used',
    description: 'Entries of the connection tracking table as a share of its limit: full means dropped connections.',
    unit: 'percentunit',
    by: ['host'],
    legend: '{{host}} connection table',
    query(s):: 'max by (host) (%s / %s)' % [s.of('node_nf_conntrack_entries'), s.of('node_nf_conntrack_entries_limit')],
  }),
  retransmits: signal.new({
    title: 'TCP segments sent again',
    description: 'Share of TCP segments that had to be sent again: loss on the way.',
    unit: 'percentunit',
    by: ['host'],
    legend: '{{host}} sent again',
    query(s):: |||
      sum by (host) (%s)
      /
      sum by (host) (%s)
    ||| % [s.rate('node_netstat_Tcp_RetransSegs'), s.rate('node_netstat_Tcp_OutSegs')],
  }),
  clock: signal.new({
    title: 'Clock offset',
    description: 'How far the clock is from its time servers.',
    unit: 's',
    by: ['host'],
    thresholds: { warning: limits.clock_offset_seconds },
    query(s):: 'max by (host) (abs(%s))' % s.of('node_timex_offset_seconds'),
  }),
  clock_kept: signal.new({
    title: 'Clock kept',
    description: '1 where a time service keeps the clock; machines that never had one show 0 and may be right.',
    unit: 'short',
    by: ['host'],
    query(s):: 'min by (host) (%s)' % s.of('node_timex_sync_status'),
  }),
  clock_difference: signal.new({
    title: 'Clock off Prometheus',
    description: 'How far the clock is from that of Prometheus; a scrape takes some of it.',
    unit: 's',
    by: ['host'],
    thresholds: { warning: limits.clock_difference_seconds },
    query(s):: 'max by (host) (abs(%(time)s - timestamp(%(time)s)))' % { time: s.of('node_time_seconds') },
  }),
  answers: signal.new({
    title: 'Answers',
    description: 'Whether its node exporter answers.',
    unit: 'short',
    by: ['host'],
    thresholds: { critical: 1, below: true },
    query(s):: 'max by (host) (%s)' % s.target('up', { job: 'node-exporter' }),
  }),
  uptime: signal.new({
    title: 'Up for',
    description: 'Time since the host booted.',
    unit: 's',
    by: ['host'],
    query(s):: 'time() - max by (host) (%s)' % s.of('node_boot_time_seconds'),
  }),
}
