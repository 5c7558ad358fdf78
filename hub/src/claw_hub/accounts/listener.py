"""Hears of changes to the accounts the moment they are committed, whichever process made them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from claw_hub.accounts.database import AWAY, driver_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from claw_hub.accounts.memory import Memory

__all__ = ["CHANNEL", "Listener"]

_log: Final = logging.getLogger("claw_hub.accounts.listener")

CHANNEL: Final = "claw_hub_accounts"
"""Of `NOTIFY`; what is told is the name of what changed, as `Memory` knows it."""

PAUSE_SECONDS: Final = 1.0
# A connection that is dead without a word is noticed after twice this.
HEARTBEAT_SECONDS: Final = 3.0


class Listener:
    """Keeps a connection of its own, and makes a memory forget what changed.

    Args:
        engine: Tells where the database is.
        memory: It is told, too, whether anybody listens.
        pause_seconds: From the end of one connection to the next attempt.
        heartbeat_seconds: How often the connection is tried, and how long an answer may take.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        memory: Memory,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._pause_seconds = pause_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self.is_listening = asyncio.Event()
        """Set while changes are heard."""

    async def run(self) -> None:
        """Listens until it is cancelled."""
        while True:
            try:
                async with self._connected() as connection:
                    await self._stay(connection)
            except AWAY as error:
                _log.warning("accounts_not_heard", extra={"fields": {"error": type(error).__name__}})
            await asyncio.sleep(self._pause_seconds)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        connection = await asyncpg.connect(**driver_arguments(self._engine))
        try:
            yield connection
        finally:
            connection.terminate()

    async def _stay(self, connection: asyncpg.Connection[Any]) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda *_: lost.set())
        await connection.add_listener(CHANNEL, self._heard)
        self._switch(is_told=True)
        try:
            while not await _waited(lost, self._heartbeat_seconds):
                await connection.fetchval("SELECT 1", timeout=self._heartbeat_seconds)
        finally:
            self._switch(is_told=False)

    def _switch(self, *, is_told: bool) -> None:
        self._memory.listen(is_told=is_told)
        if is_told:
            self.is_listening.set()
        else:
            self.is_listening.clear()

    def _heard(self, *arguments: object) -> None:
        self._memory.forget(str(arguments[-1]))


async def _waited(event: asyncio.Event, seconds: float) -> bool:
    """Tells whether it came within that time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
