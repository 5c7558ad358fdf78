"""Redis' streams as a bus: the contract, and what only Redis does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.hub.bus.contract import CLAIM_IDLE_SECONDS, ENTRY, BusServer, Contract, read_all

from claw_hub.bus.redis_streams import COUNTS, STREAMS, RedisStreams, connect
from claw_hub.errors import UnavailableError
from claw_hub.records import Kind

if TYPE_CHECKING:
    from tests.hub.bus.servers import DurableRedis

TIMEOUT_SECONDS = 0.5


class RedisServer(BusServer):
    def __init__(self, redis: DurableRedis) -> None:
        self.redis = redis

    def bus(self) -> RedisStreams:
        return RedisStreams(
            connect(self.redis.url), claim_idle_seconds=CLAIM_IDLE_SECONDS, timeout_seconds=TIMEOUT_SECONDS
        )

    def start(self) -> None:
        self.redis.start()

    def kill(self) -> None:
        self.redis.kill()

    def freeze(self) -> None:
        self.redis.freeze()

    def thaw(self) -> None:
        self.redis.thaw()


@pytest.fixture
def server(durable_redis: DurableRedis) -> RedisServer:
    return RedisServer(durable_redis)


class TestRedisStreams(Contract):
    pass


async def test_too_many_bytes_are_refused_until_the_worker_has_caught_up(durable_redis: DurableRedis) -> None:
    now = [0.0]
    bus = RedisStreams(connect(durable_redis.url), max_bytes=100_000, ticks=lambda: now[0])
    large = replace(ENTRY, body=b"x" * 60_000)
    for _ in range(2):
        await bus.append(large)
    with pytest.raises(UnavailableError, match="the worker has to catch up first") as caught:
        await bus.append(ENTRY)
    assert caught.value.retry_after_seconds == 5
    await bus.done(await read_all(bus))
    now[0] += 1
    assert await bus.append(large)
    await bus.close()


async def test_entries_that_wait_too_long_stop_the_edge(durable_redis: DurableRedis) -> None:
    now = [0.0]
    bus = RedisStreams(connect(durable_redis.url), max_oldest_seconds=-1, ticks=lambda: now[0])
    with pytest.raises(UnavailableError, match="the oldest since 0 seconds"):
        await bus.append(ENTRY)
    await bus.close()


async def test_a_redis_that_is_full_is_unavailable(durable_redis: DurableRedis) -> None:
    redis = connect(durable_redis.url)
    bus = RedisStreams(redis)
    await redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(UnavailableError, match="Redis refuses: "):
            await bus.append(ENTRY)
    finally:
        await redis.config_set("maxmemory", "256mb")
    assert await bus.append(ENTRY)
    await bus.close()


async def test_a_redis_that_was_emptied_goes_on(durable_redis: DurableRedis) -> None:
    redis = connect(durable_redis.url)
    bus = RedisStreams(redis)
    await bus.append(ENTRY)
    assert len(await read_all(bus)) == 1
    await redis.flushall()
    await bus.append(ENTRY)
    assert len(await read_all(bus)) == 1
    await redis.script_flush()
    assert await bus.append(ENTRY)
    await bus.close()


async def test_what_nobody_of_ours_wrote_is_in_the_way_of_nothing(
    durable_redis: DurableRedis, caplog: pytest.LogCaptureFixture
) -> None:
    redis = connect(durable_redis.url)
    bus = RedisStreams(redis)
    await redis.xadd(STREAMS[Kind.USAGE], {"hello": "world"})
    await bus.append(ENTRY)
    assert [each.entry for each in await read_all(bus)] == [ENTRY]
    assert [record.message for record in caplog.records] == ["not an entry"]
    assert (await bus.lag()).entries[Kind.USAGE] == 2
    await bus.close()


async def test_counts_are_gone_with_the_last_entry(durable_redis: DurableRedis) -> None:
    redis = connect(durable_redis.url)
    bus = RedisStreams(redis)
    await bus.append(ENTRY)
    assert await redis.hgetall(COUNTS) == {b"usage:records": b"1", b"usage:bytes": b"%d" % len(ENTRY.body)}
    await bus.done(await read_all(bus))
    assert await redis.hgetall(COUNTS) == {}
    await bus.close()


async def test_closing_ends_what_is_under_way(durable_redis: DurableRedis) -> None:
    bus = RedisStreams(connect(durable_redis.url))
    await bus.close()
    await bus.append(ENTRY)
    await bus.close()
