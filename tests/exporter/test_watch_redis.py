"""redis-py, both kinds, against a real server that is stopped and started."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import redis
import redis.asyncio
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from claw_exporter import ArgumentError, Metrics
from claw_exporter.catalog import INTERNAL_ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.exporter.conftest import Recorded

    from claw_native.servers import Redis as Server


Client = Any  # its types promise an awaitable or a value, one of them


@pytest.fixture
def client(redis_server: Server, metrics: Metrics) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        metrics.watch_redis(client, name="cache")
        yield client


@pytest.fixture
async def aclient(redis_server: Server, metrics: Metrics) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushall()
        metrics.watch_redis(client, name="cache")
        yield client


def test_commands_are_measured_by_name_and_status(client: Client, recorded: Recorded) -> None:
    assert client.set("a", 1) is True
    assert client.get("a") == b"1"
    assert client.get("b") is None
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("a", 1)
    assert client.execute_command("config get", "maxmemory-policy")
    assert client.eval("return 7", 0) == 7
    assert recorded.redis() == {
        ("set", "ok"): 1,
        ("get", "ok"): 2,
        ("lpush", "error"): 1,
        ("config", "ok"): 1,
        ("other", "ok"): 1,
    }
    assert recorded.waits() == {("cache",): 6}
    assert recorded.states() == {("cache", "idle"): 1}


async def test_asynchronous_commands_are_measured(aclient: Client, recorded: Recorded) -> None:
    assert await aclient.set("a", 1) is True
    assert await asyncio.gather(*(aclient.get("a") for _ in range(5))) == [b"1"] * 5
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        await aclient.lpush("a", 1)
    assert recorded.redis() == {("set", "ok"): 1, ("get", "ok"): 5, ("lpush", "error"): 1}
    assert recorded.waits() == {("cache",): 7}


def test_a_pipeline_is_one_operation(client: Client, recorded: Recorded) -> None:
    with client.pipeline() as pipeline:
        assert pipeline.execute() == []  # nothing was sent
        assert pipeline.set("a", 1).incr("a").execute() == [True, 2]
        with pytest.raises(redis.ResponseError):
            pipeline.lpush("a", 1).execute()
        pipeline.watch("a")
        assert pipeline.get("a") == b"2"
        pipeline.multi()
        assert pipeline.incr("a").execute() == [3]
    assert recorded.redis() == {
        ("pipeline", "ok"): 2,
        ("pipeline", "error"): 1,
        ("watch", "ok"): 1,
        ("get", "ok"): 1,
    }


async def test_an_asynchronous_pipeline_is_one_operation(aclient: Client, recorded: Recorded) -> None:
    async with aclient.pipeline(transaction=False) as pipeline:
        assert await pipeline.execute() == []
        assert await pipeline.set("a", 1).incr("a").execute() == [True, 2]
        with pytest.raises(redis.ResponseError):
            await pipeline.lpush("a", 1).execute()
        await pipeline.watch("a")
        assert await pipeline.get("a") == b"2"
    assert (
        recorded.redis()
        == {
            ("pipeline", "ok"): 1,
            ("pipeline", "error"): 1,
            ("watch", "ok"): 1,
            ("get", "ok"): 1,
            ("unwatch", "ok"): 1,
        }
        or ("unwatch", "ok") not in recorded.redis()
    )


def test_commands_that_wait_for_others_are_left_out(client: Client, recorded: Recorded) -> None:
    assert client.blpop(["none"], timeout=0.05) is None
    assert not client.xread({"stream": "0"}, block=50)
    assert not client.xread({"stream": "0"})
    assert recorded.redis() == {("xread", "ok"): 1}


def test_publish_and_subscribe_are_untouched(client: Client, recorded: Recorded) -> None:
    with client.pubsub() as channel:
        channel.subscribe("news")
        assert channel.get_message(timeout=5)["type"] == "subscribe"
        client.publish("news", "x")
        assert channel.get_message(timeout=5)["data"] == b"x"
    assert recorded.redis() == {("publish", "ok"): 1}


def test_every_client_of_a_watched_pool_is_measured_and_no_other(
    redis_server: Server, metrics: Metrics, recorded: Recorded
) -> None:
    pool = redis.ConnectionPool.from_url(redis_server.url)
    metrics.watch_redis(pool)
    for _ in range(3):
        redis.Redis(connection_pool=pool).ping()
    with redis.Redis.from_url(redis_server.url) as other:
        other.ping()
        other.pipeline().ping().execute()
    assert recorded.redis() == {("ping", "ok"): 3}
    assert recorded.waits() == {("redis",): 3}
    pool.disconnect()


def test_watching_again_counts_nothing_twice(client: Client, metrics: Metrics, recorded: Recorded) -> None:
    metrics.watch_redis(client, name="cache")
    metrics.watch_redis(client.connection_pool, name="cache")
    metrics.watch_pool("cache", client.connection_pool)
    client.ping()
    assert recorded.redis() == {("ping", "ok"): 1}
    assert recorded.waits() == {("cache",): 1}


def test_two_metrics_may_watch_one_client(client: Client, recorded: Recorded) -> None:
    other = Metrics()
    other.watch_redis(client, name="again")
    client.ping()
    assert recorded.redis() == {("ping", "ok"): 1}
    assert b'redis_operation_duration_seconds_count{operation="ping",status="ok"} 1' in other.render()
    assert recorded.waits() == {("cache",): 1}


async def test_types_and_kinds_stay(client: Client, aclient: Client) -> None:
    assert type(client.connection_pool) is redis.ConnectionPool
    assert not inspect.iscoroutinefunction(client.execute_command)
    assert inspect.iscoroutinefunction(aclient.execute_command)
    assert inspect.iscoroutinefunction(aclient.connection_pool.get_connection)
    assert redis.Redis.execute_command.__name__ == "execute_command"
    assert isinstance(aclient.pipeline().get("a"), redis.asyncio.client.Pipeline)


def test_attempts_that_the_client_repeats_are_one_operation(
    redis_server: Server, metrics: Metrics, recorded: Recorded
) -> None:
    tried: list[int] = []

    class Counting(NoBackoff):
        def compute(self, failures: int) -> float:
            tried.append(failures)
            return super().compute(failures)

    with redis.Redis.from_url(redis_server.url, retry=Retry(Counting(), 3)) as client:
        metrics.watch_redis(client)
        client.ping()
        redis_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert len(tried) >= 3
        assert recorded.redis() == {("ping", "ok"): 1, ("ping", "error"): 1}
        assert recorded.timeouts() == {}
        redis_server.start()
        client.ping()
    assert recorded.redis()["ping", "ok"] == 2


async def test_a_server_that_goes_away_is_an_error_and_no_timeout(
    aclient: Client, redis_server: Server, recorded: Recorded
) -> None:
    await aclient.ping()
    redis_server.stop()
    with pytest.raises(redis.ConnectionError):
        await aclient.ping()
    assert recorded.redis() == {("ping", "ok"): 1, ("ping", "error"): 1}
    assert recorded.timeouts() == {}


async def test_a_cancelled_command_is_cancelled(aclient: Client, recorded: Recorded) -> None:
    other: Any = redis.asyncio.Redis(connection_pool=aclient.connection_pool)
    async with other:
        await other.client_pause(60_000, all=False)
        task = asyncio.create_task(aclient.set("a", 1))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await other.execute_command("CLIENT UNPAUSE")
    assert recorded.redis() == {("set", "cancelled"): 1, ("client", "ok"): 2}
    assert 0.04 < recorded.redis_seconds()["set", "cancelled"] < 5


def test_waiting_for_a_full_pool_is_seen_and_so_is_giving_up(
    redis_server: Server, metrics: Metrics, recorded: Recorded
) -> None:
    pool: Any = redis.BlockingConnectionPool.from_url(redis_server.url, max_connections=1, timeout=0.2)
    metrics.watch_redis(pool, name="small")
    client = redis.Redis(connection_pool=pool)
    holder = pool.get_connection()
    assert recorded.states() == {("small", "active"): 1}
    with pytest.raises(redis.ConnectionError, match="No connection available"):
        client.ping()
    assert recorded.timeouts() == {("small",): 1}
    assert recorded.redis() == {("ping", "error"): 1}
    threading.Timer(0.1, pool.release, (holder,)).start()
    client.ping()
    assert recorded.timeouts() == {("small",): 1}
    assert recorded.waits() == {("small",): 3}
    assert recorded.wait_seconds()["small",] > 0.28
    assert recorded.states() == {("small", "idle"): 1}
    pool.disconnect()


async def test_waiting_for_a_full_asynchronous_pool(
    redis_server: Server, metrics: Metrics, recorded: Recorded
) -> None:
    pool: Any = redis.asyncio.BlockingConnectionPool.from_url(
        redis_server.url, max_connections=1, timeout=0.2
    )
    metrics.watch_redis(pool, name="small")
    client: Any = redis.asyncio.Redis(connection_pool=pool)
    holder = await pool.get_connection()
    with pytest.raises(redis.ConnectionError, match="No connection available"):
        await client.ping()
    assert recorded.timeouts() == {("small",): 1}
    waiting = asyncio.create_task(client.ping())
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert recorded.timeouts() == {("small",): 1}
    assert recorded.redis() == {("ping", "error"): 1, ("ping", "cancelled"): 1}
    await pool.release(holder)
    assert await client.ping()
    assert recorded.waits() == {("small",): 4}
    await pool.disconnect()


def test_a_pool_that_refuses_at_once_is_counted_as_well(
    redis_server: Server, metrics: Metrics, recorded: Recorded
) -> None:
    pool = redis.ConnectionPool.from_url(redis_server.url, max_connections=1)
    metrics.watch_pool("strict", pool)
    holder = pool.get_connection()
    with pytest.raises(redis.ConnectionError, match="Too many connections"):
        pool.get_connection()
    assert recorded.timeouts() == {("strict",): 1}
    assert recorded.redis() == {}  # only its pool is watched
    pool.release(holder)
    pool.disconnect()


def test_a_forgotten_pool_is_freed(redis_server: Server, metrics: Metrics, recorded: Recorded) -> None:
    client = redis.Redis.from_url(redis_server.url)
    metrics.watch_redis(client, name="gone")
    client.ping()
    gone = weakref.ref(client.connection_pool)
    client.close()
    del client
    gc.collect()  # redis-py's own objects are in cycles
    assert gone() is None
    assert recorded.states() == {}


def test_a_forked_child_goes_on_measuring(client: Client, metrics: Metrics, recorded: Recorded) -> None:
    client.ping()
    child = os.fork()
    if child == 0:  # pragma: no cover  # in the child
        client.ping()
        found = recorded.redis().get(("ping", "ok")), recorded.waits().get(("cache",))
        os._exit(0 if found == (2, 2) else 1)
    assert os.waitpid(child, 0)[1] == 0
    client.ping()
    assert recorded.redis() == {("ping", "ok"): 2}
    assert metrics.store is not None


def test_a_pool_of_a_sentinel_is_one_of_the_client(
    redis_server: Server, metrics: Metrics, recorded: Recorded
) -> None:
    host, port = "127.0.0.1", redis_server.port

    class Sentinel(redis.sentinel.Sentinel):
        def discover_master(self, service_name: str) -> tuple[str, int]:
            assert service_name == "main"
            return host, port

    kind: Any = Sentinel  # its constructor has no types
    client = kind([(host, port)]).master_for("main")
    metrics.watch_redis(client)
    client.ping()
    client.close()
    assert recorded.redis() == {("ping", "ok"): 1}
    assert recorded.waits() == {("redis",): 1}


def test_many_threads_lose_nothing(client: Client, recorded: Recorded) -> None:
    def work() -> None:
        for _ in range(200):
            client.ping()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorded.redis() == {("ping", "ok"): 1600}
    assert recorded.waits() == {("cache",): 1600}


@pytest.mark.parametrize("kind", [redis.RedisCluster, redis.asyncio.RedisCluster])
def test_a_cluster_is_refused(metrics: Metrics, kind: type) -> None:
    with pytest.raises(ArgumentError, match="client is of type RedisCluster: pass a Redis client"):
        metrics.watch_redis(object.__new__(kind))  # not connected: there is none here


def test_something_else_is_refused(metrics: Metrics) -> None:
    with pytest.raises(ArgumentError, match="client is of type dict: pass a Redis client or connection pool"):
        metrics.watch_redis({})


def test_a_pool_that_is_built_otherwise_is_shown_all_the_same(metrics: Metrics) -> None:
    class Foreign:
        __slots__ = ("__weakref__",)  # nothing can be put on it
        max_connections = 3
        connection_kwargs: ClassVar[dict[str, Any]] = {}
        _in_use_connections = (1,)
        _available_connections = (1, 2)

        def get_connection(self) -> None: ...

    foreign = Foreign()
    metrics.watch_pool("foreign", foreign)
    assert dict(metrics.store.counter(INTERNAL_ERRORS).series()) == {("watch_pool",): [1]}
    assert b'pool_connections{pool="foreign",state="idle"} 2' in metrics.render()


def test_a_pool_of_an_unknown_package_has_waits_only(metrics: Metrics, recorded: Recorded) -> None:
    class Foreign:
        __slots__ = ("__dict__",)  # no weak reference
        max_connections = 3
        connection_kwargs: ClassVar[dict[str, Any]] = {}
        _in_use_connections = (1,)
        _available_connections = ()

        def get_connection(self) -> str:
            return "connection"

    foreign = Foreign()
    metrics.watch_redis(foreign, name="foreign")
    assert foreign.get_connection() == "connection"
    assert recorded.waits() == {("foreign",): 1}
    assert recorded.states() == {("foreign", "active"): 1}
