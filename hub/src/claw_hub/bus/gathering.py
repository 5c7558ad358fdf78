"""Many small appends as few large ones: what comes while one is under way goes together with the next.

So a server that makes every write durable before it answers does it once for all who wait, and nobody is kept
waiting on purpose.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from claw_hub.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from claw_hub.bus import Entry

__all__ = ["Gatherer"]

MAX_ENTRIES: Final = 256
MAX_BYTES: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    id: asyncio.Future[str]


class Gatherer:
    """Appends entries together.

    Args:
        send: Makes entries durable and returns their ids; raises `UnavailableError` where it may not have.
        timeout_seconds: How long an append takes at most.
    """

    def __init__(
        self, send: Callable[[Sequence[Entry]], Awaitable[Sequence[str]]], *, timeout_seconds: float
    ) -> None:
        self._send = send
        self._timeout_seconds = timeout_seconds
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def append(self, entry: Entry) -> str:
        """Makes an entry durable; returns its id.

        Raises:
            UnavailableError: It may or may not have been appended.
        """
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._run(), name="appends to the bus")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await waiting.id
        except TimeoutError:
            raise UnavailableError(
                f"the bus has not answered within {self._timeout_seconds:g} seconds; send it again"
            ) from None

    async def close(self) -> None:
        """Gives up what is under way."""
        if self._sender is not None:
            self._sender.cancel()
            with suppress(asyncio.CancelledError):
                await self._sender

    async def _run(self) -> None:
        while batch := self._next_batch():
            await self._send_together(batch)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < MAX_ENTRIES and size < MAX_BYTES:
            waiting = self._waiting.popleft()
            if not waiting.id.done():  # else who waited has gone, and was told that it failed
                batch.append(waiting)
                size += len(waiting.entry.body)
        return batch

    async def _send_together(self, batch: Sequence[_Waiting]) -> None:
        failure = UnavailableError("the bus went away; send it again")
        try:
            ids = await self._send([waiting.entry for waiting in batch])
        except UnavailableError as error:
            failure = error
        else:
            for waiting, entry_id in zip(batch, ids, strict=True):
                if not waiting.id.done():
                    waiting.id.set_result(entry_id)
        finally:
            for waiting in batch:
                if not waiting.id.done():
                    waiting.id.set_exception(
                        UnavailableError(str(failure), retry_after_seconds=failure.retry_after_seconds)
                    )
