from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import redis
import redis.asyncio
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from claw_exporter import Metrics, PoolTypeError
from claw_exporter.catalog import INTERNAL_ERRORS

if TYPE_CHECKING:
    from pathlib import Path

    from claw_native.servers import Postgres, Redis


def state(metrics: Metrics, pool: str) -> dict[str, float | None]:
    read = metrics.registry.get_sample_value
    return {
        "active": read("claw_ai_db_pool_connections", {"pool": pool, "state": "active"}),
        "idle": read("claw_ai_db_pool_connections", {"pool": pool, "state": "idle"}),
        "max": read("claw_ai_db_pool_max_connections", {"pool": pool}),
    }


GONE = {"active": None, "idle": None, "max": None}


async def test_an_asyncpg_pool_is_read_until_it_is_closed(metrics: Metrics, postgres: Postgres) -> None:
    pool = await asyncpg.create_pool(postgres.dsn, min_size=2, max_size=5)
    metrics.watch_pool("primary", pool)
    assert state(metrics, "primary") == {"active": 0, "idle": 2, "max": 5}
    async with pool.acquire():
        assert state(metrics, "primary") == {"active": 1, "idle": 1, "max": 5}
    await pool.close()
    assert state(metrics, "primary") == GONE


async def test_a_redis_pool_is_read_until_it_is_gone(metrics: Metrics, redis_server: Redis) -> None:
    client = redis.asyncio.Redis.from_url(redis_server.url, max_connections=7)
    metrics.watch_pool("cache", client.connection_pool)
    metrics.watch_pool("client", client)
    await client.ping()
    assert state(metrics, "cache") == state(metrics, "client") == {"active": 0, "idle": 1, "max": 7}
    await client.aclose()
    del client
    gc.collect()
    assert state(metrics, "cache") == state(metrics, "client") == GONE


def test_a_synchronous_redis_pool_is_read(metrics: Metrics) -> None:
    pool = redis.ConnectionPool(max_connections=3)
    metrics.watch_pool("sync", pool)
    assert state(metrics, "sync") == {"active": 0, "idle": 0, "max": 3}


def test_a_sqlalchemy_engine_is_read_also_after_it_got_a_new_pool(metrics: Metrics, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=QueuePool, pool_size=3, max_overflow=2)
    metrics.watch_pool("orm", engine)
    metrics.watch_pool("pool", engine.pool)
    with engine.connect() as connection:
        connection.execute(text("select 1"))
        assert state(metrics, "orm") == state(metrics, "pool") == {"active": 1, "idle": 0, "max": 5}
    assert state(metrics, "orm") == {"active": 0, "idle": 1, "max": 5}
    engine.dispose()
    assert state(metrics, "orm") == {"active": 0, "idle": 0, "max": 5}


def test_an_asynchronous_engine_is_read(metrics: Metrics) -> None:
    engine = create_async_engine("postgresql+asyncpg://nobody@localhost/none", pool_size=4)
    metrics.watch_pool("orm", engine)
    assert state(metrics, "orm") == {"active": 0, "idle": 0, "max": 14}


def test_a_pool_without_a_bound_says_infinity(metrics: Metrics, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=QueuePool, pool_size=0)
    metrics.watch_pool("orm", engine)
    assert state(metrics, "orm")["max"] == float("inf")


def test_a_second_pool_takes_the_place_of_the_first_of_its_name(metrics: Metrics) -> None:
    first, second = redis.ConnectionPool(max_connections=1), redis.ConnectionPool(max_connections=2)
    metrics.watch_pool("cache", first)
    metrics.watch_pool("cache", second)
    assert state(metrics, "cache")["max"] == 2


def test_something_else_is_refused_by_its_type(metrics: Metrics, tmp_path: Path) -> None:
    with pytest.raises(PoolTypeError, match="dict is not a pool that can be watched: pass an asyncpg pool"):
        metrics.watch_pool("odd", {})
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool)
    with pytest.raises(PoolTypeError, match="NullPool is not a pool that can be watched"):
        metrics.watch_pool("none", engine)


def test_a_pool_that_breaks_hides_no_other(metrics: Metrics) -> None:
    class Odd:
        max_connections = 1
        _available_connections: Any = ()
        _in_use_connections: Any = ()

    odd, fine = Odd(), redis.ConnectionPool(max_connections=2)
    metrics.watch_pool("odd", odd)
    metrics.watch_pool("fine", fine)
    odd._in_use_connections = None
    assert state(metrics, "odd") == GONE
    assert state(metrics, "fine")["max"] == 2
    faults = dict(metrics.store.counter(INTERNAL_ERRORS).series())
    assert faults["pool",][0] >= 1


def test_blocking_pools_of_every_version_of_redis_are_read(metrics: Metrics, redis_server: Redis) -> None:
    class Before5(redis.BlockingConnectionPool):
        def make_queue(self) -> None:
            self.pool: Any = SimpleNamespace(_queue=list(self.pool.queue))  # as asyncio's has it

    pool: Any = Before5.from_url(redis_server.url, max_connections=2)
    pool.release(pool.get_connection())
    metrics.watch_pool("queue", pool)
    assert state(metrics, "queue") == {"active": 0, "idle": 1, "max": 2}
    pool.disconnect()
    pool.make_queue()
    assert state(metrics, "queue") == {"active": 0, "idle": 1, "max": 2}
