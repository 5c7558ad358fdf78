// Policy for all dashboards, as a map over them: uid, tags, links to each other, data source, annotations.
// A dashboard file gives { title, description, refresh, variables, rows }, and `from` where it looks back further than
// an hour; nothing else is decided there.
local config = import '../config.libsonnet';
local grafana = import 'grafana.libsonnet';
local metrics = import '../metrics.libsonnet';

local tag = 'claw-ai';
local build_info = metrics.with_labels('claw_ai_build_info', ['job', 'version']);

// What a reader wants to see on every time axis: alerts, restarts, new versions.
local annotations = [
  grafana.annotation(
    'Alerts', 'ALERTS{alertstate="firing", severity=~"critical|warning"}', 'red',
    '{{alertname}}', '{{severity}} {{job}} {{instance}}',
  ),
  grafana.annotation(
    'Restarts', 'changes(process_start_time_seconds{job="%s"}[2m]) > 0' % config.job, 'orange', 'restart', '{{job}} {{instance}}',
  ),
  // A version is new where nothing ran it in the quarter of an hour before: a restart is not a new version.
  grafana.annotation(
    'Versions',
    |||
      count by (%(labels)s) (claw_ai_build_info)
      unless
      count by (%(labels)s) (last_over_time(claw_ai_build_info[15m] offset 1m))
    ||| % { labels: std.join(', ', build_info) },
    'blue',
    'version {{version}}',
    '{{job}}',
  ),
];

local links = [{
  title: 'Claw AI',
  type: 'dashboards',
  tags: [tag],
  asDropdown: false,
  icon: 'external link',
  includeVars: true,
  keepTime: true,
  targetBlank: false,
  tooltip: 'The other dashboards, with the same time and variables',
  url: '',
}];

{
  // Link from a table's cell to another dashboard, with the clicked value, the job and the time range kept.
  drill(uid, label, column, title):: {
    title: title,
    url: '/d/%s?var-%s=${__data.fields["%s"]}&${job:queryparam}&${instance:queryparam}&${__url_time_range}' % [uid, label, column],
    targetBlank: false,
  },

  // Link from a panel to another dashboard, with all variables and the time range kept.
  open(uid, title):: {
    title: title,
    url: '/d/%s?${__all_variables}&${__url_time_range}' % uid,
    targetBlank: false,
  },

  // Links from an alert's cell: to the dashboard that the alert names, and to its runbook, where those can be browsed.
  open_alert(urls=config.urls):: [{
    title: 'Open the dashboard of this alert',
    url: '/d/${__data.fields["dashboard"]}?${job:queryparam}&${__url_time_range}',
    targetBlank: false,
  }] + (if !std.startsWith(urls.runbooks, 'http') then [] else [{
    title: 'Open its runbook',
    url: urls.runbooks + '/${__data.fields["alert"]}.md',
    targetBlank: true,
  }]),

  // Links from a panel to the lines that the chosen applications wrote in the same time: all of them, or the errors.
  logs:: {
    title: 'Their log lines',
    url: '/d/claw-ai-logs?${job:queryparam}&${__url_time_range}',
    targetBlank: false,
  },
  error_logs:: {
    title: 'Errors in their logs',
    url: '/d/claw-ai-logs?${job:queryparam}&var-level=error&var-level=critical&${__url_time_range}',
    targetBlank: false,
  },

  // Link from a table's cell to the lines of the service or job in that column.
  logs_of(column):: {
    title: 'Its log lines',
    url: '/d/claw-ai-logs?var-job=${__data.fields["%s"]}&${__url_time_range}' % column,
    targetBlank: false,
  },

  // Turns { uid: dashboard } into { 'uid.json': Grafana's JSON }.
  render(dashboards):: {
    [uid + '.json']: {
      local dashboard = dashboards[uid],
      local must(key) = std.get(dashboard, key, error 'dashboard %s: must provide %s' % [uid, key]),
      uid: uid,
      title: must('title'),
      description: must('description'),  // generate.py adds what it is generated from
      tags: [tag],
      editable: false,
      schemaVersion: 42,
      version: 1,
      graphTooltip: 1,  // one crosshair over all panels
      fiscalYearStartMonth: 0,
      liveNow: false,
      refresh: must('refresh'),
      time: { from: std.get(dashboard, 'from', 'now-1h'), to: 'now' },
      timepicker: {},
      timezone: 'browser',
      weekStart: '',
      links: links,
      annotations: { list: annotations },
      templating: {
        list: [grafana.variable.datasource('datasource', 'prometheus', 'Prometheus', 'prometheus')] + must('variables'),
      },
      panels: grafana.layout(must('rows')),
    }
    for uid in std.objectFields(dashboards)
  },
}
