"""Looks at open streams from time to time, so that a part of one costs next to nothing.

Two readings of the clock for each part would cost as much again as the part's way through the decorator
(measured: 0.20 against 0.09 microseconds). So a part leaves a mark, and a thread, which lives only while
streams are open, looks every 10 milliseconds which streams bear one, and which wait for their generator: the
time that a reader takes is no stall. A wait is known to a hundredth of a second; the shortest that a bucket
tells apart is five. A thread, since a timer of the event loop would be late when code blocks the loop, and
would call the reader's time the provider's.
"""

from __future__ import annotations

from threading import Thread, current_thread
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.tracking import Parts

__all__ = ["Stalls"]

_TICK_SECONDS: Final = 0.01
_LINGER_TICKS: Final = 50
_SHARE: Final = 0.01  # of a core: with thousands of open streams it looks less often


class Stalls:
    """Finds the longest wait of each open stream.

    Args:
        fault: Counts an error of this library.
    """

    def __init__(self, fault: Callable[[str], None]) -> None:
        self._fault = fault
        self._open: set[Parts] = set()
        self._thread: Thread | None = None

    def add(self, parts: Parts) -> None:
        """Look at a stream from now on; never raises."""
        self._open.add(parts)
        thread = self._thread
        if thread is None or not thread.is_alive():  # a fork leaves the thread to the parent
            self._start()

    def remove(self, parts: Parts) -> None:
        """Look at it no more."""
        self._open.discard(parts)

    def _start(self) -> None:
        thread = Thread(target=self._run, name="claw-exporter-stalls", daemon=True)
        try:
            self._thread = thread
            thread.start()
        except RuntimeError:  # no thread can be had: longest waits are not known then
            self._thread = None
            self._fault("stream_gap")

    def _run(self) -> None:
        """Look, until no stream has been open for half a second, or another thread does."""
        me, idle = current_thread(), 0
        while self._thread is me:
            began = perf_counter()
            streams = self._open.copy()  # runs no Python code, so no thread can interfere
            for parts in streams:
                parts.look(began)
            idle = 0 if streams else idle + 1
            if idle > _LINGER_TICKS:
                self._thread = None
                if self._open:  # opened just now, by a thread that saw this one alive
                    self._start()
            sleep(max(_TICK_SECONDS, (perf_counter() - began) / _SHARE))
