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

  // Endpoints that machines ask to see whether you live. They come however few people do, so TrafficVanished and
  // ConversationsStopped leave them out. Add yours. An RE2 expression that must match the whole endpoint.
  health_endpoints: '/(health|healthz|ready|readyz|live|livez|ping|metrics|status)(/.*)?',

  // Redis servers (`instance` of their exporter) that only cache: evicting is their work there. Anywhere else an evicted
  // key is a lost task or session, and RedisRefusing tells. An RE2 expression that must match the whole instance.
  redis_caches: '',

  // QueueStuck: nobody finished a task in this time while others waited. Longer than your longest task.
  queue_stuck_window: '10m',

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

    // ---- AI providers
    // Of the attempts that did not end because the reader left, the share that a provider failed (server error,
    // timeout, no connection): of one model for AiProviderErrorsHigh, of all its models for AiProviderDown.
    ai_attempts_failed_ratio: { warning: 0.05, critical: 0.5 },
    // Fewer failed attempts than this, of a model in 10 minutes and of a provider in 5, are no reason to notify. Lower the
    // latter where fewer than two calls a minute must be watched.
    ai_model_failures_min: 25,
    ai_provider_failures_min: 10,
    // AiRateLimited. Raise it when you live near a limit on purpose, and your calls can wait.
    ai_rate_limited_ratio: 0.05,
    ai_rate_limited_min: 10,
    // AiCredentialsRejected. Lower it when you call one provider with many keys, and one of them matters.
    ai_auth_ratio: 0.05,
    // AiRateLimitHeadroomLow: what is left of a rate limit for ten minutes on end.
    ai_ratelimit_remaining_ratio: 0.1,
    // AiCanaryFailing: three runs of a canary at its default interval; lengthen it with interval_seconds in
    // exporter/exporter.yml.
    ai_canary_window: '15m',
    // AiAnswerSlow: so many times the p95 of a week ago, above a floor below which nobody is hurt (a bucket bound of
    // claw_ai_ai_response_duration_seconds), where both weeks had this many answers in 30 minutes.
    ai_slower_factor: 2,
    ai_slower_floor_seconds: 1,
    ai_slower_min_answers: 50,
    // AiStreamStalls: a silence within a stream that readers take for its end (a bucket bound of
    // claw_ai_ai_stream_gap_seconds), in what share of the streams, and in how many.
    ai_stall_seconds: 10,
    ai_stalled_ratio: 0.02,
    ai_stalled_min: 5,
    // AiStreamsStuck: open calls of a model none of which ends well for minutes. Raise it where models that think
    // for longer than five minutes are all you call.
    ai_stuck_calls: 5,
    // AiFallbackActive: the share of a model's calls for which its fallback was asked. Raise it where you send calls
    // away on purpose.
    ai_fallback_ratio: 0.1,
    ai_fallback_min: 10,
    // AiContextLengthErrors.
    ai_context_length_ratio: 0.01,
    ai_context_length_min: 5,
    // AiRetryAmplification: the share of attempts that only repeat another; a third is one retry for two calls.
    ai_retry_ratio: 0.33,
    ai_retry_min: 30,

    // ---- Money and tokens
    // AiCostRunaway: an hour that costs this share of the budget for a day, or so many times the same hour a week ago
    // and more than the floor. Set the floor to what an hour may cost before somebody should be woken.
    ai_cost_hour_of_day_ratio: 0.2,
    ai_cost_factor: 5,
    ai_cost_floor_usd: 5,
    // AiBudgetExceeded: of the budget for an hour or a day.
    ai_budget_spent_ratio: { warning: 0.8, critical: 1 },
    // AiTokensPerAnswerJump: so many times the tokens per answer of a week ago, where both hours had this many answers.
    ai_tokens_jump_factor: 2,
    ai_tokens_jump_min_answers: 50,
    // AiUsageMissing. Raise it for a model that cannot tell its usage, and mistrust its cost.
    ai_usage_missing_ratio: 0.01,
    ai_usage_missing_min: 5,

    // ---- Agents, tools, retrieval, safety
    // AgentRunsFailing.
    agent_runs_failed_ratio: 0.1,
    agent_runs_failed_min: 5,
    // AgentLooping: runs that their limit of steps stopped, and tool calls that repeat one of the same run. Raise the
    // latter where agents poll a tool on purpose.
    agent_max_steps_ratio: 0.05,
    agent_max_steps_min: 5,
    agent_repeated_calls_min: 50,
    agent_repeated_calls_per_run: 0.1,
    // ToolFailing. Raise it for tools whose errors are for the model to read, such as a calculator.
    tool_failed_ratio: 0.2,
    tool_failed_min: 5,
    // GuardrailBlocksSurge: so many times as many blocks as in ten minutes of the last day.
    guardrail_blocks_factor: 5,
    guardrail_blocks_min: 10,
    // GuardrailErrors: a guard that fails lets pass, or refuses everybody.
    guardrail_failed_ratio: 0.01,
    guardrail_failed_min: 3,
    // RetrievalEmpty. Raise it where finding nothing is a usual answer.
    retrieval_empty_ratio: 0.5,
    retrieval_empty_min: 20,
    // VectorDbFailing.
    vector_db_failed_ratio: 0.05,
    vector_db_failed_min: 5,

    // ---- Users, application, stores, machines, logs, monitoring
    // HttpAbandonmentHigh: the share of requests whose client left before the end, and how many must have left in ten
    // minutes. Raise the share where people often stop an answer on purpose; twice the day's own share is needed anyway.
    abandoned_ratio: 0.05,
    abandoned_min_requests: 20,
    // TrafficVanished: the share of last week's traffic that is still normal, and how many requests there must have been
    // in ten minutes then. Lower the share when your weeks differ a lot.
    traffic_left_ratio: 0.1,
    traffic_min_requests: 100,
    // ConversationsStopped: conversations in the same hour a week ago below which none at all may be chance.
    conversations_min: 20,
    // DoorErrors: the share of answers 502, 503 and 504 that no application gave, and how many of them in five minutes.
    door_error_ratio: 0.05,
    door_min_errors: 10,
    // PoolTimeouts: requests that got no connection in five minutes. One may be chance, three are a full pool.
    pool_timeouts_min: 3,
    // EventLoopBlocked: how late the event loop comes back; every request of the process waits that long.
    event_loop_lag_seconds: 0.5,
    // QueueAgeHigh: how long the oldest task has waited. Set it to what the people behind the queue accept.
    queue_age_seconds: { warning: 60, critical: 300 },
    // LogErrorBurst: errors logged against the mean of the day, and how many in five minutes are no burst yet.
    log_errors_factor: 5,
    log_errors_min: 20,
    // LogsDropped: lines lost in ten minutes. A few are lost when a shipper starts late; raise it when you lose on purpose.
    logs_dropped_min: 10,
    // PostgresConnectionsHigh: the share of the connections that ordinary users may open.
    postgres_connections_ratio: { warning: 0.8, critical: 0.95 },
    // PostgresTransactionTooLong: longer than your longest report or migration.
    transaction_seconds: 600,
    // PostgresReplicationLag: what a replica may be behind before those who read from it notice.
    replication_lag_seconds: 60,
    // HostMemoryPressure: the share of time in which everything waited for memory, and the share of memory still free.
    memory_stalled_ratio: 0.1,
    memory_available_ratio: 0.05,
    // HostCpuPressure: the share of time in which something waited for a processor.
    cpu_waiting_ratio: 0.5,
    // HostClockSkewed: how far a clock that is kept by NTP may be off, and how far one may be from Prometheus' own.
    clock_offset_seconds: 0.1,
    clock_difference_seconds: 2,
    // FileDescriptorsHigh: the share of the files and connections that a process may open.
    file_descriptors_ratio: 0.8,
    // ProcessMemoryGrowing: how much larger a process has to become within an hour before its pace is looked at.
    process_memory_factor: 1.1,
    // CardinalityGrowing: the share of prometheus.yml's sample_limit that a target may show, and the number of new series
    // below which growth costs nothing.
    samples_of_limit_ratio: 0.7,
    new_series_min: 2000,
    // PrometheusRemoteWriteFailing: how far the remote storage may be behind.
    remote_write_lag_seconds: 120,
    // LokiDegraded: the share of a route's requests that may fail, and how long ago the compactor may have run.
    loki_error_ratio: 0.1,
    loki_compactor_max_age_seconds: 3 * 3600,
  },

  // ---- Time ----------------------------------------------------------------------------------------------

  // Stand in prometheus/prometheus.yml too (a test compares them): change both. A rate needs four scrapes.
  intervals: {
    scrape: '15s',
    evaluation: '15s',
    // The long windows of the objectives do not move in 15 seconds. Raise it when rule evaluation costs too much.
    slo_evaluation: '30s',
    // What dashboards show, alerts hardly read: a month of it takes a quarter of the disk, and of the time, that a value
    // every 15 seconds would. At most four scrapes, or panels of an hour have gaps.
    recording: '1m',
  },

  // Stands in prometheus/prometheus.yml too (a test compares them): change both. A target that shows more is not
  // scraped at all.
  sample_limit: 60000,

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
    // The form for a silence, to which a message adds the labels of its alert. The default is Grafana's, which is
    // reached from a phone as the dashboards are.
    silences: self.grafana + '/alerting/silence/new?alertmanager=Alertmanager',
  },

  // Who answers for the alerts of each file under jsonnet/alerts/: the label `team` of the alert, by which routes may
  // tell receivers apart. Change it to how your people share the work.
  teams: {
    'application-alerts': 'app',
    'users-alerts': 'app',
    'agents-alerts': 'ai',
    'money-alerts': 'ai',
    'providers-alerts': 'ai',
    'datastores-alerts': 'platform',
    'hosts-alerts': 'platform',
    'logs-alerts': 'platform',
    'monitoring-alerts': 'platform',
    'probes-alerts': 'platform',
  },

  // Who can be told: a receiver is a list of channels, and may have a `language` of its own ('en' or 'zh'). One
  // without channels swallows what it gets. Each channel is one of
  //
  //   { type: 'email', to: 'oncall@example.com' }                                     needs `email` below
  //   { type: 'slack', url_file: 'notify/slack_url' }
  //   { type: 'pagerduty', key_file: 'notify/pagerduty_key' }
  //   { type: 'webhook', url_file: 'notify/webhook_url' }
  //   { type: 'wecom', url_file: 'notify/wecom_url' }
  //   { type: 'dingtalk', url_file: 'notify/dingtalk_url', secret_file: 'notify/dingtalk_secret' }
  //   { type: 'feishu', url_file: 'notify/feishu_url', secret_file: 'notify/feishu_secret' }
  //
  // A file is one under secrets/; no address of a channel and no secret ever stands in the configuration. Add what
  // you use; docs/NOTIFICATIONS.md has the set-up of each, step by step.
  receivers: {
    // critical: wakes somebody up
    oncall: { channels: [{ type: 'webhook', url_file: 'alertmanager_oncall_url' }] },
    // warning, and whatever no route matches
    team: { channels: [{ type: 'webhook', url_file: 'alertmanager_team_url' }] },
    // the dead man's switch: a service OUTSIDE this machine
    watchdog: { channels: [{ type: 'webhook', url_file: 'alertmanager_watchdog_url' }] },
    // info and none: visible in Alertmanager, sent to nobody
    'null': {},
  },

  // Who is told what: the first row that fits an alert decides. A row may name a `severity` (critical, warning; both
  // where it names none), a `team` or several (of `teams` above), and a time interval outside of which it waits
  // (`during`). Add rows above these two where a team has people of its own:
  //   { team: 'platform', severity: 'critical', receiver: 'platform-oncall' },
  routing: [
    { severity: 'critical', receiver: 'oncall' },
    { severity: 'warning', receiver: 'team' },
  ],

  // Spans of time by name, as Alertmanager writes them (times, weekdays, days_of_month, months, years), in
  // `notifications.time_zone` where they name no location of their own:
  //   'office-hours': [{ weekdays: ['monday:friday'], times: [{ start_time: '09:00', end_time: '18:00' }] }],
  time_intervals: {},

  // When nobody is told of certain alerts: an interval, and the labels of those alerts (of all, where it names
  // none). Alerts that still fire when a window ends are told then. Heartbeats are never muted.
  //   { during: 'sunday-night', labels: { team: 'platform' } },
  maintenance: [],

  // The mail server, where a receiver has an email channel; null where none has.
  //   { smarthost: 'smtp.example.com:587', from: 'claw@example.com', username: 'claw@example.com',
  //     password_file: 'notify/smtp_password' }
  // Without username nobody logs in; `require_tls: false` is for a server on this machine.
  email: null,

  // The relay carries notifications to WeCom, DingTalk and Feishu, and can be the outside end of another machine's
  // heartbeat:
  //   { name: 'web-2', grace: '5m', alerts: ['Watchdog', 'WatchdogFreshData'], channels: ['dingtalk/oncall'],
  //     password_file: 'notify/heartbeat_password' }
  relay: {
    heartbeats: [],
  },

  // How alerts are gathered into notifications, and how these are written. Lengthen `repeat_interval` where people
  // complain about reminders.
  notifications: {
    // Receivers with a task: what no row of `routing` fits, and the heartbeat.
    fallback: 'team',
    heartbeat: 'watchdog',
    // 'en' or 'zh', for receivers that say nothing else.
    language: 'en',
    // Of the times in messages, and of `time_intervals`.
    time_zone: 'UTC',
    // So many alerts stand in a message in full; it says how many more there are.
    max_alerts: 5,
    group_by: ['alertname', 'job'],
    group_wait: '30s',
    group_interval: '5m',
    repeat_interval: { critical: '4h', warning: '12h' },
    // The heartbeat must repeat faster than its group is looked at, or every second one is skipped.
    watchdog: { group_interval: '1m', repeat_interval: '50s' },
  },
}
