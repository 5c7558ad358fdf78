"""SQLAlchemy, both kinds of engines, against a real Postgres that is stopped and started."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    exc,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool, QueuePool

from claw_exporter import ArgumentError, Metrics
from claw_exporter.catalog import DB_DURATION, DB_POOL_WAIT, INTERNAL_ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.exporter.conftest import Recorded

    from claw_native.servers import Postgres

T = Table("t", MetaData(), Column("a", Integer))


def dsn(postgres: Postgres, driver: str) -> str:
    return postgres.dsn.replace("postgresql://", f"postgresql+{driver}://")


@pytest.fixture
def engine(postgres: Postgres, metrics: Metrics, recorded: Recorded) -> Iterator[Engine]:
    engine = create_engine(dsn(postgres, "psycopg"), pool_size=1, max_overflow=1)
    with engine.begin() as connection:
        T.create(connection)
    assert recorded.db() == {}
    metrics.watch_sqlalchemy(engine, name="orm")
    yield engine
    engine.dispose()


@pytest.fixture
async def aengine(postgres: Postgres, metrics: Metrics, recorded: Recorded) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(dsn(postgres, "asyncpg"), pool_size=1, max_overflow=1)
    async with engine.begin() as connection:
        await connection.run_sync(T.create)
    assert recorded.db() == {}
    metrics.watch_sqlalchemy(engine, name="orm")
    yield engine
    await engine.dispose()


def test_statements_are_measured_by_verb_and_status(engine: Engine, recorded: Recorded) -> None:
    with engine.begin() as connection:
        connection.execute(insert(T), [{"a": number} for number in range(10)])
        connection.execute(text("/* route */ UPDATE t SET a = a + 1"))
        assert connection.execute(select(T)).all()
        connection.execute(text("WITH x AS (SELECT 1) DELETE FROM t"))
    with engine.connect() as connection, pytest.raises(exc.ProgrammingError):
        connection.execute(text("SELECT * FROM none"))
    assert recorded.db() == {
        ("commit", "ok"): 1,
        ("insert", "ok"): 1,
        ("update", "ok"): 1,
        ("select", "ok"): 1,
        ("delete", "ok"): 1,
        ("select", "error"): 1,
    }
    assert recorded.waits() == {("orm",): 2}
    assert recorded.states() == {("orm", "idle"): 1}


async def test_statements_of_an_asynchronous_engine_are_measured(
    aengine: AsyncEngine, recorded: Recorded
) -> None:
    async with aengine.begin() as connection:
        await connection.execute(insert(T), [{"a": number} for number in range(10)])
        assert len((await connection.execute(select(T))).all()) == 10
    async with aengine.connect() as connection:
        with pytest.raises(exc.ProgrammingError):
            await connection.execute(text("SELECT * FROM none"))
    assert recorded.db() == {
        ("insert", "ok"): 1,
        ("select", "ok"): 1,
        ("commit", "ok"): 1,
        ("select", "error"): 1,
    }
    assert recorded.waits() == {("orm",): 2}


async def test_a_stream_ends_when_its_cursor_was_executed(aengine: AsyncEngine, recorded: Recorded) -> None:
    async with aengine.connect() as connection:
        result = await connection.stream(text("SELECT generate_series(1, 5)"))
        assert recorded.db() == {("select", "ok"): 1}
        before = recorded.db_seconds()
        await asyncio.sleep(0.1)
        assert len(await result.all()) == 5
    assert recorded.db() == {("select", "ok"): 1}
    assert recorded.db_seconds() == before


def test_an_error_while_rows_are_fetched_is_not_a_second_statement(
    engine: Engine, recorded: Recorded
) -> None:
    with engine.connect().execution_options(stream_results=True, max_row_buffer=1) as connection:
        result = connection.execute(text("SELECT 1 / (2 - n) FROM generate_series(1, 3) AS n"))
        with pytest.raises(exc.DataError):
            result.all()
    assert recorded.db() == {("select", "ok"): 1}


def test_a_transaction_that_is_rolled_back_is_no_error_of_its_statements(
    engine: Engine, recorded: Recorded
) -> None:
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(insert(T), {"a": 1})
        transaction.rollback()
    assert recorded.db() == {("insert", "ok"): 1}


def test_a_commit_that_fails_is_an_error(engine: Engine, recorded: Recorded) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE u (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    connection = engine.connect()
    connection.execute(text("INSERT INTO u VALUES (1), (1)"))
    with pytest.raises(exc.IntegrityError):
        connection.commit()
    connection.close()
    assert recorded.db() == {
        ("create", "ok"): 1,
        ("commit", "ok"): 1,
        ("insert", "ok"): 1,
        ("commit", "error"): 1,
    }


def test_a_statement_that_times_out_is_an_error(engine: Engine, recorded: Recorded) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET statement_timeout = '50ms'"))
        with pytest.raises(exc.OperationalError, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(10)"))
    assert recorded.db() == {("set", "ok"): 1, ("select", "error"): 1}
    assert 0.04 < recorded.db_seconds()["select", "error"] < 5


async def test_a_cancelled_statement_is_cancelled(aengine: AsyncEngine, recorded: Recorded) -> None:
    async def ask() -> None:
        async with aengine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(10)"))

    task = asyncio.create_task(ask())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.db()["select", "cancelled"] == 1
    assert ("select", "error") not in recorded.db()


def test_a_server_that_is_killed_in_the_middle(
    engine: Engine, postgres: Postgres, recorded: Recorded
) -> None:
    with engine.connect() as connection:
        stopping = threading.Timer(0.1, postgres.stop)
        stopping.start()
        with pytest.raises(exc.OperationalError):
            connection.execute(text("SELECT pg_sleep(30)"))
        stopping.join()
    with pytest.raises(exc.OperationalError):
        engine.connect()
    assert recorded.db() == {("select", "error"): 1, ("connect", "error"): 1}
    assert recorded.timeouts() == {}
    postgres.start()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert recorded.db()["select", "ok"] == recorded.db()["connect", "ok"] == 1


def test_waiting_for_a_full_pool_is_seen_and_so_is_giving_up(
    postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    engine = create_engine(dsn(postgres, "psycopg"), pool_size=1, max_overflow=0, pool_timeout=0.2)
    metrics.watch_pool("small", engine)
    holder = engine.connect()
    with pytest.raises(exc.TimeoutError):
        engine.connect()
    assert recorded.timeouts() == {("small",): 1}
    threading.Timer(0.1, holder.close).start()
    engine.connect().close()
    assert recorded.timeouts() == {("small",): 1}
    assert recorded.waits() == {("small",): 3}
    assert recorded.wait_seconds()["small",] > 0.28
    assert recorded.db() == {}  # only its pool is watched
    engine.dispose()


async def test_waiting_for_a_full_asynchronous_pool(
    postgres: Postgres, metrics: Metrics, recorded: Recorded
) -> None:
    engine = create_async_engine(dsn(postgres, "asyncpg"), pool_size=1, max_overflow=0, pool_timeout=0.2)
    metrics.watch_sqlalchemy(engine, name="small")
    async with engine.connect():
        with pytest.raises(exc.TimeoutError):
            await engine.connect()
        assert recorded.timeouts() == {("small",): 1}
        waiting = asyncio.create_task(engine.connect().start())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert recorded.timeouts() == {("small",): 1}
    assert recorded.waits() == {("small",): 3}
    await engine.dispose()


def test_the_pool_that_dispose_brings_is_watched_too(
    engine: Engine, metrics: Metrics, recorded: Recorded
) -> None:
    for _ in range(3):
        engine.dispose()
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    assert recorded.db()["connect", "ok"] == 3
    assert recorded.waits() == {("orm",): 3}
    metrics.watch_pool("orm", QueuePool(lambda: None))  # type: ignore[arg-type]  # takes the name
    engine.dispose()
    engine.connect().close()
    assert recorded.waits() == {("orm",): 3}


def test_watching_again_counts_nothing_twice(engine: Engine, metrics: Metrics, recorded: Recorded) -> None:
    metrics.watch_sqlalchemy(engine, name="orm")
    metrics.watch_pool("orm", engine)
    other = Metrics()
    other.watch_sqlalchemy(engine)
    engine.dispose()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert recorded.db() == {("select", "ok"): 1, ("connect", "ok"): 1}
    assert recorded.waits() == {("orm",): 1}
    assert b'db_operation_duration_seconds_count{operation="select",status="ok"} 1' in other.render()


def test_an_engine_with_other_options_is_the_same_engine(
    engine: Engine, metrics: Metrics, recorded: Recorded
) -> None:
    options = engine.execution_options(isolation_level="AUTOCOMMIT")
    with options.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert recorded.db() == {("select", "ok"): 1}
    metrics.watch_sqlalchemy(options, name="options")
    with options.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert recorded.db() == {("select", "ok"): 2}
    assert recorded.waits() == {("orm",): 2, ("options",): 1}


def test_another_engine_is_not_measured(engine: Engine, postgres: Postgres, recorded: Recorded) -> None:
    other = create_engine(dsn(postgres, "psycopg"))
    with other.connect() as connection:
        connection.execute(text("SELECT 1"))
    other.dispose()
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    assert recorded.db() == recorded.waits() == {}


def test_an_engine_without_a_pool_of_a_size_is_watched_all_the_same(
    tmp_path: Path, metrics: Metrics, recorded: Recorded
) -> None:
    for url in ("sqlite://", f"sqlite:///{tmp_path / 'x.db'}"):
        engine = create_engine(url)
        metrics.watch_sqlalchemy(engine)
        with engine.connect() as connection:
            connection.execute(text("PRAGMA user_version"))
        engine.dispose()
    assert recorded.db()["pragma", "ok"] == 2


def test_events_of_others_go_on_and_may_change_the_statement(engine: Engine, recorded: Recorded) -> None:
    def comment(*told: object) -> tuple[str, object]:
        return f"/* ours */ {told[2]}", told[3]

    event.listen(engine, "before_cursor_execute", comment, retval=True)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    assert recorded.db() == {("select", "ok"): 1}


async def test_types_stay(aengine: AsyncEngine) -> None:
    assert type(aengine) is AsyncEngine
    assert type(aengine.sync_engine) is Engine
    assert type(aengine.pool) is AsyncAdaptedQueuePool


def test_a_forgotten_engine_is_freed(tmp_path: Path, metrics: Metrics, recorded: Recorded) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=QueuePool)
    metrics.watch_sqlalchemy(engine, name="gone")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    gone = weakref.ref(engine), weakref.ref(engine.pool)
    engine.dispose()
    del engine, connection
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert recorded.states() == {}


def test_something_else_is_refused(metrics: Metrics) -> None:
    with pytest.raises(ArgumentError, match="engine is of type dict: pass an Engine or AsyncEngine"):
        metrics.watch_sqlalchemy({})


def test_what_breaks_in_recording_is_counted_and_reaches_nobody(
    engine: Engine, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(metrics.store.histogram(DB_DURATION), "observe", broken)
    monkeypatch.setattr(metrics.store.histogram(DB_POOL_WAIT), "observe", broken)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    faults = metrics.store.counter(INTERNAL_ERRORS)
    assert dict(faults.series()) == {("watch_pool",): [1], ("watch_store",): [1]}
    faults.clear()


def test_what_dialects_execute_by_themselves_is_measured(engine: Engine, recorded: Recorded) -> None:
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        connection._cursor_execute(cursor, "SELECT 1", {})  # as its dialects do
        cursor.close()
    assert recorded.db() == {("select", "ok"): 1}


def test_a_wrapper_of_somebody_else_around_ours_changes_nothing(
    engine: Engine, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Pool.connect

    def theirs(self: Pool) -> object:
        return ours(self)

    for wrapper in (theirs, functools.wraps(ours)(theirs)):
        monkeypatch.setattr(Pool, "connect", wrapper)
        engine.connect().close()
    assert recorded.waits() == {("orm",): 2}
