"""Changes are heard on a connection of its own, which is renewed when it is lost, with or without a word."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from claw_hub.accounts.listener import CHANNEL, Listener
from claw_hub.accounts.memory import Loaded, Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine
    from tests.hub.accounts.conftest import Clock

    from claw_native.servers import Postgres


@pytest.fixture
def memory(clock: Clock) -> Memory:
    return Memory(clock=clock)


@asynccontextmanager
async def running(listener: Listener) -> AsyncIterator[None]:
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listener.run())
        await listener.is_listening.wait()
        yield
        task.cancel()


async def heard(engine: AsyncEngine, memory: Memory) -> None:
    """Waits until a change that is told now is known; fails where it never is."""

    async def load() -> Loaded[int]:
        loads.append(1)
        return Loaded(len(loads))

    loads: list[int] = []
    await memory.get("thing:1", load)
    async with engine.begin() as connection:
        await connection.execute(text(f"SELECT pg_notify('{CHANNEL}', 'thing:1')"))
    while await memory.get("thing:1", load) == 1:  # noqa: ASYNC110 - Postgres makes it so
        await asyncio.sleep(0.005)


def listening_pid(postgres: Postgres) -> int:
    """The process of the connection that listens; its last statement was that, or a heartbeat."""
    return int(
        postgres.query(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = 'claw' "
            "AND (query LIKE 'LISTEN%' OR query = 'SELECT 1') ORDER BY backend_start DESC LIMIT 1"
        )
    )


async def test_what_is_told_is_forgotten(engine: AsyncEngine, memory: Memory) -> None:
    async with running(Listener(engine, memory)):
        await heard(engine, memory)


async def test_a_connection_that_postgres_ends_is_made_again(
    engine: AsyncEngine, memory: Memory, postgres: Postgres
) -> None:
    listener = Listener(engine, memory, pause_seconds=0.1)
    async with running(listener):
        was = listening_pid(postgres)
        assert postgres.query(f"SELECT pg_terminate_backend({was})") == "t\n"
        while listener.is_listening.is_set():  # noqa: ASYNC110 - Postgres makes it so
            await asyncio.sleep(0.005)
        await listener.is_listening.wait()
        assert listening_pid(postgres) != was
        await heard(engine, memory)


async def test_a_connection_that_is_dead_without_a_word_is_made_again(
    engine: AsyncEngine, memory: Memory, postgres: Postgres
) -> None:
    listener = Listener(engine, memory, pause_seconds=0.1, heartbeat_seconds=0.3)
    async with running(listener):
        was = listening_pid(postgres)
        os.kill(was, signal.SIGSTOP)
        try:
            while listener.is_listening.is_set():  # noqa: ASYNC110 - a timeout makes it so
                await asyncio.sleep(0.005)
            await listener.is_listening.wait()
            await heard(engine, memory)
        finally:
            os.kill(was, signal.SIGCONT)


async def test_while_postgres_is_away_it_tries_again(
    engine: AsyncEngine, memory: Memory, postgres: Postgres
) -> None:
    postgres.stop()
    listener = Listener(engine, memory, pause_seconds=0.05)
    task = asyncio.create_task(listener.run())
    await asyncio.sleep(0)
    postgres.start()
    async with asyncio.timeout(20):
        await listener.is_listening.wait()
        await heard(engine, memory)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
