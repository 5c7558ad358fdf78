"""What a fault is, and which alerts belong to it: data and two questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claw_native.drills.means import Means


class Told(StrEnum):
    """When the notification of an alert has to arrive."""

    AT_ONCE = "at once"
    AFTERWARDS = "afterwards"  # the fault is in its way
    BY_ANOTHER = "by another"  # another alert of the same fault says it, and mutes this one


@dataclass(frozen=True, eq=False)
class Expected:
    """An alert that belongs to a fault.

    Args:
        name: Its name.
        labels: What its labels must be, as far as that matters.
        told: When its notification has to arrive.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    told: Told = Told.AT_ONCE

    def __str__(self) -> str:
        """Returns it as PromQL would name it."""
        labels = ", ".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{labels}}}" if labels else self.name

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tells whether an alert with these labels is the one."""
        wanted = {"alertname": self.name, **self.labels}
        return wanted.items() <= labels.items()


def alert(name: str, *, told: Told = Told.AT_ONCE, **labels: str) -> Expected:
    """Returns an expected alert."""
    return Expected(name, labels, told)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One drill.

    Attributes:
        name: What `--only` takes.
        breaks: What is broken, in words.
        means: How: each is entered, in this order, and left in the opposite one.
        must: Alerts that must come.
        may: Alerts that may come. Any other one fails the drill.
        slow_seconds: What the fault needs beyond the time in the rules, such as a timeout of the application.
        quick: Part of `make test`.
        needs_root: Only root can do it.
    """

    name: str
    breaks: str
    means: tuple[Means, ...]
    must: tuple[Expected, ...]
    may: tuple[Expected, ...] = ()
    slow_seconds: float = 0
    quick: bool = False
    needs_root: bool = False

    def expects(self, labels: Mapping[str, str]) -> bool:
        """Tells whether an alert with these labels is one that must or may come."""
        return any(expected.matches(labels) for expected in (*self.must, *self.may))
