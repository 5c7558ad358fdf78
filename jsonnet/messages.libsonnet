// The templates of Alertmanager's messages: what, since when, value against threshold (the description has it), and
// where to look. One text for every language; relay/src/claw_relay/words.py has the same words for the bots.
local config = import 'config.libsonnet';

local words = {
  en: {
    critical: 'CRITICAL',
    warning: 'WARNING',
    info: 'INFO',
    none: 'NOTE',
    resolved: 'RESOLVED',
    alerts: 'alerts',
    since: 'since <start> (<length>)',
    lasted: '<start> to <end> (<length>)',
    dashboard: 'Dashboard',
    runbook: 'Runbook',
    silence: 'Silence',
    more: 'and <count> more',
  },
  zh: {
    critical: '严重',
    warning: '警告',
    info: '提示',
    none: '通知',
    resolved: '已恢复',
    alerts: '条告警',
    since: '始于 <start>（已持续 <length>）',
    lasted: '<start> 至 <end>（持续 <length>）',
    dashboard: '仪表盘',
    runbook: '处理手册',
    silence: '静默',
    more: '另有 <count> 条',
  },
};

// Every part of a template begins where the one before ended: white space is a part of the message.
// Put together with +, and filled in by strReplace: formatting with % is interpreted, and took a second here.
local define(name, body) = '{{ define "' + name + '" }}' + body + '{{ end }}\n';
local filled(text, values) = std.foldl(function(done, key) std.strReplace(done, '<' + key + '>', values[key]), std.objectFields(values), text);
local time(of) = '{{ ' + of + ' | tz "' + config.notifications.time_zone + '" | date "2006-01-02 15:04 MST" }}';
local shown = '' + config.notifications.max_alerts;

local severity = |||
  {{ $worst := "" }}{{ range .Alerts.Firing }}{{ if eq .Labels.severity "critical" }}{{ $worst = "critical" }}
  {{- else if and (eq .Labels.severity "warning") (ne $worst "critical") }}{{ $worst = "warning" }}
  {{- else if eq $worst "" }}{{ $worst = "info" }}{{ end }}{{ end -}}
|||;

// PagerDuty knows critical, error, warning and info; Slack's colours are good, warning, danger.
local shared =
  define('claw.severity', severity + '{{ if $worst }}{{ $worst }}{{ else }}info{{ end }}')
  + define('claw.colour', severity + '{{ if eq $worst "" }}good{{ else if eq $worst "critical" }}danger{{ else if eq $worst "warning" }}warning{{ else }}#808080{{ end }}')
  // Only what a phone can open: the default of config.urls.runbooks is a path in the repository.
  + define('claw.dashboard', '{{ with (index .Alerts 0).Annotations.dashboard_url }}{{ if match "^https?://" . }}{{ . }}{{ end }}{{ end }}')
  + define('claw.runbook', '{{ with (index .Alerts 0).Annotations.runbook_url }}{{ if match "^https?://" . }}{{ . }}{{ end }}{{ end }}')
  + define('claw.silence', '{{ with .Alerts.Firing }}{{ template "claw.silence.of" (index . 0) }}{{ end }}')
  // Of one alert.
  + define('claw.silence.of', config.urls.silences + '{{ range .Labels.SortedPairs }}&matcher={{ .Name }}%3D{{ .Value | urlquery }}{{ end }}');

local language(code, w) =
  local name(part) = 'claw.' + code + '.' + part;
  local call(part, of='.') = '{{ template "' + name(part) + '" ' + of + ' }}';
  // Seconds say nothing beside minutes.
  local length(of) = '{{ ' + of + ' | humanizeDuration | reReplaceAll " [0-9.]+s$" "" }}';
  local since = filled(w.since, { start: time('.StartsAt'), length: length('since .StartsAt') });
  local lasted = filled(w.lasted, { start: time('.StartsAt'), end: time('.EndsAt'), length: length('.EndsAt.Sub .StartsAt') });
  local when = '{{ if eq .Status "firing" }}' + since + '{{ else }}' + lasted + '{{ end }}';
  local over = '{{ if eq .Status "resolved" }}' + w.resolved + ' {{ end }}';
  local summary = '{{ with .Annotations.summary }}{{ . }}{{ else }}{{ .Labels.alertname }}{{ end }}';
  // The first alerts of a list in full, then how many there are beside them.
  local first(one, between) =
    '{{ range $index, $alert := . }}{{ if lt $index ' + shown + ' }}'
    + (if between == '' then '' else '{{ if $index }}' + between + '{{ end }}')
    + call(one, '$alert')
    + '{{ end }}{{ end }}{{ if gt (len .) ' + shown + ' }}' + between
    + filled(w.more, { count: '{{ len (slice . ' + shown + ') }}' })
    + '{{ end }}';
  local firing(one, between) = '{{ with .Alerts.Firing }}' + first(one, between) + '{{ end }}';
  local resolved(one, between) = '{{ with .Alerts.Resolved }}' + first(one, between) + '{{ end }}';
  // What fires, then what is over, each below the other.
  local both(one, between) =
    firing(one, between)
    + (if between == '' then '' else '{{ if and .Alerts.Firing .Alerts.Resolved }}' + between + '{{ end }}')
    + resolved(one, between);
  local word(key) = define(name('word.' + key), w[key]);

  word('dashboard') + word('runbook') + word('silence')
  + define(
    name('title'),
    severity
    + '{{ if .Alerts.Firing }}{{ if eq $worst "critical" }}' + w.critical
    + '{{ else if eq $worst "warning" }}' + w.warning
    + '{{ else if eq .CommonLabels.severity "none" }}' + w.none
    + '{{ else }}' + w.info + '{{ end }}{{ else }}' + w.resolved + '{{ end }}'
    + ' {{ with .CommonLabels.alertname }}{{ . }}{{ else }}{{ len .Alerts }} ' + w.alerts + '{{ end }}'
    + '{{ with .CommonLabels.job }} {{ . }}{{ end }}{{ with .CommonLabels.host }} {{ . }}{{ end }}'
    + '{{ if gt (len .Alerts.Firing) 1 }} ×{{ len .Alerts.Firing }}'
    + '{{ else if and (not .Alerts.Firing) (gt (len .Alerts) 1) }} ×{{ len .Alerts }}{{ end }}'
  )

  // -- Plain text --------------------------------------------------------------------------------------------------
  + define(
    name('text.one'),
    over + summary + '\n{{ with .Annotations.description }}{{ . }}\n{{ end }}' + when
    + '{{ with .Annotations.dashboard_url }}\n' + w.dashboard + ': {{ . }}{{ end }}'
    + '{{ with .Annotations.runbook_url }}\n' + w.runbook + ': {{ . }}{{ end }}'
    + '{{ if eq .Status "firing" }}\n' + w.silence + ': {{ template "claw.silence.of" . }}{{ end }}'
  )
  + define(name('email.text'), call('title') + '\n\n' + both('text.one', '\n\n') + '\n')

  // -- Slack: & and < and > mean something there -------------------------------------------------------------------
  + define(
    name('slack.one'),
    local safe = '{{ . | reReplaceAll "&" "&amp;" | reReplaceAll "<" "&lt;" | reReplaceAll ">" "&gt;" }}';
    over + '*{{ with .Annotations.summary }}' + safe + '{{ else }}{{ .Labels.alertname }}{{ end }}*\n'
    + '{{ with .Annotations.description }}' + safe + '\n{{ end }}' + when + '\n'
    + '{{ with .Annotations.dashboard_url }}<{{ . }}|' + w.dashboard + '> · {{ end }}'
    + '{{ with .Annotations.runbook_url }}{{ if match "^https?://" . }}<{{ . }}|' + w.runbook + '>'
    + '{{ else }}' + w.runbook + ': {{ . }}{{ end }}{{ end }}'
    + '{{ if eq .Status "firing" }} · <{{ template "claw.silence.of" . }}|' + w.silence + '>{{ end }}'
  )
  + define(name('slack.text'), both('slack.one', '\n\n'))

  // -- PagerDuty ---------------------------------------------------------------------------------------------------
  + define(
    name('pagerduty.description'),
    call('title') + '{{ with (index .Alerts 0).Annotations.summary }}: {{ . }}{{ end }}'
  )
  + define(name('pagerduty.firing'), firing('text.one', '\n\n'))
  + define(name('pagerduty.resolved'), resolved('text.one', '\n\n'))

  // -- Mail: one column, which fits a phone ------------------------------------------------------------------------
  + define(
    name('html.one'),
    local button(text, url) =
      '<a href="' + url + '" style="display:inline-block;margin:0 8px 0 0;padding:8px 12px;border:1px solid #999;'
      + 'border-radius:4px;color:#222;text-decoration:none">' + text + '</a>';
    '<div style="margin:0 0 16px;padding:12px;border-left:4px solid {{ if eq .Status "resolved" }}#2e7d32'
    + '{{ else if eq .Labels.severity "critical" }}#c62828{{ else }}#ef6c00{{ end }};background:#f6f6f6">'
    + '<p style="margin:0 0 8px;font-weight:bold">' + over + summary + '</p>'
    + '{{ with .Annotations.description }}<p style="margin:0 0 8px">{{ . }}</p>{{ end }}'
    + '<p style="margin:0 0 12px;color:#555">' + when + '</p><p style="margin:0">'
    + '{{ with .Annotations.dashboard_url }}' + button(w.dashboard, '{{ . }}') + '{{ end }}'
    + '{{ with .Annotations.runbook_url }}{{ if match "^https?://" . }}' + button(w.runbook, '{{ . }}')
    + '{{ else }}' + w.runbook + ': {{ . }} {{ end }}{{ end }}'
    + '{{ if eq .Status "firing" }}' + button(w.silence, '{{ template "claw.silence.of" . }}') + '{{ end }}</p></div>'
  )
  + define(
    name('email.html'),
    '<!doctype html><html lang="' + code + '"><head><meta charset="utf-8">'
    + '<meta name="viewport" content="width=device-width"></head>'
    + '<body style="margin:0;padding:12px;max-width:640px;font:16px/1.4 sans-serif;color:#222">'
    + '<h1 style="font-size:18px;margin:0 0 12px">' + call('title') + '</h1>' + both('html.one', '')
    + '</body></html>'
  );

{ 'claw.tmpl': shared } + { ['claw.' + code + '.tmpl']: language(code, words[code]) for code in std.objectFields(words) }
