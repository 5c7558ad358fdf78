// Who is told what: the configuration of Alertmanager.
local alerts = import 'alerts/all.libsonnet';
local config = import 'config.libsonnet';
local route = import 'lib/route.libsonnet';

local timing = config.notifications;

{
  // Relative to this file's folder; it is empty until you write templates of your own.
  templates: ['templates/*.tmpl'],

  route: {
    receiver: 'team',
    group_by: timing.group_by,
    group_wait: timing.group_wait,
    group_interval: timing.group_interval,
    repeat_interval: timing.repeat_interval.warning,
    routes: [
      // `make notify-test` names the receiver, and reads from Alertmanager's metrics what became of it.
      {
        receiver: name,
        matchers: [route.is('claw_test_receiver', name)],
        group_by: ['...'],
        group_wait: '0s',
        group_interval: '5s',
      }
      for name in std.objectFields(config.receivers)
    ] + [
      { receiver: 'watchdog', matchers: [route.isOneOf('alertname', ['Watchdog', 'WatchdogFreshData'])] }
      + route.heartbeat(timing.watchdog),
      // A test sent by a person or by `make demo-check` goes the way of its severity, without the waiting.
      {
        receiver: 'team',
        matchers: [route.is('alertname', 'NotificationTest')],
        group_by: ['...'],
        group_wait: '0s',
        group_interval: '5s',
        routes: [{ receiver: 'oncall', matchers: [route.is('severity', 'critical')] }],
      },
      // It says that a channel is broken: so it takes every channel.
      { receiver: 'team', matchers: [route.is('alertname', 'NotificationsFailing')], continue: true },
      {
        receiver: 'oncall',
        matchers: [route.is('severity', 'critical')],
        repeat_interval: timing.repeat_interval.critical,
      },
      { receiver: 'team', matchers: [route.is('severity', 'warning')] },
      { receiver: 'null', matchers: [route.isOneOf('severity', ['info', 'none'])] },
    ],
  },

  receivers: [
    route.receiver(name, { send_resolved: name != 'watchdog' } + config.receivers[name])
    for name in std.objectFields(config.receivers)
  ],

  inhibit_rules: route.severityInhibitions(alerts) + route.causeInhibitions(alerts, [
    // The page is about the same failures as the ticket.
    { source: 'HttpAvailabilityBudgetBurn', mutes: ['HttpAvailabilityBudgetLeak'], equal: ['job'] },
    // Connections pile up because the database does not answer. Same host only: which pool belongs to which database
    // is not known, and a warning too many is better than one too few.
    { source: 'PostgresDown', mutes: ['PoolNearlyExhausted'], equal: ['host'] },
    { source: 'RedisDown', mutes: ['RedisMemoryHigh'], equal: ['host', 'instance'] },
    // A dead machine is one page, however much it took along.
    { source: 'HostDown', mutes: ['ProbeFailed', 'PublicDoorDown', 'TargetDown'], equal: ['host'] },
    { source: 'PublicDoorDown', mutes: ['ProbeFailed'], equal: ['host', 'target'] },
  ]),
}
