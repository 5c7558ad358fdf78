// The only file to tune. Change a value, run `make generate`, look at the difference, commit both.
// Whatever differs between machines (addresses, which services run) is data, not configuration: prometheus/targets/.
{
  // ---- What is watched -----------------------------------------------------------------------------------

  // Value of the label `job` where dashboards start. Change it when your application has another name
  // (the name stands in its file under prometheus/targets/apps/).
  job: 'claw-ai-backend',

  // How many targets each job must have; TargetMissing fires below that. Raise a number when you run more instances,
  // remove a job that you do not run, add your application once it must not be missed. A job that is not listed is
  // still expected, once, for `remember_job_for` after it was last seen: so applications and the services that run in
  // one set-up only need no entry.
  expected_targets: {
    alertmanager: 1,
    exporter: 1,
    'node-exporter': 1,
    'postgres-exporter': 1,
    prometheus: 1,
    'redis-exporter': 1,
  },

  // Shorten it when you often take jobs away on purpose.
  remember_job_for: '1d',

  // Endpoints (route templates) that stream their answer, wait for a model, or keep a connection: their length says
  // nothing about their speed, so they are judged by their first byte and first token. Add yours. An RE2 expression
  // that must match the whole endpoint.
  streaming_endpoints: '/chat.*|.*/(chat|messages|completions|stream)|/ws.*',

  // File systems that never fill up in a way worth a notification. Add the types of network mounts you do not own.
  ignored_filesystems: 'tmpfs|ramfs|overlay|squashfs|nsfs|fuse.*|autofs|iso9660',

  // ---- Objectives ----------------------------------------------------------------------------------------

  // What users are promised over `slo.window`. Change an objective only with those who use the service: a budget that
  // is always spent or never touched is wrong. The generator refuses one whose page could never fire.
  slo: {
    window: '30d',
    http_availability: {
      objective: 0.995,
      // Fewer failed requests than this in the window of a rule are no reason to notify. Raise it when a handful of
      // failures on a quiet service wakes people up.
      min_bad_events: 20,
      min_bad_events_leak: 50,
    },
    http_latency: {
      objective: 0.99,
      // A request is slow above this. Must be a bucket bound of claw_ai_http_request_duration_seconds.
      threshold_seconds: 0.5,
      min_bad_events: 20,
    },
    ai_answers: {
      objective: 0.99,
      min_bad_events: 10,
    },
    // Burn rates of the Google SRE workbook for a 30 day window: the page fires after 2 % of the budget in an hour or
    // 5 % in six, the ticket after 10 % in one or three days. Change them together with `window` only.
    burn: [
      { long: '1h', short: '5m', factor: 14.4, hold: '2m' },
      { long: '6h', short: '30m', factor: 6, hold: '15m' },
    ],
    leak: [
      { long: '1d', short: '2h', factor: 3, hold: '1h' },
      { long: '3d', short: '6h', factor: 1, hold: '3h' },
    ],
  },

  // ---- Thresholds ----------------------------------------------------------------------------------------

  // They colour panels; those that an alert uses say so. `warning` and `critical`, in base units, ratios from 0 to 1.
  // Change them when what is normal for your service is another number.
  thresholds: {
    // Panels only: the objectives above notify. Must be bucket bounds of claw_ai_http_request_duration_seconds.
    http_p95_seconds: { warning: 0.5, critical: 1 },
    http_error_ratio: { warning: 0.01, critical: 0.05 },
    // Panels only: a busy machine is not a broken one.
    cpu_used_ratio: { warning: 0.7, critical: 0.9 },
    memory_used_ratio: { warning: 0.7, critical: 0.9 },
    disk_used_ratio: { warning: 0.7, critical: 0.9 },
    // HostDiskFilling: the share still free (bytes or inodes). The warning also wants the disk to be full within a day.
    disk_free_ratio: { warning: 0.2, critical: 0.05 },
    // TlsCertificateExpiring: the time until the certificate ends. Let's Encrypt renews 30 days before; the warning
    // says that it did not.
    certificate_left_seconds: { warning: 14 * 86400, critical: 3 * 86400 },
    // PoolNearlyExhausted.
    pool_used_ratio: { warning: 0.8, critical: 0.95 },
    // RedisMemoryHigh.
    redis_memory_ratio: { warning: 0.8, critical: 0.95 },
    // Panels only. Must be bucket bounds of claw_ai_ai_response_duration_seconds.
    ai_p95_seconds: { warning: 3, critical: 5 },
    // AiFirstTokenSlow. Must be bucket bounds of claw_ai_ai_time_to_first_token_seconds.
    first_token_p95_seconds: { warning: 2.5, critical: 7.5 },
    // AiFirstTokenSlow: answers in ten minutes below which a p95 means nothing.
    first_token_min_answers: 30,
  },

  // ---- Time ----------------------------------------------------------------------------------------------

  // Stand in prometheus/prometheus.yml too (a test compares them): change both. A rate needs four scrapes.
  intervals: {
    scrape: '15s',
    evaluation: '15s',
    // The long windows of the objectives do not move in 15 seconds. Raise it when rule evaluation costs too much.
    slo_evaluation: '30s',
  },

  // BackupStale: a backup a day, and two hours for one that takes long. Change it to how often your cron line runs.
  backup_max_age: '26h',

  // A symptom stays firing this long after its last match, so that one missed scrape does not end a page.
  keep_firing_for: '5m',

  // ---- Where notifications go ----------------------------------------------------------------------------

  urls: {
    // Where people open Grafana; every notification links there. Change it to GRAFANA_ROOT_URL of your .env.prod.
    grafana: 'http://localhost:3000/grafana',
    // Where people read the runbooks. The default is the path in this repository: change it to where your copy of it
    // can be browsed.
    runbooks: 'docs/runbooks',
  },

  // Receivers of Alertmanager. `url_file` names a file under secrets/ that holds the address of a webhook; no address
  // ever stands in the configuration. A receiver without one swallows what it gets.
  receivers: {
    oncall: { url_file: 'alertmanager_oncall_url' },  // critical: wakes somebody up
    team: { url_file: 'alertmanager_team_url' },  // warning, and whatever no route matches
    watchdog: { url_file: 'alertmanager_watchdog_url' },  // the dead man's switch: a service OUTSIDE this machine
    'null': {},  // info and none: visible in Alertmanager, sent to nobody
  },

  // How alerts are gathered into notifications. Lengthen `repeat_interval` where people complain about reminders.
  notifications: {
    group_by: ['alertname', 'job'],
    group_wait: '30s',
    group_interval: '5m',
    repeat_interval: { critical: '4h', warning: '12h' },
    // The heartbeat must repeat faster than its group is looked at, or every second one is skipped.
    watchdog: { group_interval: '1m', repeat_interval: '50s' },
  },
}
