// What only a look from outside can tell: the blackbox exporters' probes.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

local left = config.thresholds.certificate_left_seconds;

alert.group('probes-alerts', [
  alert.new('PublicDoorDown', {
    expr: |||
      # One prober that fails while another gets through has trouble of its own, which ProbeFailed tells.
      max by (host, target) (probe_success{module=~"https?_2xx.*"}) == 0
    |||,
    severity: 'critical',
    hold: '2m',
    keep: config.keep_firing_for,
    by: ['host', 'target'],
    summary: 'Nobody gets through to {{ $labels.target }}.',
    description: 'Every probe of it has failed for 2m: the best result is {{ $value }}.',
    dashboard: 'claw-ai-overview',
  }),
  alert.new('ProbeFailed', {
    expr: 'probe_success == 0',
    severity: 'warning',
    hold: '5m',
    by: ['host', 'instance', 'module', 'target'],
    summary: '{{ $labels.instance }} does not get through to {{ $labels.target }}.',
    description: 'Its {{ $labels.module }} probe of {{ $labels.target }} on {{ $labels.host }} has failed for 5m: success is {{ $value }}.',
    dashboard: 'claw-ai-overview',
  }),
] + alert.levels('TlsCertificateExpiring', {
  expr(threshold):: |||
    min by (host, target) (probe_ssl_earliest_cert_expiry) - time() < %d
  ||| % threshold,
  by: ['host', 'target'],
  summary: 'The certificate of {{ $labels.target }} ends soon.',
  description: 'It is valid for another {{ $value | humanizeDuration }}. After that, browsers and log shippers refuse it.',
  dashboard: 'claw-ai-stack',
}, {
  warning: { threshold: left.warning, hold: '1h' },
  critical: { threshold: left.critical, hold: '1h' },
}))
