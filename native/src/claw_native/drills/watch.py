"""Sees what fires in Prometheus and what arrives at the receiver, and remembers when it was seen first."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from claw_native.drills.fault import Told, alert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claw_native.drills.fault import Expected
    from claw_native.drills.means import Site

    Labels = Mapping[str, str]

# These fire always: they tell that the way to the receiver works.
HEARTBEATS: Final = frozenset({"Watchdog", "WatchdogFreshData"})
# The drills keep the machine busy, and whoever else works on it may too.
MACHINE: Final = (
    alert("HostCpuPressure"),
    alert("PrometheusDegraded", problem="rule evaluations are skipped"),
)


@dataclass(frozen=True)
class Sight:
    """What was to be seen at one moment.

    Args:
        firing: Labels of every alert that fires, but HEARTBEATS and MACHINE; None while Prometheus is silent.
        notified: Rows of the receiver, newest first; None while it does not answer.
    """

    firing: list[Labels] | None
    notified: list[dict[str, Any]] | None


def look(site: Site) -> Sight:
    """Looks once."""
    rows = _get(site, site.settings.url("prometheus", "/api/v1/alerts"))
    firing = None
    if rows is not None:
        firing = [
            row["labels"]
            for row in rows["data"]["alerts"]
            if row["state"] == "firing" and not _is_left_out(row["labels"])
        ]
    return Sight(firing, _get(site, site.settings.url("receiver", "/notifications")))


def _is_left_out(labels: Labels) -> bool:
    return labels["alertname"] in HEARTBEATS or any(noise.matches(labels) for noise in MACHINE)


def _get(site: Site, url: str) -> Any:  # noqa: ANN401 - JSON
    try:
        answer = site.http.get(url)
        return answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None


@dataclass
class Watch:
    """What has come since the fault was injected.

    Args:
        must: Alerts that are waited for.
        started: When the fault was injected, in seconds of `clock`.
        clock: Tells the time, in seconds since 1970 as the receiver does.
    """

    must: tuple[Expected, ...]
    started: float
    clock: Callable[[], float] = time.time
    fired: dict[Expected, float] = field(default_factory=dict)
    notified: dict[Expected, float] = field(default_factory=dict)
    came: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)
    firing: list[Labels] = field(default_factory=list)

    def note(self, sight: Sight) -> None:
        """Remembers what is new."""
        seconds = self.clock() - self.started
        if sight.firing is not None:
            self.firing = sight.firing
        for labels in self.firing:
            self.came.setdefault(tuple(sorted(labels.items())), seconds)
            for expected in self.must:
                if expected.matches(labels):
                    self.fired.setdefault(expected, seconds)
        for row in sight.notified or ():
            for expected in self.must:
                if row["status"] == "firing" and expected.matches(row["labels"]):
                    self._arrived(expected, row)

    def _arrived(self, expected: Expected, row: Mapping[str, Any]) -> None:
        # The receiver knows when, to a second; what was there before the fault says nothing about it.
        seconds = datetime.fromisoformat(row["at"]).timestamp() + 1 - self.started
        if seconds >= 0 and expected in self.fired:
            self.notified.setdefault(expected, max(seconds - 1, self.fired[expected], 0))

    @property
    def missing(self) -> list[Expected]:
        """Alerts that have not come yet."""
        return [expected for expected in self.must if expected not in self.fired]

    @property
    def silent(self) -> list[Expected]:
        """Alerts whose notification has not come yet."""
        return [
            expected
            for expected in self.must
            if expected.told is not Told.BY_ANOTHER and expected not in self.notified
        ]

    def names(self) -> list[str]:
        """Returns the names of all alerts that have come, each once, in the order in which they came."""
        ordered = sorted(self.came.items(), key=lambda item: item[1])
        return list(dict.fromkeys(dict(labels)["alertname"] for labels, _ in ordered))
