"""How late an event loop runs its timers: what one synchronous call in ``async def`` does to everybody."""

from __future__ import annotations

import asyncio
import os
from contextvars import Context
from threading import RLock
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from claw_exporter.catalog import EVENT_LOOP_LAG
from claw_exporter.errors import EventLoopError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

__all__ = ["EventLoops"]

_INTERVAL_SECONDS: Final = 0.2
_WINDOW_SECONDS: Final = 30.0


class EventLoops:
    """The event loops that are watched.

    Args:
        store: Where the number goes.
        clock: Seconds that only grow.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = perf_counter) -> None:
        self._lag = store.gauge(EVENT_LOOP_LAG)
        self._clock = clock
        self._begin()
        store.before_scrape(self._read)

    def watch(self) -> None:
        """Watch the running loop until it is closed; a second call changes nothing.

        Raises:
            EventLoopError: No loop of asyncio runs here.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise EventLoopError(
                "no event loop of asyncio runs here: call watch_event_loop() inside of one, such as in the "
                "lifespan of the application"
            ) from None
        self._notice_fork()
        with self._lock:
            if loop not in self._watches:
                self._watches[loop] = watch = _Watch(self._clock)
                watch.wait(loop)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = RLock()
        self._watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()

    def _notice_fork(self) -> None:
        """Begin anew in a forked child: the loops run in its parent, where a thread may have had the lock."""
        if self._process != os.getpid():
            self._begin()

    def _read(self) -> None:
        self._notice_fork()
        now = self._clock()
        with self._lock:
            alive = [
                watch.worst(now, running=loop.is_running())
                for loop, watch in self._watches.items()
                if not loop.is_closed()
            ]
        if alive:
            self._lag.set(max(alive))
        else:
            self._lag.clear()


class _State(NamedTuple):
    """What is known of a loop; one object, so that another thread never sees half of a change.

    Attributes:
        began: When the present window did.
        present: Worst lag in it, in seconds.
        before: Worst lag in the window before.
        due: When the timer is to run next.
    """

    began: float
    present: float
    before: float
    due: float


class _Watch:
    """A timer of one loop that looks how late it is and sets itself again; unlike a task, it needs no end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._context = Context()  # empty: a copy of the caller's would keep its request alive
        self._state = _State(clock(), 0.0, 0.0, float("inf"))

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop is handed on and not kept, else it would never be forgotten.
        self._state = self._state._replace(due=self._clock() + _INTERVAL_SECONDS)
        loop.call_later(_INTERVAL_SECONDS, self._tick, loop, context=self._context)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._clock()
        began, present, before, due = self._state
        if now - began >= _WINDOW_SECONDS:
            before = present if now - began < 2 * _WINDOW_SECONDS else 0.0
            began, present = now, 0.0
        self._state = _State(began, max(present, now - due), before, due)
        self.wait(loop)

    def worst(self, now: float, *, running: bool) -> float:
        """Return the worst lag of the last 30 to 60 seconds, the one that goes on included."""
        began, present, before, due = self._state
        age = now - began
        if age >= _WINDOW_SECONDS:
            before = 0.0
        if age >= 2 * _WINDOW_SECONDS:
            present = 0.0
        return max(present, before, now - due if running else 0.0)
