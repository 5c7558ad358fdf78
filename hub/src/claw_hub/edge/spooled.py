"""A bus that goes on accepting while the one behind it is away."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Final, TypeVar

from claw_hub.bus import Bus
from claw_hub.bus.gathering import Gatherer
from claw_hub.edge.spool import read_frames
from claw_hub.errors import UnavailableError
from claw_hub.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from claw_hub.bus import Delivered, Entry, Lag
    from claw_hub.edge.spool import Spool

__all__ = ["Spooled"]

_log: Final = logging.getLogger("claw_hub.edge")

_AT_ONCE: Final = 256
_Result = TypeVar("_Result")


class Spooled(Bus):
    """Entries go to the bus; where it does not take them, onto the disk, and to the bus later, in order.

    An entry may reach the bus twice. Its records are still stored once: `event_ids` gives them the same
    identity, for which events of a timeline that have no key get one here.

    Args:
        bus: What is behind it.
        spool: A folder of this process.
        timeout_seconds: How long writing to the disk may take.
        retry_seconds: How often to try whether the bus is back.
    """

    def __init__(
        self, bus: Bus, spool: Spool, *, timeout_seconds: float = 5.0, retry_seconds: float = 0.5
    ) -> None:
        self._bus = bus
        self._spool = spool
        self._retry_seconds = retry_seconds
        # One thread: nothing on the disk happens twice at a time, and nothing there holds up the event loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._gatherer = Gatherer(self._write, timeout_seconds=timeout_seconds)
        self._written = asyncio.Event()
        self._replaying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to replay what an earlier life has left, and what will come.

        Raises:
            SettingsError: The folder cannot be used.
        """
        await self._on_disk(self._spool.open)
        if self._spool.size_bytes:
            self._written.set()
        self._replaying = asyncio.create_task(self._replay(), name="replays the spool")

    @property
    def waiting_bytes(self) -> int:
        """What is on the disk and not on the bus yet."""
        return self._spool.size_bytes

    async def append(self, entry: Entry) -> str:
        """Makes an entry durable, on the bus or on the disk; returns its id there.

        Raises:
            UnavailableError: The bus is away, and the disk is full or fails.
        """
        if entry.kind is Kind.TIMELINE and not entry.idempotency_key:
            entry = replace(entry, idempotency_key=f"edge:{token_hex(16)}")
        if not self._written.is_set():
            with suppress(UnavailableError):
                return await self._bus.append(entry)
        return await self._gatherer.append(entry)

    async def read(self, consumer: str, *, count: int, block_seconds: float) -> Sequence[Delivered]:
        """Reads the bus."""
        return await self._bus.read(consumer, count=count, block_seconds=block_seconds)

    async def done(self, delivered: Sequence[Delivered]) -> None:
        """Tells the bus."""
        await self._bus.done(delivered)

    async def lag(self) -> Lag:
        """Asks the bus; what is on the disk is not in it."""
        return await self._bus.lag()

    async def close(self) -> None:
        """Stops replaying; what is on the disk stays for the next life."""
        if self._replaying is not None:
            self._replaying.cancel()
            with suppress(asyncio.CancelledError):
                await self._replaying
        await self._gatherer.close()
        await self._on_disk(self._spool.close)
        self._thread.shutdown()
        await self._bus.close()

    async def _write(self, entries: Sequence[Entry]) -> Sequence[str]:
        ids = await self._on_disk(partial(self._spool.write, entries))
        if not self._written.is_set():
            _log.warning("the bus is away: records go to the spool")
        self._written.set()
        return ids

    async def _replay(self) -> None:
        while True:
            await self._written.wait()
            try:
                path = await self._on_disk(self._spool.oldest)
                if path is None:
                    self._all_replayed()
                else:
                    await self._replay_segment(path)
            except OSError:
                _log.exception("the spool cannot be read")
                await asyncio.sleep(self._retry_seconds)

    def _all_replayed(self) -> None:
        self._written.clear()
        if self._spool.size_bytes:  # written since it was looked at
            self._written.set()
        else:
            _log.info("the bus is back, and the spool is empty")

    async def _replay_segment(self, path: Path) -> None:
        entries = await self._on_disk(lambda: list(read_frames(path)))
        while entries:
            batch = entries[:_AT_ONCE]
            results = await asyncio.gather(
                *(self._bus.append(entry) for entry in batch), return_exceptions=True
            )
            failed = [
                entry
                for entry, result in zip(batch, results, strict=True)
                if isinstance(result, BaseException)
            ]
            entries = failed + entries[len(batch) :]
            if failed:
                await asyncio.sleep(self._retry_seconds)
        await self._on_disk(partial(self._spool.remove, path))

    async def _on_disk(self, do: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)
