"""Sends requests at the wanted rate until told to stop, whatever the app does."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Final

import httpx2
import websockets

from claw_chat.load.report import Report
from claw_chat.load.schedule import Rota, rate_at
from claw_chat.load.users import WEIGHTS, Users

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_chat.load.options import Options

TIMEOUT_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 10.0
UNTIMED: Final = ("cancelled", "unreachable")
AWAY: Final = (httpx2.RequestError, websockets.WebSocketException, OSError, TimeoutError)


class Generator:
    """One run of the load generator.

    Args:
        options: What to send.
        say: Takes each summary line.
    """

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._random = Random(options.seed)  # noqa: S311 - no secret depends on it
        self._rota = Rota(WEIGHTS)
        self._report = Report()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._reachable = True
        self._started = time.monotonic()

    async def run(self, stop: asyncio.Event) -> Report:
        """Send requests until ``stop`` is set or the duration is over; return what was counted."""
        async with httpx2.AsyncClient(
            base_url=self._options.url,
            timeout=TIMEOUT_SECONDS,
            limits=httpx2.Limits(max_connections=self._options.concurrency),
            trust_env=False,  # a proxy would be another machine
        ) as client:
            users = Users(client, url=self._options.url, random=self._random)
            self._started = time.monotonic()
            reporter = asyncio.create_task(self._report_regularly())
            try:
                await self._send(users, stop)
                await self._drain(stop)
            finally:
                await _cancel({reporter, *self._in_flight})
        self._say(self._report.last_line(elapsed_seconds=self._elapsed()))
        return self._report

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    async def _send(self, users: Users, stop: asyncio.Event) -> None:
        options = self._options
        due_seconds = 0.0
        while not stop.is_set() and not 0 < options.duration_seconds <= due_seconds:
            await _wait(stop, due_seconds - self._elapsed())
            self._send_one(users)
            wanted = rate_at(due_seconds, rate=options.rate, day_seconds=options.day_seconds)
            # Never catch up: a pause of this process must not become a burst.
            due_seconds = max(due_seconds, self._elapsed() - 1) + self._random.expovariate(wanted)
        await _wait(stop, options.duration_seconds - self._elapsed())

    async def _drain(self, stop: asyncio.Event) -> None:
        """Let the last answers come, unless the end is wanted at once."""
        if self._in_flight and not stop.is_set():
            await asyncio.wait(self._in_flight, timeout=DRAIN_SECONDS)

    def _send_one(self, users: Users) -> None:
        if len(self._in_flight) >= self._options.concurrency:
            self._report.note("left out")
            return
        task = asyncio.create_task(self._step(users, self._rota.next()))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _step(self, users: Users, name: str) -> None:
        began = time.monotonic()
        try:
            outcome = await users.steps[name]()
        except AWAY as error:
            outcome = "unreachable"
            self._note_reachable(f"{type(error).__name__}: {error}")
        else:
            self._note_reachable(None)
        duration_seconds = None if outcome in UNTIMED else time.monotonic() - began
        self._report.note(outcome, duration_seconds)

    def _note_reachable(self, error: str | None) -> None:
        """Say once that the app is away, and once that it is back."""
        if self._reachable != (error is None):
            self._reachable = error is None
            state = f"is away ({error}); trying on" if error else "is back"
            self._say(f"load: {self._options.url} {state}")

    async def _report_regularly(self) -> None:
        seconds = self._options.report_seconds
        while True:
            await asyncio.sleep(seconds)
            self._say(self._report.line(elapsed_seconds=seconds, in_flight=len(self._in_flight)))


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
