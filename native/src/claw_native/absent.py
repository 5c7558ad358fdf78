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
    Absence(mentions="probe_success", reason="the blackbox exporter probes the public door, a container"),
    Absence(mentions="offset 1w", reason="needs a week of data", sometimes=True),
)
