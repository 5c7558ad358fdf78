"""Every fault that is drilled: data only. docs/DRILLS.md shows the table with the times of a run."""

from __future__ import annotations

import time
from typing import Final

from claw_native.drills.configuration import APP, QUEUE
from claw_native.drills.crowd import Asking, Visiting, crowd
from claw_native.drills.fault import Expected, Fault, Told, alert
from claw_native.drills.means import (
    changed_by_sql,
    few_files,
    file_changed,
    filled,
    frozen,
    holding,
    in_the_app,
    killed_again_and_again,
    leaking,
    mended_by_reload,
    mended_by_restart,
    models,
    more_samples_than_allowed,
    queued,
    read_only,
    redis_cannot_save,
    redis_configured,
    small_disk,
    stopped,
    target_beside,
    textfile,
    used_memory,
)

DAY_SECONDS: Final = 86_400
QUESTION: Final = "Which dashboard should I open first?"

# What users of a broken application see, and what it says about it.
USERS_HURT: Final = (
    alert("AgentRunsFailing"),
    alert("AiAnswerBudgetBurn"),
    alert("HttpAbandonmentHigh"),
    alert("HttpAvailabilityBudgetBurn"),
    alert("HttpLatencyBudgetBurn"),
    alert("LogErrorBurst"),
)
DATABASE_HURT: Final = (
    *USERS_HURT,
    alert("PoolNearlyExhausted"),
    alert("PoolTimeouts"),
    # Sessions that wait for a lock do not see that their client gave up.
    alert("PostgresConnectionsHigh"),
    alert("ProbeStale"),
    # The exporter takes longer to say that it gets no answer than there is between two scrapes.
    alert("TargetDown", job="postgres-exporter"),
    alert("ToolFailing", tool="search_help"),
    alert("VectorDbFailing"),
)


def of_model(provider: str, model: str) -> tuple[Expected, ...]:
    """Returns what may come when a model fails, beside the alert that says why."""
    return (
        *USERS_HURT,
        alert("AiFallbackActive", model=model),
        alert("AiProviderDown", provider=provider),
        alert("AiProviderErrorsHigh", model=model),
        alert("AiRetryAmplification", provider=provider),
        alert("AiStreamStalls", model=model),
        alert("AiStreamsStuck", model=model),
    )


FAULTS: Final[tuple[Fault, ...]] = (
    # The application.
    Fault(
        name="app-killed",
        breaks="the application ended and does not come back",
        means=(stopped(APP),),
        must=(alert("TargetDown", severity="critical", job=APP),),
        may=(alert("TargetDown", severity="warning", job=APP),),
    ),
    Fault(
        name="app-crash-loop",
        breaks="the application dies again and again",
        means=(killed_again_and_again(APP, pause_seconds=8),),
        must=(alert("ProcessRestarting", job=APP),),
        may=(*USERS_HURT, alert("TargetDown", job=APP)),
    ),
    Fault(
        name="endpoint-fails",
        breaks="one endpoint answers 500",
        means=(
            in_the_app(failing_endpoint="/api/v1/search"),
            crowd(Visiting("/search?q=burn"), per_second=4),
        ),
        must=(alert("HttpAvailabilityBudgetBurn", job=APP, window="1h"),),
        may=USERS_HURT,
    ),
    Fault(
        name="endpoint-slow",
        breaks="one endpoint takes a second longer",
        means=(
            in_the_app(slow_endpoint="/api/v1/search", slow_seconds=1),
            crowd(Visiting("/search?q=burn"), per_second=4),
        ),
        must=(alert("HttpLatencyBudgetBurn", job=APP, window="1h"),),
    ),
    Fault(
        name="event-loop-blocked",
        breaks="a call that is not async stops everything for 0.6 s, once a second",
        means=(in_the_app(block_loop_seconds=0.6),),
        must=(alert("EventLoopBlocked", job=APP),),
        may=(*USERS_HURT, alert("AiFirstTokenSlow"), alert("TargetDown", job=APP)),
    ),
    Fault(
        name="files-run-out",
        breaks="the application may open hardly a file or connection more",
        means=(few_files(APP),),
        must=(alert("FileDescriptorsHigh", job=APP),),
        may=(*DATABASE_HURT, alert("TargetDown", job=APP), alert("AiProviderDown")),
    ),
    Fault(
        name="memory-leak",
        breaks="the application takes 0.3 % of the free memory every second and gives nothing back",
        # Half of it is left when the alert fires.
        means=(leaking(share=0.003),),
        must=(alert("ProcessMemoryGrowing", job=APP),),
        slow_seconds=120,  # it has to be as old as the window
    ),
    Fault(
        name="readers-leave",
        breaks="people leave in the middle of their answer",
        means=(crowd(Asking(QUESTION, leaves=True), per_second=3),),
        must=(alert("HttpAbandonmentHigh", job=APP),),
    ),
    Fault(
        name="log-burst",
        breaks="the application logs 20 errors a second",
        means=(in_the_app(error_lines=20),),
        must=(alert("LogErrorBurst", job=APP),),
    ),
    # Databases.
    Fault(
        name="postgres-down",
        breaks="Postgres is stopped",
        means=(stopped("postgres"),),
        must=(alert("PostgresDown"), alert("HttpAvailabilityBudgetBurn", job=APP)),
        may=DATABASE_HURT,
        quick=True,
    ),
    Fault(
        name="postgres-locked",
        breaks="a session holds a lock on the conversations; every connection of the pool waits for it",
        means=(holding("BEGIN; LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE"),),
        must=(
            alert("PoolNearlyExhausted", told=Told.BY_ANOTHER, severity="critical", job=APP),
            alert("PoolTimeouts", job=APP),
            alert("HttpAvailabilityBudgetBurn", job=APP),
        ),
        may=(*DATABASE_HURT, alert("PostgresTransactionTooLong")),
    ),
    Fault(
        name="monitor-locked-out",
        breaks="the role that both exporters log in as may not any more",
        means=(
            changed_by_sql(
                "ALTER ROLE claw_exporter NOLOGIN; SELECT pg_terminate_backend(pid)"
                " FROM pg_stat_activity WHERE usename = 'claw_exporter'",
                "ALTER ROLE claw_exporter LOGIN",
            ),
        ),
        must=(alert("PostgresDown"), alert("ProbeStale")),
        may=(alert("TargetDown", job="postgres-exporter"),),
    ),
    Fault(
        name="transaction-left-open",
        breaks="a session is idle in its transaction",
        means=(holding("BEGIN; SELECT count(*) FROM messages"),),
        must=(alert("PostgresTransactionTooLong", state="idle in transaction"),),
    ),
    Fault(
        name="connections-used-up",
        breaks="46 sessions of somebody else",
        means=(holding("SELECT 1", sessions=46),),
        must=(alert("PostgresConnectionsHigh"),),
        may=DATABASE_HURT,
    ),
    Fault(
        name="vector-store-fails",
        breaks="a lock on the vectors: no search ends",
        means=(holding("BEGIN; LOCK TABLE passages IN ACCESS EXCLUSIVE MODE"),),
        must=(alert("VectorDbFailing", operation="search"),),
        may=(*DATABASE_HURT, alert("PostgresTransactionTooLong"), alert("AiFirstTokenSlow")),
    ),
    Fault(
        name="vectors-lost",
        breaks="the table of vectors is empty",
        means=(
            changed_by_sql(
                "CREATE TABLE passages_away AS TABLE passages; DELETE FROM passages",
                "INSERT INTO passages SELECT * FROM passages_away; DROP TABLE passages_away",
            ),
        ),
        must=(alert("RetrievalEmpty", index="help_pages"),),
        may=(*USERS_HURT, alert("VectorDbFailing")),
    ),
    Fault(
        name="redis-down",
        breaks="Redis is stopped",
        means=(stopped("redis"),),
        must=(alert("RedisDown"),),
        may=(alert("ProbeStale"),),
    ),
    Fault(
        name="redis-full",
        breaks="Redis has no memory left and refuses writes",
        means=(redis_configured("maxmemory", used_memory(0.98)),),
        must=(alert("RedisMemoryHigh", severity="critical"), alert("RedisRefusing")),
        may=(alert("RedisMemoryHigh", severity="warning"),),
    ),
    Fault(
        name="redis-cannot-save",
        breaks="Redis cannot write its snapshot",
        means=(redis_cannot_save(),),
        must=(alert("RedisPersistenceFailing"),),
    ),
    Fault(
        name="queue-stuck",
        breaks="a queue in Redis that no worker takes from",
        means=(queued(QUEUE, 20, age_seconds=600),),
        must=(
            alert("QueueStuck", queue=QUEUE),
            alert("QueueAgeHigh", told=Told.BY_ANOTHER, severity="critical", queue=QUEUE),
        ),
        may=(alert("QueueAgeHigh", severity="warning", queue=QUEUE),),
    ),
    # Providers of models.
    Fault(
        name="provider-down",
        breaks="a provider answers 500 to everything",
        means=(
            models({"server_error_ratio": 1}, "claude-haiku-4"),
            crowd(Asking(QUESTION, model="claude-haiku-4"), per_second=3),
        ),
        must=(alert("AiProviderDown", provider="anthropic"),),
        may=of_model("anthropic", "claude-haiku-4"),
    ),
    Fault(
        name="provider-flaky",
        breaks="a model fails one call in three",
        means=(
            models({"server_error_ratio": 0.33}, "gpt-4o-mini"),
            crowd(Asking(QUESTION, model="gpt-4o-mini"), per_second=4),
        ),
        must=(alert("AiProviderErrorsHigh", model="gpt-4o-mini"),),
        may=of_model("openai", "gpt-4o-mini"),
    ),
    Fault(
        name="rate-limited",
        breaks="a provider lets five requests a minute pass",
        means=(
            models({"requests_per_minute": 5}, "gpt-4o-mini"),
            crowd(Asking(QUESTION, model="gpt-4o-mini"), per_second=2),
        ),
        must=(
            alert("AiRateLimited", model="gpt-4o-mini"),
            alert("AiRateLimitHeadroomLow", told=Told.BY_ANOTHER, model="gpt-4o-mini"),
        ),
        may=of_model("openai", "gpt-4o-mini"),
        slow_seconds=60,  # the limit's minute is the clock's
    ),
    Fault(
        name="quota-gone",
        breaks="the balance at a provider is used up",
        means=(
            models({"quota_exhausted_ratio": 1}, "deepseek-reasoner"),
            crowd(Asking(QUESTION, model="deepseek-reasoner"), per_second=1),
        ),
        must=(alert("AiQuotaExhausted", provider="deepseek"),),
        may=of_model("deepseek", "deepseek-reasoner"),
    ),
    Fault(
        name="credentials-rejected",
        breaks="the key of a provider was revoked",
        means=(
            models({"credentials_rejected_ratio": 1}, "claude-haiku-4"),
            crowd(Asking(QUESTION, model="claude-haiku-4"), per_second=1),
        ),
        must=(alert("AiCredentialsRejected", provider="anthropic"),),
        may=of_model("anthropic", "claude-haiku-4"),
        quick=True,
    ),
    Fault(
        name="first-token-slow",
        breaks="models think for four seconds before they begin",
        means=(models({"first_token_seconds": 4}, "glm-4", "glm-4-flash", "gpt-4o-mini"),),
        must=(alert("AiFirstTokenSlow", job=APP),),
        may=(alert("HttpAbandonmentHigh"), alert("AiStreamsStuck")),
    ),
    Fault(
        name="streams-stall",
        breaks="half of the streams of a model fall silent for 12 s",
        means=(
            models({"stall_ratio": 0.5, "stall_seconds": 12}, "gpt-4o-mini"),
            crowd(Asking(QUESTION, model="gpt-4o-mini"), per_second=3),
        ),
        must=(alert("AiStreamStalls", model="gpt-4o-mini"),),
        may=(alert("AiStreamsStuck", model="gpt-4o-mini"),),
        slow_seconds=15,
    ),
    Fault(
        name="streams-stuck",
        breaks="no stream of a model ends",
        means=(
            # What hangs would go on until its readers give up, in the middle of the next drill.
            mended_by_restart(APP),
            models({"stall_ratio": 1, "stall_seconds": 600}, "claude-haiku-4"),
            crowd(Asking(QUESTION, model="claude-haiku-4"), per_second=2),
        ),
        must=(alert("AiStreamsStuck", model="claude-haiku-4"),),
        may=of_model("anthropic", "claude-haiku-4"),
        slow_seconds=30,
    ),
    Fault(
        name="cost-runaway",
        breaks="each answer of a model thinks 15,000 tokens first",
        means=(
            models({"reasoning_tokens": 15_000}, "glm-4"),
            crowd(Asking(QUESTION, model="glm-4"), per_second=2),
        ),
        must=(alert("AiCostRunaway", job=APP),),
        may=(alert("AiBudgetExceeded"),),
    ),
    Fault(
        name="usage-missing",
        breaks="a model stops telling how many tokens it used",
        means=(models({"usage_missing_ratio": 1}, "glm-4-flash"),),
        must=(alert("AiUsageMissing", model="glm-4-flash"),),
    ),
    # Agents.
    Fault(
        name="agent-loops",
        breaks="the agent calls the same tool ten times, until its limit of steps",
        means=(in_the_app(repeated_calls=10), crowd(Asking("What is 2 * 3?"), per_second=1)),
        must=(
            alert("AgentLooping", problem="limit of steps"),
            alert("AgentLooping", problem="repeated calls"),
        ),
        may=(alert("ToolFailing"),),
    ),
    Fault(
        name="tool-fails",
        breaks="a tool answers with an error most of the time",
        means=(crowd(Asking("How much is 5 / 0?"), per_second=2),),
        must=(alert("ToolFailing", tool="calculator"),),
    ),
    # The machine and the monitoring.
    Fault(
        name="disk-nearly-full",
        breaks="a small file system has 3 % left",
        means=(small_disk("small-disk", megabytes=64), filled("small-disk", free_ratio=0.03)),
        must=(alert("HostDiskFilling", severity="critical", resource="bytes"),),
        needs_root=True,
    ),
    Fault(
        name="disk-read-only",
        breaks="a file system takes no more writes",
        means=(small_disk("other-disk", megabytes=16), read_only("other-disk")),
        must=(alert("HostDiskReadOnly"),),
        needs_root=True,
    ),
    Fault(
        name="exporter-hung",
        breaks="the node exporter keeps its port open and answers nothing",
        means=(frozen("node-exporter"),),
        must=(alert("TargetDown", severity="critical", job="node-exporter"),),
        may=(alert("TargetDown", severity="warning", job="node-exporter"),),
    ),
    Fault(
        name="target-vanished",
        breaks="the file that names the Redis exporter is gone",
        means=(file_changed("prometheus/targets/redis-exporter.yml", None),),
        must=(alert("TargetMissing", job="redis-exporter"),),
    ),
    Fault(
        name="rules-broken",
        breaks="a file of rules that Prometheus cannot read",
        means=(mended_by_reload("prometheus"), file_changed("prometheus/rules/broken.yml", "groups: [")),
        must=(alert("ConfigReloadFailed", job="prometheus"),),
    ),
    Fault(
        name="alertmanager-down",
        breaks="Alertmanager is stopped: nothing can be told until it is back",
        means=(stopped("alertmanager"),),
        must=(
            # Over as soon as it could be told.
            alert("TargetDown", told=Told.BY_ANOTHER, severity="critical", job="alertmanager"),
            alert("AlertsUndelivered", told=Told.AFTERWARDS),
        ),
        may=(alert("TargetDown", severity="warning", job="alertmanager"), alert("NotificationsFailing")),
    ),
    Fault(
        name="receiver-refuses",
        breaks="the address of one receiver does not answer",
        means=(file_changed("alertmanager/secrets/alertmanager_watchdog_url", "http://127.0.0.1:1/"),),
        must=(alert("NotificationsFailing"),),
    ),
    Fault(
        name="backup-old",
        breaks="the last backup is three days old",
        means=(
            textfile(
                lambda: f"claw_ai_backup_last_success_timestamp_seconds {time.time() - 3 * DAY_SECONDS:.0f}\n"
            ),
        ),
        must=(alert("BackupStale", problem="too old"),),
    ),
    # These leave their traces in the history of Prometheus, so they come last.
    Fault(
        name="series-explode",
        breaks="a second target of the application shows more samples than a scrape may have",
        means=(target_beside(APP, more_samples_than_allowed),),
        must=(alert("ScrapeLimitHit"), alert("TargetDown", severity="warning", job=APP)),
        may=(alert("CardinalityGrowing"),),
    ),
    Fault(
        name="labels-explode",
        breaks="a text of users became a label of a metric",
        means=(mended_by_restart(APP), in_the_app(new_labels=100)),
        must=(alert("MetricOverflow", job=APP),),
        may=(alert("CardinalityGrowing"),),
    ),
)
