"""The parts of a running hub, made from settings, and started and stopped in their order."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis

from claw_hub.accounts import Accounts, Limits
from claw_hub.accounts.database import connect
from claw_hub.accounts.migrate import upgrade
from claw_hub.api import Live, Tickets
from claw_hub.bus.redis_streams import RedisStreams
from claw_hub.bus.redis_streams import connect as connect_bus
from claw_hub.edge.spool import Spool
from claw_hub.edge.spooled import Spooled
from claw_hub.errors import UnavailableError
from claw_hub.warehouse.client import Warehouse
from claw_hub.warehouse.embedded import Embedded, create_app
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.serve import serving
from claw_hub.worker.knowledge import Knowledge
from claw_hub.worker.loader import Loader
from claw_hub.worker.marts import Marts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence

    from claw_hub.bus import Bus
    from claw_hub.numbers import Numbers
    from claw_hub.records import LiveEvent
    from claw_hub.settings import Settings

__all__ = ["Part", "Running"]

_log: Final = logging.getLogger("claw_hub.running")

PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0


class Part(StrEnum):
    """What a process of the hub does; `claw-hub all` does everything."""

    EDGE = "edge"
    WORKER = "worker"
    API = "api"


class Running:
    """What the parts are made of. Nothing is connected before `started`.

    Args:
        settings: Checked.
        parts: What this process does.
        numbers: Counts.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Collection[Part],
        numbers: Numbers,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.parts = frozenset(parts)
        self.numbers = numbers
        self.clock = clock
        self.engine = connect(settings.database_url)
        self.accounts = Accounts(self.engine, token_secret=settings.token_secret, clock=clock)
        self.redis: Redis = Redis.from_url(settings.redis_url, socket_connect_timeout=1.0)
        self.bus: Bus = RedisStreams(connect_bus(settings.redis_url))
        self.limits = Limits(self.redis, clock=clock)
        self.live = Live(self.redis)
        self.tickets = Tickets(self.redis)
        self.warehouse = Warehouse(settings.warehouse_url, password_file=settings.warehouse_password_file)
        self.spooled: Spooled | None = None
        if settings.spool_directory is not None and Part.EDGE in self.parts:
            self.spooled = Spooled(self.bus, Spool(settings.spool_directory))
        self.marts = Marts(self.warehouse, clock=clock, count=numbers.count)
        self.loader = Loader(
            self.bus,
            self.warehouse,
            knowledge=Knowledge(self.accounts, clock=clock),
            marts=self.marts,
            publish=self._publish,
            clock=clock,
            count=numbers.count,
        )
        self.failed: str = ""

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Runs what belongs to the parts, as long as it lasts.

        Raises:
            HubError: Something is wrong that waiting does not mend.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.engine.dispose)
            stack.push_async_callback(self.redis.aclose)
            stack.push_async_callback(self.bus.close)
            stack.push_async_callback(self.accounts.close)
            await patiently(lambda: upgrade(self.settings.database_url), "Postgres")
            await stack.enter_async_context(self.accounts.listening())
            if Part.WORKER in self.parts:
                await self._start_worker(stack)
            else:
                stack.push_async_callback(self.warehouse.close)
            stack.push_async_callback(self.live.close)
            if self.spooled is not None:
                await self.spooled.start()
                stack.push_async_callback(self.spooled.close)
            _log.info("started", extra={"fields": {"parts": sorted(self.parts)}})
            yield
        _log.info("stopped")

    async def _start_worker(self, stack: AsyncExitStack) -> None:
        """Opens the warehouse, if it is our own; brings it up to date; begins to carry."""
        if self.settings.warehouse_directory is not None:
            await stack.enter_async_context(self._embedded())
        stack.push_async_callback(self.warehouse.close)
        await patiently(
            lambda: migrate(self.warehouse.server, database=self.warehouse.database), "the warehouse"
        )
        for name, work in (
            ("loader", self.loader.run()),
            ("marts", self.marts.run()),
            ("numbers", self.numbers.watch(self.bus, self.marts)),
        ):
            await stack.enter_async_context(self._background(name, work))

    @asynccontextmanager
    async def _embedded(self) -> AsyncIterator[None]:
        """The warehouse inside this process, for itself and for others on this machine."""
        assert self.settings.warehouse_directory is not None  # noqa: S101 - the caller looked
        embedded = Embedded(self.settings.warehouse_directory)
        embedded.open()
        try:
            app = create_app(embedded, password_file=self.settings.warehouse_password_file)
            async with serving(app, port=self.settings.warehouse_port):
                yield
        finally:
            embedded.close()

    @asynccontextmanager
    async def _background(self, name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What ends by itself takes the process with it: half a worker would look like a whole one."""
        if task.cancelled():
            return
        self.failed = f"{task.get_name()} ended: {task.exception()!r}"
        _log.critical("ended", extra={"fields": {"part": task.get_name()}}, exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)

    async def _publish(self, events: Sequence[LiveEvent]) -> None:
        await self.live.publish(events)


async def patiently(call: Callable[[], Awaitable[Any]], what: str) -> None:
    """Calls until it is not away any more: what is started together comes up in any order."""
    pause = PAUSE_SECONDS
    while True:
        try:
            await call()
        except UnavailableError as error:
            _log.warning(
                "waiting for %s", what, extra={"fields": {"why": str(error), "pause_seconds": pause}}
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            return
