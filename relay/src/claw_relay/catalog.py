"""Every metric that the relay exposes about its work; ``relay/metrics.json`` is written from this table."""

from __future__ import annotations

from typing import Final

from claw_exporter.spec import Counter, Gauge, Histogram, Metric
from claw_relay.errors import Reason

__all__ = [
    "CATALOG",
    "HEARTBEATS",
    "HEARTBEAT_AGE",
    "HEARTBEAT_GRACE",
    "HEARTBEAT_STOPPED",
    "LEFT_OUT",
    "REJECTED",
    "SEND_DURATION",
    "SENT",
]

INTEGRATIONS: Final = ("dingtalk", "feishu", "wecom")
SEND_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

SENT: Final = Counter(
    name="claw_ai_notify_sent_total",
    help="Messages that a chat service took.",
    labels=("integration", "channel"),
    home="process",
    values={"integration": INTEGRATIONS},
)
REJECTED: Final = Counter(
    name="claw_ai_notify_rejected_total",
    help="Attempts to send a message that failed, refusals in an answer with status 200 included.",
    labels=("integration", "channel", "reason"),
    home="process",
    values={"integration": INTEGRATIONS, "reason": tuple(sorted(Reason))},
)
LEFT_OUT: Final = Counter(
    name="claw_ai_notify_alerts_left_out_total",
    help="Alerts that a message only counts ('and 7 more'), because it was full.",
    labels=("integration", "channel"),
    home="process",
    values={"integration": INTEGRATIONS},
)
SEND_DURATION: Final = Histogram(
    name="claw_ai_notify_send_duration_seconds",
    help="Time until a chat service answered, or was given up.",
    unit="seconds",
    labels=("integration",),
    home="process",
    values={"integration": INTEGRATIONS},
    buckets=SEND_SECONDS,
)
HEARTBEATS: Final = Counter(
    name="claw_ai_notify_heartbeats_total",
    help="Heartbeats that came in.",
    labels=("heartbeat",),
    home="process",
)
HEARTBEAT_AGE: Final = Gauge(
    name="claw_ai_notify_heartbeat_age_seconds",
    help="Time since the last beat, of the alert that has been silent longest.",
    unit="seconds",
    labels=("heartbeat",),
    home="process",
)
HEARTBEAT_GRACE: Final = Gauge(
    name="claw_ai_notify_heartbeat_grace_seconds",
    help="Age from which on a heartbeat counts as stopped.",
    unit="seconds",
    labels=("heartbeat",),
    home="process",
)
HEARTBEAT_STOPPED: Final = Gauge(
    name="claw_ai_notify_heartbeat_stopped",
    help="1 while a heartbeat has stopped and the relay has something to say about it, else 0.",
    labels=("heartbeat",),
    home="process",
)

CATALOG: Final[tuple[Metric, ...]] = (
    SENT,
    REJECTED,
    LEFT_OUT,
    SEND_DURATION,
    HEARTBEATS,
    HEARTBEAT_AGE,
    HEARTBEAT_GRACE,
    HEARTBEAT_STOPPED,
)
