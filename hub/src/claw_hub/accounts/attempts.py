"""How often somebody may try a password: in this process, and whether or not there is such a person."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from claw_hub.errors import RateError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attempts"]

MOST: Final = 10
WINDOW_SECONDS: Final = 300.0
MAX_NAMES: Final = 10_000


class Attempts:
    """Counts attempts by name; one that succeeds forgets those before it.

    Args:
        clock: Seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def begin(self, name: str) -> None:
        """Counts an attempt, before it is known how it ends: many at once are many.

        Raises:
            RateError: There were too many.
        """
        now = self._clock()
        since, count = self._made.get(name, (now, 0))
        if now - since >= WINDOW_SECONDS:
            since, count = now, 0
        if count >= MOST:
            left = math.ceil(since + WINDOW_SECONDS - now)
            raise RateError(f"{MOST} attempts failed; try again in {left} s", retry_after_seconds=left)
        self._made[name] = (since, count + 1)
        self._made.move_to_end(name)
        if len(self._made) > MAX_NAMES:
            self._made.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forgets the attempts of a name."""
        self._made.pop(name, None)
