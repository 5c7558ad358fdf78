"""When requests are sent, and what is sent next."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

QUIETEST: Final = 0.35
BEGIN_AT: Final = 0.47  # of a day: a little after eleven in the morning


def day_curve(share_of_day: float) -> float:
    """Return the traffic at a time of day as a share of the busiest.

    Least at night, most in the early afternoon, a second rise in the evening.

    Args:
        share_of_day: 0 and 1 are midnight.
    """
    noon = math.exp(-(((share_of_day % 1) - 0.58) ** 2) / 0.02)
    evening = 0.75 * math.exp(-(((share_of_day % 1) - 0.85) ** 2) / 0.006)
    return QUIETEST + (1 - QUIETEST) * min(1.0, noon + evening)


def rate_at(elapsed_seconds: float, *, rate: float, day_seconds: float) -> float:
    """Return the requests per second wanted ``elapsed_seconds`` after the start."""
    return rate * day_curve(BEGIN_AT + elapsed_seconds / day_seconds)


@dataclass(slots=True)
class Rota:
    """Deals out names in proportion to their weights, as evenly as can be and without luck.

    Each name comes once before any comes twice, so that even the rarest is seen at the start.

    Args:
        weights: Name and weight.
    """

    weights: Mapping[str, float]
    _credit: dict[str, float] = field(init=False)
    _first: list[str] = field(init=False)

    def __post_init__(self) -> None:  # noqa: D105 - part of being a dataclass
        self._credit = dict.fromkeys(self.weights, 0.0)
        self._first = list(self.weights)

    def next(self) -> str:
        """Return the name whose turn it is."""
        if self._first:
            return self._first.pop(0)
        for name, weight in self.weights.items():
            self._credit[name] += weight
        chosen = max(self._credit, key=lambda name: self._credit[name])
        self._credit[chosen] -= sum(self.weights.values())
        return chosen
