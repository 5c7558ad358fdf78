"""What cannot be seen natively, and why: data only.

`make demo-check` excuses a job without a target, or a query without data, only when it is listed here.
An entry that excuses nothing, or whose query has data after all, is an error: so the table cannot rot.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Absence:
    """Queries that have no data here.

    Attributes:
        mentions: A piece of text; a query that contains it is meant.
        reason: Why there is nothing.
        sometimes: There may be data, depending on how long the demo has run or on what happened.
    """

    mentions: str
    reason: str
    sometimes: bool = False


ABSENT_JOBS: dict[str, str] = {
    "blackbox-exporter": "probes the public door, which is a container",
    "cadvisor": "watches containers",
    "grafana": "is in no Debian suite; the preview draws the dashboards",
    "hosts": "are further machines with docker-compose.host.yml",
    "log-shipper": "ships logs of containers",
    "loki": "is in no Debian suite",
    "nginx-exporter": "watches the public door, which is a container",
    "probes": "probe the public door, which is a container",
}

ABSENT_QUERIES: tuple[Absence, ...] = (
    Absence(mentions="container_", reason="cAdvisor watches containers; there are none"),
    Absence(mentions="alertname_severity:alerts_begun", reason="no alert fires in health", sometimes=True),
    Absence(
        mentions='ALERTS{alertstate="firing", severity', reason="no alert fires in health", sometimes=True
    ),
    Absence(mentions="claw_ai_canary_", reason="a canary costs money, so exporter.yml has none"),
    Absence(mentions="claw_ai_queue_depth", reason="exporter.yml names no queue"),
    Absence(mentions="claw_ai_queue_oldest_age_seconds", reason="exporter.yml names no queue"),
    Absence(
        mentions="claw_ai_queue_task_duration_seconds", reason="tasks run at the start only", sometimes=True
    ),
    Absence(mentions="last_autovacuum", reason="autovacuum waits for enough dead rows", sometimes=True),
    Absence(mentions="(probe_success{", reason="the blackbox exporter probes the public door, a container"),
    Absence(
        mentions="claw_ai_ai_fallbacks_total",
        reason="another model steps in only where one has failed twice",
        sometimes=True,
    ),
    Absence(
        mentions="topk(10, 60 * ", reason="in health hardly anything spends an error budget", sometimes=True
    ),
    Absence(mentions="alertmanager_cluster_failed_peers", reason="one Alertmanager is no cluster"),
    Absence(mentions="probe_ssl_earliest_cert_expiry", reason="the public door is a container"),
    Absence(mentions="claw_ai_backup_", reason="`make backup` saves containers' data and says when"),
    Absence(mentions="{service", reason="Loki is in no Debian suite"),
    Absence(
        mentions="promtail_custom_nginx_",
        reason="the shipper counts the answers of the public door, a container",
    ),
    Absence(
        mentions="claw_ai_notify_", reason="no chat service is configured, so the relay has nothing to do"
    ),
    Absence(mentions="claw_ai_exporter_workers", reason="one process for each instance"),
    Absence(
        mentions="claw_ai_ai_usage_missing", reason="a provider tells its usage nearly always", sometimes=True
    ),
    Absence(mentions="offset 1d", reason="needs a day of data", sometimes=True),
    Absence(mentions="loki_", reason="Loki and its shipper are in no Debian suite"),
    Absence(mentions="prometheus_remote_storage_", reason="there is no remote storage"),
    Absence(
        mentions="claw_ai_exporter_overflow_total",
        reason="counts where a metric has more label sets than it may",
        sometimes=True,
    ),
    Absence(
        mentions="claw_ai_exporter_internal_errors_total",
        reason="counts where our library has failed",
        sometimes=True,
    ),
    Absence(mentions="offset 1w", reason="needs a week of data", sometimes=True),
)
