"""What Alertmanager posts to a webhook (version 4), read without trusting it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from claw_relay.errors import BodyError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Alert", "Notification", "parse"]

# The worst first.
SEVERITIES: Final = ("critical", "warning", "info", "none")
# What Alertmanager writes for an end that is not known.
NEVER: Final = 1
MAX_TEXT: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of a notification.

    Attributes:
        firing: It fires; else it is over.
        labels: Its labels.
        annotations: Its annotations.
        starts_at: When it began; None where that is not known.
        ends_at: When it ended; None while it fires.
    """

    firing: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "?")

    @property
    def rank(self) -> tuple[bool, int, datetime]:
        """What sorts the most urgent alert first: what fires, then the worst, then the oldest."""
        severity = self.labels.get("severity", "")
        place = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
        return not self.firing, place, self.starts_at or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a receiver is told at once: the alerts of one group.

    Attributes:
        alerts: The most urgent first.
        left_out: How many more there are that Alertmanager did not send along (`max_alerts`).
        common_labels: The labels that all of them have.
    """

    alerts: tuple[Alert, ...]
    left_out: int = 0
    common_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those that fire."""
        return tuple(alert for alert in self.alerts if alert.firing)


def parse(body: bytes) -> Notification:
    """Reads the body of a webhook.

    Raises:
        BodyError: It is not one of Alertmanager's.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"not JSON ({error}); only Alertmanager's webhooks belong here") from None
    alerts = document.get("alerts") if isinstance(document, dict) else None
    if not isinstance(alerts, list) or not alerts:
        raise BodyError("not a notification of Alertmanager: it has no alerts")
    left_out = document.get("truncatedAlerts")
    return Notification(
        alerts=tuple(sorted((_alert(alert) for alert in alerts), key=lambda alert: alert.rank)),
        left_out=left_out if isinstance(left_out, int) and left_out > 0 else 0,
        common_labels=_texts(document.get("commonLabels")),
    )


def _alert(alert: Any) -> Alert:  # noqa: ANN401 - whatever was posted
    if not isinstance(alert, dict):
        raise BodyError(f"not an alert: {str(alert)[:80]!r}")
    firing = alert.get("status") != "resolved"
    return Alert(
        firing=firing,
        labels=_texts(alert.get("labels")),
        annotations=_texts(alert.get("annotations")),
        starts_at=_time(alert.get("startsAt")),
        ends_at=None if firing else _time(alert.get("endsAt")),
    )


def _texts(values: Any) -> dict[str, str]:  # noqa: ANN401 - whatever was posted
    if not isinstance(values, dict):
        return {}
    return {str(name): str(value)[:MAX_TEXT] for name, value in values.items()}


def _time(text: Any) -> datetime | None:  # noqa: ANN401 - whatever was posted
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time.astimezone(UTC) if time.tzinfo and time.year > NEVER else None
