"""Every metric this project exposes: the only place where one is named.

From this table come the live instruments, ``exporter/metrics.json``, ``docs/MONITORING_METRICS.md`` and the
expressions of dashboards, rules and alerts. Names and label values that requirement document 4 fixed stay.
"""

from __future__ import annotations

from typing import Final

from claw_exporter.spec import Counter, Gauge, Histogram, Metric

# Every threshold that an alert or dashboard compares a quantile with is one of these (asserted in Jsonnet).
HTTP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
HTTP_BYTES: Final = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0, 100_000_000.0)
AI_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
FIRST_TOKEN_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0)
PER_TOKEN_SECONDS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
STORE_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOOL_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
GAP_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
RUN_SECONDS: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
RUN_STEPS: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
USED_RATIOS: Final = (0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 1.0)
RESULTS: Final = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
SOCKET_SECONDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)

RESPONSE_STATUSES: Final = ("ok", "error", "cancelled")
OPERATION_STATUSES: Final = RESPONSE_STATUSES  # a cancelled operation is no failure of the store
ATTEMPT_OUTCOMES: Final = (
    "ok",
    "rate_limited",
    "quota_exhausted",
    "server_error",
    "timeout",
    "connection",
    "auth",
    "context_length",
    "content_filter",
    "invalid_request",
    "cancelled",
    "other",
)
# Why a model stopped, in OpenAI's words; those of other providers are translated.
FINISH_REASONS: Final = ("stop", "length", "tool_calls", "content_filter", "refusal", "other")
RUN_OUTCOMES: Final = (*RESPONSE_STATUSES, "max_steps")
GUARD_DECISIONS: Final = ("allow", "block", "error")
BUDGET_PERIODS: Final = ("hour", "day", "month")
RATELIMIT_KINDS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
TOKEN_TYPES: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
PROBE_ERROR_TYPES: Final = ("authentication", "connection", "internal", "query", "result", "timeout")
# A canary fails as an attempt does; what every probe knows keeps that name.
CANARY_ERROR_TYPES: Final = (
    "authentication",
    "connection",
    "internal",
    "invalid_request",
    "quota_exhausted",
    "rate_limited",
    "result",
    "server_error",
    "timeout",
)
# As pg_stat_activity spells them; "unknown" where this user may not see the state.
POSTGRES_STATES: Final = (
    "active",
    "idle",
    "idle in transaction",
    "idle in transaction (aborted)",
    "fastpath function call",
    "disabled",
    "unknown",
)
STEP_TYPES: Final = ("think", "act", "observe", "response")
# As Python's logging spells them, in small letters; from the mildest to the worst.
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

# -- HTTP ----------------------------------------------------------------------------------------------------
HTTP_REQUESTS: Final = Counter(
    name="claw_ai_http_requests_total",
    help="HTTP requests answered. 499: the client left first; 500 also where a response broke mid-stream.",
    labels=("method", "endpoint", "status"),
)
HTTP_REQUEST_DURATION: Final = Histogram(
    name="claw_ai_http_request_duration_seconds",
    help="Time from a request's start to the last byte of its response, background tasks not included.",
    unit="seconds",
    labels=("method", "endpoint", "status_class"),
    buckets=HTTP_SECONDS,
)
HTTP_TIME_TO_FIRST_BYTE: Final = Histogram(
    name="claw_ai_http_time_to_first_byte_seconds",
    help="Time from a request's start to the first body byte, for responses sent in more than one part.",
    unit="seconds",
    labels=("method", "endpoint"),
    buckets=HTTP_SECONDS,
)
HTTP_RESPONSE_SIZE: Final = Histogram(
    name="claw_ai_http_response_size_bytes",
    help="Body bytes sent, streamed parts included.",
    unit="bytes",
    labels=("method", "endpoint"),
    buckets=HTTP_BYTES,
)
HTTP_ACTIVE: Final = Gauge(
    name="claw_ai_http_active_connections",
    help="HTTP requests in flight (idle keep-alive connections are not counted).",
)
WEBSOCKET_CONNECTIONS: Final = Gauge(
    name="claw_ai_websocket_connections", help="WebSocket connections open now.", labels=("endpoint",)
)
WEBSOCKET_DURATION: Final = Histogram(
    name="claw_ai_websocket_duration_seconds",
    help="Life of a WebSocket connection, by close code.",
    unit="seconds",
    labels=("endpoint", "close_code"),
    buckets=SOCKET_SECONDS,
)

# -- AI answers ----------------------------------------------------------------------------------------------
AI_RESPONSE_DURATION: Final = Histogram(
    name="claw_ai_ai_response_duration_seconds",
    help="Time from calling the model to the last part of its answer.",
    unit="seconds",
    labels=("model", "provider", "status"),
    buckets=AI_SECONDS,
    values={"status": RESPONSE_STATUSES},
)
AI_TIME_TO_FIRST_TOKEN: Final = Histogram(
    name="claw_ai_ai_time_to_first_token_seconds",
    help="Time from calling the model to the first part of a streamed answer.",
    unit="seconds",
    labels=("model", "provider"),
    buckets=FIRST_TOKEN_SECONDS,
)
AI_TIME_PER_OUTPUT_TOKEN: Final = Histogram(
    name="claw_ai_ai_time_per_output_token_seconds",
    help="Mean time per output token after the first, once per streamed answer.",
    unit="seconds",
    labels=("model", "provider"),
    buckets=PER_TOKEN_SECONDS,
)
AI_IN_FLIGHT: Final = Gauge(
    name="claw_ai_ai_in_flight", help="Model calls that have not ended.", labels=("model", "provider")
)
AI_TOKENS: Final = Counter(
    name="claw_ai_ai_tokens_total",
    help="Tokens used, by type; the types are disjoint, so they add up.",
    labels=("model", "type"),
    values={"type": TOKEN_TYPES},
)
AI_COST: Final = Counter(
    name="claw_ai_ai_cost_usd_total",
    help="Cost of the tokens used, in US dollars, by the configured price table.",
    unit="usd",
    labels=("model",),
)
AI_UNPRICED_TOKENS: Final = Counter(
    name="claw_ai_ai_unpriced_tokens_total",
    help="Tokens of models that the price table does not know: their cost is missing.",
    labels=("model",),
)
AI_USAGE_MISSING: Final = Counter(
    name="claw_ai_ai_usage_missing_total",
    help="Answers that ended well without reporting their token usage.",
    labels=("model",),
)
AI_ERRORS: Final = Counter(
    name="claw_ai_ai_errors_total",
    help="Failed answers by kind of error.",
    labels=("model", "provider", "error_type"),
)
AI_ATTEMPTS: Final = Counter(
    name="claw_ai_ai_attempts_total",
    help="HTTP requests to AI providers by how they ended, those that an SDK repeats by itself included.",
    labels=("model", "provider", "outcome"),
    values={"outcome": ATTEMPT_OUTCOMES},
)
AI_RETRIES: Final = Counter(
    name="claw_ai_ai_retries_total",
    help="Attempts by which an SDK repeated a failed one.",
    labels=("model", "provider"),
)
AI_RATELIMIT_REMAINING: Final = Gauge(
    name="claw_ai_ai_ratelimit_remaining_ratio",
    help="Share of a provider's rate limit that is left, by the newest response of the last 5 minutes.",
    unit="ratio",
    labels=("model", "provider", "kind"),
    values={"kind": RATELIMIT_KINDS},
)
AI_STREAM_GAP: Final = Histogram(
    name="claw_ai_ai_stream_gap_seconds",
    help="Longest wait for a part of a streamed answer after its first, once per answer.",
    unit="seconds",
    labels=("model", "provider"),
    buckets=GAP_SECONDS,
)
AI_CHUNK_GAP: Final = Histogram(
    name="claw_ai_ai_time_between_chunks_seconds",
    help="Wait for each part of a streamed answer after its first, where the application asks for it.",
    unit="seconds",
    labels=("model", "provider"),
    buckets=GAP_SECONDS,
)
AI_SILENCE: Final = Gauge(
    name="claw_ai_ai_silence_seconds",
    help="Time since the last sign of the model, of the open call that has waited longest; 0 without one.",
    unit="seconds",
    labels=("model", "provider"),
    workers="max",
)
AI_FINISH: Final = Counter(
    name="claw_ai_ai_finish_total",
    help="Answers by why the model stopped.",
    labels=("model", "reason"),
    values={"reason": FINISH_REASONS},
)
AI_CONTEXT_USED: Final = Histogram(
    name="claw_ai_ai_context_used_ratio",
    help="Share of a model's context window that an answer used, prompt and answer together.",
    unit="ratio",
    labels=("model",),
    buckets=USED_RATIOS,
)
AI_FALLBACKS: Final = Counter(
    name="claw_ai_ai_fallbacks_total",
    help="Answers for which another model stepped in.",
    labels=("from_model", "to_model", "reason"),
)
AI_PRICE_TABLE: Final = Gauge(
    name="claw_ai_ai_price_table_info",
    help="Always 1; the label says which price table is in use.",
    labels=("version",),
    workers="max",
)
AI_BUDGET: Final = Gauge(
    name="claw_ai_ai_budget_usd",
    help="What may be spent in a period, in US dollars.",
    unit="usd",
    labels=("period", "scope"),
    values={"period": BUDGET_PERIODS},
    workers="max",
)
GUARDRAIL_DECISIONS: Final = Counter(
    name="claw_ai_guardrail_decisions_total",
    help="Decisions of guardrails; error: the guard itself failed.",
    labels=("guard", "decision"),
    values={"decision": GUARD_DECISIONS},
)
RETRIEVAL_RESULTS: Final = Histogram(
    name="claw_ai_retrieval_results",
    help="Results that a retrieval found; the first bucket holds the empty ones.",
    labels=("index",),
    buckets=RESULTS,
)

# -- Agents --------------------------------------------------------------------------------------------------
AGENT_STEPS: Final = Counter(
    name="claw_ai_agent_steps_total",
    help="Steps that agents took.",
    labels=("agent", "step_type", "status"),
    values={"step_type": STEP_TYPES, "status": OPERATION_STATUSES},
)
AGENT_STEP_DURATION: Final = Histogram(
    name="claw_ai_agent_step_duration_seconds",
    help="Duration of an agent's step.",
    unit="seconds",
    labels=("agent", "step_type"),
    buckets=AI_SECONDS,
    values={"step_type": STEP_TYPES},
)
AGENT_RUNS: Final = Counter(
    name="claw_ai_agent_runs_total",
    help="Runs of agents by how they ended; max_steps: the limit of steps stopped them.",
    labels=("agent", "outcome"),
    values={"outcome": RUN_OUTCOMES},
)
AGENT_RUN_DURATION: Final = Histogram(
    name="claw_ai_agent_run_duration_seconds",
    help="Duration of an agent's run.",
    unit="seconds",
    labels=("agent",),
    buckets=RUN_SECONDS,
)
AGENT_RUN_STEPS: Final = Histogram(
    name="claw_ai_agent_run_steps",
    help="Steps of an agent's run.",
    labels=("agent",),
    buckets=RUN_STEPS,
)
AGENT_REPEATED_TOOL_CALLS: Final = Counter(
    name="claw_ai_agent_repeated_tool_calls_total",
    help="Tool calls that repeat one of the same run, with the same arguments.",
    labels=("agent",),
)
TOOL_CALLS: Final = Counter(
    name="claw_ai_tool_calls_total",
    help="Tool calls by outcome.",
    labels=("tool", "status"),
    values={"status": OPERATION_STATUSES},
)
TOOL_CALL_DURATION: Final = Histogram(
    name="claw_ai_tool_call_duration_seconds",
    help="Duration of a tool call.",
    unit="seconds",
    labels=("tool",),
    buckets=TOOL_SECONDS,
)

# -- Stores --------------------------------------------------------------------------------------------------
VECTOR_DB_DURATION: Final = Histogram(
    name="claw_ai_vector_db_operation_duration_seconds",
    help="Duration of a vector store operation.",
    unit="seconds",
    labels=("operation", "status"),
    buckets=STORE_SECONDS,
    values={"status": OPERATION_STATUSES},
)
REDIS_DURATION: Final = Histogram(
    name="claw_ai_redis_operation_duration_seconds",
    help="Duration of a Redis operation, as the application saw it.",
    unit="seconds",
    labels=("operation", "status"),
    buckets=STORE_SECONDS,
    values={"status": OPERATION_STATUSES},
)
DB_DURATION: Final = Histogram(
    name="claw_ai_db_operation_duration_seconds",
    help="Duration of a database operation, as the application saw it.",
    unit="seconds",
    labels=("operation", "status"),
    buckets=STORE_SECONDS,
    values={"status": OPERATION_STATUSES},
)
DB_POOL_CONNECTIONS: Final = Gauge(
    name="claw_ai_db_pool_connections",
    help="Connections of a pool by state.",
    labels=("pool", "state"),
    values={"state": ("active", "idle")},
    workers="each",
)
DB_POOL_MAX: Final = Gauge(
    name="claw_ai_db_pool_max_connections",
    help="Connections that a pool may open at the most.",
    labels=("pool",),
    workers="each",
)
DB_POOL_WAIT: Final = Histogram(
    name="claw_ai_db_pool_wait_seconds",
    help="Time that a request for a connection waited for the pool.",
    unit="seconds",
    labels=("pool",),
    buckets=STORE_SECONDS,
)
DB_POOL_TIMEOUTS: Final = Counter(
    name="claw_ai_db_pool_timeouts_total",
    help="Requests for a connection that the pool could not serve in time.",
    labels=("pool",),
)

# -- Business ------------------------------------------------------------------------------------------------
CONVERSATIONS: Final = Counter(
    name="claw_ai_conversations_total", help="Conversations by what happened to them.", labels=("status",)
)
MESSAGES: Final = Counter(name="claw_ai_messages_total", help="Messages by author.", labels=("role",))

# -- Tasks in the background ---------------------------------------------------------------------------------
QUEUE_TASKS: Final = Counter(
    name="claw_ai_queue_tasks_total",
    help="Tasks of a queue that were worked on.",
    labels=("queue", "status"),
    values={"status": OPERATION_STATUSES},
)
QUEUE_TASK_DURATION: Final = Histogram(
    name="claw_ai_queue_task_duration_seconds",
    help="Time that a worker spent on a task of a queue.",
    unit="seconds",
    labels=("queue",),
    buckets=RUN_SECONDS,
)

# -- The event loop ------------------------------------------------------------------------------------------
EVENT_LOOP_LAG: Final = Gauge(
    name="claw_ai_event_loop_lag_seconds",
    help="How late the event loop ran a timer, at worst, in the last 30 to 60 seconds.",
    unit="seconds",
    workers="max",
)

# -- Logs ----------------------------------------------------------------------------------------------------
LOG_RECORDS: Final = Counter(
    name="claw_ai_log_records_total",
    help="Records made by Python's logging, by level; a level of one's own counts as the next milder one.",
    labels=("level",),
    values={"level": LOG_LEVELS},
)

# -- The library and the exporter about themselves -----------------------------------------------------------
BUILD_INFO: Final = Gauge(
    name="claw_ai_build_info",
    help="Always 1; the labels say which application and library versions run.",
    labels=("app", "version", "library_version"),
    workers="max",
)
OVERFLOW: Final = Counter(
    name="claw_ai_exporter_overflow_total",
    help="Observations folded into an overflow series because their metric has too many.",
    labels=("metric",),
)
INTERNAL_ERRORS: Final = Counter(
    name="claw_ai_exporter_internal_errors_total",
    help="Errors inside this library that were kept from the application.",
    labels=("where",),
)
WORKERS: Final = Gauge(
    name="claw_ai_exporter_workers",
    help="Worker processes whose numbers this page adds up; only in multiprocess mode.",
)
CONFIG_RELOAD_SUCCESS: Final = Gauge(
    name="claw_ai_exporter_config_last_reload_successful",
    help="1 where the exporter's settings were read when it was last told to, 0 where the old ones stay.",
    home="process",
)
CONFIG_RELOAD_TIME: Final = Gauge(
    name="claw_ai_exporter_config_last_reload_success_timestamp_seconds",
    help="Unix time at which the exporter's settings were last read without a mistake.",
    unit="seconds",
    home="process",
)
PROBE_SUCCESS: Final = Gauge(
    name="claw_ai_exporter_probe_success",
    help="1 where a probe's last run succeeded, else 0.",
    labels=("probe",),
    home="process",
)
PROBE_DURATION: Final = Gauge(
    name="claw_ai_exporter_probe_duration_seconds",
    help="Duration of a probe's last run.",
    unit="seconds",
    labels=("probe",),
    home="process",
)
PROBE_AGE: Final = Gauge(
    name="claw_ai_exporter_probe_age_seconds",
    help="Age of the values served for a probe; +Inf before its first success.",
    unit="seconds",
    labels=("probe",),
    home="process",
)
PROBE_INTERVAL: Final = Gauge(
    name="claw_ai_exporter_probe_interval_seconds",
    help="How often a probe is meant to run.",
    unit="seconds",
    labels=("probe",),
    home="process",
)
PROBE_ERRORS: Final = Counter(
    name="claw_ai_exporter_probe_errors_total",
    help="Failed runs of a probe.",
    labels=("probe", "error_type"),
    home="process",
    values={"error_type": tuple(sorted({*PROBE_ERROR_TYPES, *CANARY_ERROR_TYPES}))},
)
PROBE_DROPPED_ROWS: Final = Counter(
    name="claw_ai_exporter_probe_dropped_rows_total",
    help="Result rows, or Redis keys, left out because there were more than the probe's limit.",
    labels=("probe",),
    home="process",
)

# -- What the exporter process reads (beside the metrics of exporter.yml) ------------------------------------
HOST_CPU: Final = Gauge(
    name="claw_ai_host_cpu_usage_ratio",
    help="Share of the host's CPU time in use since the last run (1: all cores busy).",
    unit="ratio",
    home="process",
)
HOST_MEMORY_USED: Final = Gauge(
    name="claw_ai_host_memory_used_bytes",
    help="Memory that is not available to new processes.",
    unit="bytes",
    home="process",
)
HOST_MEMORY_TOTAL: Final = Gauge(
    name="claw_ai_host_memory_total_bytes", help="Memory of the host.", unit="bytes", home="process"
)
HOST_DISK_USED: Final = Gauge(
    name="claw_ai_host_disk_used_bytes",
    help="Bytes in use on a file system.",
    unit="bytes",
    labels=("mountpoint",),
    home="process",
)
HOST_DISK_TOTAL: Final = Gauge(
    name="claw_ai_host_disk_total_bytes",
    help="Size of a file system.",
    unit="bytes",
    labels=("mountpoint",),
    home="process",
)
HOST_NETWORK: Final = Counter(
    name="claw_ai_host_network_bytes_total",
    help="Bytes through a network interface since boot.",
    unit="bytes",
    labels=("interface", "direction"),
    home="process",
    values={"direction": ("receive", "transmit")},
)
POSTGRES_UP: Final = Gauge(
    name="claw_ai_postgres_up",
    help="1 where the exporter can query Postgres.",
    labels=("database",),
    home="process",
)
POSTGRES_CONNECTIONS: Final = Gauge(
    name="claw_ai_postgres_connections",
    help="Client connections of a database by state.",
    labels=("database", "state"),
    home="process",
    values={"state": POSTGRES_STATES},
)
POSTGRES_MAX_CONNECTIONS: Final = Gauge(
    name="claw_ai_postgres_max_connections",
    help="Connections that the Postgres server accepts at the most.",
    labels=("database",),
    home="process",
)
POSTGRES_SIZE: Final = Gauge(
    name="claw_ai_postgres_database_size_bytes",
    help="Size of a database on disk.",
    unit="bytes",
    labels=("database",),
    home="process",
)
REDIS_UP: Final = Gauge(
    name="claw_ai_redis_up", help="1 where the exporter can reach Redis.", labels=("redis",), home="process"
)
QUEUE_DEPTH: Final = Gauge(
    name="claw_ai_queue_depth",
    help="Entries waiting in a Redis list, stream, hash, set or sorted set.",
    labels=("redis", "queue"),
    home="process",
)
QUEUE_OLDEST_AGE: Final = Gauge(
    name="claw_ai_queue_oldest_age_seconds",
    help="Time that the oldest entry of a queue has waited; 0 where it is empty.",
    unit="seconds",
    labels=("redis", "queue"),
    home="process",
)
CANARY_SUCCESS: Final = Gauge(
    name="claw_ai_canary_success",
    help="1 where the last small request to an AI provider was answered, else 0.",
    labels=("provider", "model"),
    home="process",
)
CANARY_DURATION: Final = Gauge(
    name="claw_ai_canary_duration_seconds",
    help="Duration of the last small request to an AI provider.",
    unit="seconds",
    labels=("provider", "model"),
    home="process",
)
REDIS_KEYS: Final = Gauge(
    name="claw_ai_redis_keys",
    help="Keys that match a configured pattern.",
    labels=("redis", "pattern"),
    home="process",
)

# -- What `make backup` leaves for the node exporter to show -------------------------------------------------
BACKUP_LAST_SUCCESS: Final = Gauge(
    name="claw_ai_backup_last_success_timestamp_seconds",
    help="Unix time of the end of the last complete backup; 0 where there has been none.",
    unit="seconds",
    home="commands",
)
BACKUP_DURATION: Final = Gauge(
    name="claw_ai_backup_last_duration_seconds",
    help="How long the last complete backup took.",
    unit="seconds",
    home="commands",
)
BACKUP_SIZE: Final = Gauge(
    name="claw_ai_backup_size_bytes",
    help="Size of the last complete backup.",
    unit="bytes",
    home="commands",
)

CATALOG: Final[tuple[Metric, ...]] = tuple(
    entry for entry in tuple(globals().values()) if isinstance(entry, Metric)
)
BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in CATALOG}
