// Who is told what: the configuration of Alertmanager, and that of the relay, from what config.libsonnet says.
local alerts = import 'alerts/all.libsonnet';
local config = import 'config.libsonnet';
local channel = import 'lib/channel.libsonnet';
local route = import 'lib/route.libsonnet';
local seconds = import 'lib/duration.libsonnet';

local told = config.notifications;
local names = std.objectFields(config.receivers);
local teams = std.set(std.objectValues(config.teams));

local receiver(name, where) =
  if std.member(names, name) then name
  else error "%s names the receiver '%s', which config.receivers does not have (there are: %s)" % [where, name, std.join(', ', names)];

// An unfiltered window is a part of every row; the others are rows of their own, which come first.
local windows = std.mapWithIndex(function(index, window) route.window(window, 'config.maintenance[%d]' % index, config.time_intervals, teams), config.maintenance);
local always = [window.during for window in windows if window.matchers == []];
local rows = route.rows(config.routing, {
  receiver: receiver,
  teams: teams,
  intervals: config.time_intervals,
  repeat: told.repeat_interval,
});
local fallback = receiver(told.fallback, 'config.notifications.fallback');
local heartbeat = receiver(told.heartbeat, 'config.notifications.heartbeat');
local reach = [fallback] + [row.receiver for row in rows];

local silent = [name for name in reach if channel.of(name, config.receivers[name]) == []];

assert silent == [] : 'config.routing and notifications.fallback send to %s, which has no channels: nobody would be told' % silent[0];

{
  alertmanager: {
    // Relative to this file's folder.
    templates: ['templates/*.tmpl'],

    [if std.objectFields(config.time_intervals) != [] then 'time_intervals']: [
      route.interval(name, config.time_intervals[name], told.time_zone)
      for name in std.objectFields(config.time_intervals)
    ],

    route: {
      receiver: fallback,
      group_by: told.group_by,
      group_wait: told.group_wait,
      group_interval: told.group_interval,
      repeat_interval: told.repeat_interval.warning,
      routes: [
        // `make notify-test` names the receiver, and reads from Alertmanager's metrics what became of it.
        {
          receiver: name,
          matchers: [route.is('claw_test_receiver', name)],
          group_by: ['...'],
          group_wait: '0s',
          group_interval: '5s',
        }
        for name in names
      ] + [
        { receiver: heartbeat, matchers: [route.isOneOf('alertname', ['Watchdog', 'WatchdogFreshData'])] }
        + route.heartbeat(told.watchdog),
        // A test sent by a person or by `make demo-check` goes the way of its severity and team, without the waiting.
        {
          receiver: fallback,
          matchers: [route.is('alertname', 'NotificationTest')],
          group_by: ['...'],
          group_wait: '0s',
          group_interval: '5s',
          routes: [{ receiver: row.receiver, matchers: row.matchers } for row in rows],
        },
        // It says that a channel is broken: so it takes every channel.
        { receiver: fallback, matchers: [route.is('alertname', 'NotificationsFailing')], continue: true },
      ] + [
        // The first window that fits an alert mutes it; then the rows again, for the time outside of the window.
        {
          receiver: fallback,
          matchers: window.matchers,
          mute_time_intervals: always + [window.during],
          routes: [row { mute_time_intervals: always + [window.during] } for row in rows],
        }
        for window in windows
        if window.matchers != []
      ] + [
        row { [if always != [] then 'mute_time_intervals']: always }
        for row in rows
      ] + [
        { receiver: 'null', matchers: [route.isOneOf('severity', ['info', 'none'])] },
      ],
    },

    receivers: [
      channel.receiver(name, config.receivers[name], {
        email: config.email,
        language: told.language,
        relay_url: 'http://relay:9811',
        send_resolved: name != heartbeat,
      })
      for name in names
    ],

    inhibit_rules: route.severityInhibitions(alerts) + route.causeInhibitions(alerts, import 'inhibitions.libsonnet'),
  },

  relay: {
    time_zone: told.time_zone,
    silences_url: config.urls.silences,
    max_alerts: told.max_alerts,
    channels: std.flattenArrays([channel.bots(name, config.receivers[name], told.language) for name in names]),
    heartbeats: [
      {
        name: beat.name,
        grace_seconds: seconds(beat.grace),
        alerts: std.get(beat, 'alerts', []),
        channels: beat.channels,
        [if std.objectHas(beat, 'password_file') then 'password_file']: channel.file('heartbeat ' + beat.name, beat.password_file),
      }
      for beat in config.relay.heartbeats
    ],
  },
}
