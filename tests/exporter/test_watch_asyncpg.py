"""asyncpg against a real server that is stopped and started."""

from __future__ import annotations

import asyncio
import gc
import io
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from claw_exporter import ArgumentError, Metrics
from claw_exporter.watch.asyncpg import tap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.exporter.conftest import Recorded

    from claw_native.servers import Postgres

Pool = Any  # the stubs know nothing of what lies inside


@pytest.fixture
async def pool(postgres: Postgres, metrics: Metrics, recorded: Recorded) -> AsyncIterator[Any]:
    pool: Pool = await asyncpg.create_pool(postgres.dsn, min_size=1, max_size=3)
    assert recorded.db() == {}
    metrics.watch_asyncpg(pool, name="primary")
    yield pool
    pool.terminate()


def without(counts: dict[tuple[str, ...], float], *operations: str) -> dict[tuple[str, ...], float]:
    return {key: count for key, count in counts.items() if key[0] not in operations}


async def test_queries_of_every_kind_are_measured_once(pool: Pool, recorded: Recorded) -> None:
    assert await pool.execute("CREATE TABLE t (a int)") == "CREATE TABLE"
    assert await pool.execute("INSERT INTO t VALUES ($1)", 1) == "INSERT 0 1"
    await pool.executemany("INSERT INTO t VALUES ($1)", [(2,), (3,), (4,)])
    assert [row["a"] for row in await pool.fetch("SELECT a FROM t ORDER BY a")] == [1, 2, 3, 4]
    assert await pool.fetchval("SELECT count(*) FROM t") == 4
    assert (await pool.fetchrow("SELECT max(a) FROM t"))[0] == 4
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetch("SELECT * FROM none")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.fetch("SELECT 1 / a FROM (VALUES (0)) AS v (a)")
    assert without(recorded.db(), "reset") == {
        ("create", "ok"): 1,
        ("insert", "ok"): 2,
        ("select", "ok"): 3,
        ("select", "error"): 2,
    }
    assert recorded.waits() == {("primary",): 8}
    assert recorded.states() == {("primary", "idle"): 1}


async def test_prepared_statements_cursors_and_copies_are_measured(pool: Pool, recorded: Recorded) -> None:
    async with pool.acquire() as connection:
        await connection.execute("CREATE TABLE t (a int)")
        assert await connection.copy_records_to_table("t", records=[(n,) for n in range(100)]) == "COPY 100"
        out = io.BytesIO()
        assert await connection.copy_from_query("SELECT a FROM t", output=out) == "COPY 100"
        assert len(out.getvalue().split()) == 100
        before = recorded.db()
        statement = await connection.prepare("SELECT a FROM t WHERE a < $1")
        assert recorded.db() == before  # preparing is a part of the first run
        assert len(await statement.fetch(10)) == len(await statement.fetch(10)) == 10
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.prepare("DELETE nonsense")
        async with connection.transaction():
            rows = [row async for row in connection.cursor("SELECT a FROM t", prefetch=40)]
            assert len(rows) == 100
            cursor = await connection.cursor("SELECT a FROM t")
            assert len(await cursor.fetch(5)) == 5
    counts = without(recorded.db(), "reset", "create")
    assert counts.pop(("select", "ok")) >= 4  # of which two are looked up by asyncpg itself, or none
    assert counts == {
        ("copy", "ok"): 2,
        ("delete", "error"): 1,
        ("begin", "ok"): 1,
        ("commit", "ok"): 1,
        ("fetch", "ok"): 3,
    }


async def test_preparing_takes_part_in_the_duration(pool: Pool, recorded: Recorded) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for number in range(20):
            await connection.prepare(f"SELECT {number}")  # never run
        place = connection._protocol.bind_execute.__wrapped__
        assert place is not None
        await connection.fetchval("SELECT 1")
    assert recorded.db()["select", "ok"] == 1


async def test_a_transaction_that_is_rolled_back_is_no_error_of_its_statements(
    pool: Pool, recorded: Recorded
) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE TABLE t (a int)")
        await transaction.rollback()
    assert without(recorded.db(), "reset") == {
        ("begin", "ok"): 1,
        ("create", "ok"): 1,
        ("rollback", "ok"): 1,
    }


async def test_a_statement_that_times_out_is_an_error_and_one_cancelled_is_not(
    pool: Pool, recorded: Recorded
) -> None:
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = '50ms'")
        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.fetch("SELECT pg_sleep(10)")
        await connection.execute("RESET statement_timeout")
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch("SELECT pg_sleep(10)", timeout=0.05)
        task = asyncio.create_task(connection.fetch("SELECT pg_sleep(10)"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorded.db()["select", "error"] == 2
    assert recorded.db()["select", "cancelled"] == 1
    assert 0.04 < recorded.db_seconds()["select", "cancelled"] < 5


async def test_connections_that_are_opened_later_are_measured(
    pool: Pool, postgres: Postgres, recorded: Recorded
) -> None:
    await asyncio.gather(*(pool.fetch("SELECT pg_sleep(0.05)") for _ in range(3)))
    assert recorded.db()["select", "ok"] >= 3
    assert recorded.db()["connect", "ok"] == 2
    await pool.expire_connections()
    await pool.fetch("SHOW server_version")
    assert recorded.db()["show", "ok"] == 1
    assert recorded.db()["connect", "ok"] == 3
    assert postgres is not None


async def test_a_pool_that_is_not_open_yet_can_be_watched(
    postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    seen: list[object] = []

    async def init(connection: object) -> None:  # asyncpg awaits it
        seen.append(connection)

    pool: Pool = asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1, init=init)
    metrics.watch_asyncpg(pool)
    async with pool:
        await pool.fetch("SELECT 1")
        assert len(seen) == 1
    assert without(recorded.db(), "reset") == {("connect", "ok"): 1, ("select", "ok"): 1}


async def test_a_server_that_is_killed_in_the_middle(
    pool: Pool, postgres: Postgres, recorded: Recorded
) -> None:
    task = asyncio.create_task(pool.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.1)
    postgres.stop()
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await task
    assert recorded.db()["select", "error"] == 1
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await pool.fetch("SELECT 1")
    assert recorded.db()["connect", "error"] >= 1  # asyncpg tries by itself too
    assert recorded.timeouts() == {}
    postgres.start()
    for _ in range(3):
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await pool.fetch("SELECT 1")
    assert recorded.db()["select", "ok"] >= 1


async def test_waiting_for_a_full_pool_is_seen_and_so_is_giving_up(
    postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    pool: Pool = await asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1)
    metrics.watch_pool("small", pool)
    holder = await pool.acquire()
    with pytest.raises(asyncio.TimeoutError):
        await pool.acquire(timeout=0.1)
    assert recorded.timeouts() == {("small",): 1}
    waiting = asyncio.create_task(pool.acquire(timeout=30).__aenter__())
    endless = asyncio.create_task(pool.fetch("SELECT 1"))
    await asyncio.sleep(0.05)
    for task in (waiting, endless):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorded.timeouts() == {("small",): 1}
    next_one = asyncio.create_task(pool.fetchval("SELECT 1"))
    await asyncio.sleep(0.1)
    await pool.release(holder)
    assert await next_one == 1
    pool.terminate()
    assert recorded.timeouts() == {("small",): 1}
    assert recorded.waits() == {("small",): 5}
    assert recorded.wait_seconds()["small",] > 0.25
    assert recorded.db() == {}  # only its pool is watched


async def test_a_server_that_does_not_answer_is_no_timeout_of_the_pool(
    metrics: Metrics, recorded: Recorded
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client is gone
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    pool: Pool = asyncpg.create_pool(
        f"postgresql://x@127.0.0.1:{port}/x", min_size=0, max_size=1, timeout=0.1
    )
    metrics.watch_asyncpg(pool, name="deaf")
    async with pool:
        with pytest.raises(asyncio.TimeoutError):
            await pool.fetch("SELECT 1")
        assert recorded.timeouts() == {}
        assert recorded.db() == {("connect", "error"): 1}
    silent.close()
    await asyncio.sleep(0.05)


async def test_the_pool_keeps_its_type_its_protocols_and_its_connections_theirs(pool: Pool) -> None:
    protocols = {type(holder._con._protocol).__name__ for holder in pool._holders if holder._con}
    assert protocols == {"Protocol"}
    assert type(pool) is asyncpg.Pool
    async with pool.acquire() as connection:
        assert type(connection) is asyncpg.pool.PoolConnectionProxy
    connection = await pool.acquire(timeout=1)
    await pool.release(connection)
    with pytest.raises(asyncpg.InterfaceError, match="released back to the pool"):
        await connection.fetch("SELECT 1")


async def test_watching_again_counts_nothing_twice(pool: Pool, metrics: Metrics, recorded: Recorded) -> None:
    metrics.watch_asyncpg(pool, name="primary")
    metrics.watch_pool("primary", pool)
    other = Metrics()
    other.watch_asyncpg(pool)
    await pool.fetch("SELECT 1")
    assert recorded.db() == {("select", "ok"): 1, ("reset", "ok"): 1}
    assert recorded.waits() == {("primary",): 1}
    assert b'db_operation_duration_seconds_count{operation="select",status="ok"} 1' in other.render()


async def test_another_pool_is_not_measured(pool: Pool, postgres: Postgres, recorded: Recorded) -> None:
    async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as other:
        await other.fetch("SELECT 1")
    single = await asyncpg.connect(postgres.dsn)
    await single.fetch("SELECT 1")
    await single.close()
    assert recorded.db() == {}
    assert pool.get_size() == 1


async def test_connections_of_a_pool_of_which_only_the_waits_are_watched_are_left_alone(
    postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    pool: Pool = asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1)
    metrics.watch_pool("plain", pool)
    async with pool:
        assert "query" not in vars(pool._holders[0]._con._protocol)
        await pool.fetch("SELECT 1")
        metrics.watch_asyncpg(pool, name="plain")
        await pool.fetch("SELECT 1")
    assert recorded.db() == {("select", "ok"): 1, ("reset", "ok"): 1}


async def test_a_second_pool_of_the_same_name_takes_its_place(
    pool: Pool, postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    async with asyncpg.create_pool(postgres.dsn, min_size=2, max_size=2) as second:
        metrics.watch_pool("primary", second)
        await pool.fetch("SELECT 1")
        assert recorded.waits() == {}
        await second.fetch("SELECT 1")
        assert recorded.waits() == {("primary",): 1}
        assert recorded.states() == {("primary", "idle"): 2}


async def test_a_class_of_pools_of_ones_own_is_measured_once(
    postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    class Ours(asyncpg.Pool):
        async def _acquire(self, timeout: float | None) -> Any:  # noqa: ANN401, ASYNC109  # as asyncpg calls it
            return await super()._acquire(timeout)  # type: ignore[misc]

        async def _get_new_connection(self) -> Any:  # noqa: ANN401  # as above
            return await super()._get_new_connection()  # type: ignore[misc]

    plain = asyncpg.create_pool(postgres.dsn, min_size=0, max_size=1)
    metrics.watch_asyncpg(plain, name="plain")
    ours = Ours(
        postgres.dsn,
        min_size=0,
        max_size=1,
        max_queries=1000,
        max_inactive_connection_lifetime=60,
        loop=asyncio.get_running_loop(),
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
    )
    metrics.watch_asyncpg(ours, name="ours")
    async with ours:
        await ours.fetch("SELECT 1")
    assert recorded.waits() == {("ours",): 1}
    assert recorded.db()["connect", "ok"] == 1


async def test_a_forgotten_pool_is_freed(postgres: Postgres, metrics: Metrics, recorded: Recorded) -> None:
    pool: Pool = await asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1)
    metrics.watch_asyncpg(pool, name="gone")
    await pool.fetch("SELECT 1")
    gone = weakref.ref(tap(pool))
    connection = weakref.ref(pool._holders[0]._con)
    await pool.close()
    del pool
    await asyncio.sleep(0)
    gc.collect()
    assert gone() is None
    assert connection() is None
    assert recorded.states() == {}


def test_something_else_is_refused(metrics: Metrics) -> None:
    with pytest.raises(ArgumentError, match="pool is of type dict: pass what asyncpg"):
        metrics.watch_asyncpg({})
