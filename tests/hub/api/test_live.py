"""Events across processes: in order, from where a reader was, never more of them than fit."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from redis.asyncio import Redis

from claw_hub.api import Live
from claw_hub.api import live as live_module
from claw_hub.api.positions import Position
from claw_hub.errors import CursorError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from claw_hub.api.live import Page
    from claw_hub.api.subscriptions import Subscription
    from claw_native.servers import Redis as RedisServer

SECONDS = 20


@dataclass(frozen=True)
class Event:
    tenant_id: int = 1
    project_id: str = "p1"
    kind: str = "usage"
    data: dict[str, Any] = field(default_factory=dict)


def events(*numbers: int, tenant: int = 1, project: str = "p1") -> list[Event]:
    return [Event(tenant, project, data={"number": number}) for number in numbers]


async def numbers(subscription: Subscription, count: int) -> list[int]:
    return [(await said(subscription))["number"] for _ in range(count)]


async def said(subscription: Subscription) -> Any:
    message = await subscription.next(SECONDS)
    assert message is not None
    return orjson.loads(message.data)


@pytest.fixture
async def other(redis: Redis) -> AsyncIterator[Live]:
    """What another process has."""
    live = Live(redis)
    yield live
    await live.close()


async def test_what_one_process_publishes_another_shows(live: Live, other: Live) -> None:
    subscription = await live.subscribe(1)
    assert await other.publish(events(1, 2, 3)) == 3
    assert await numbers(subscription, 3) == [1, 2, 3]
    assert await other.publish(events(*range(4, 200))) == 196
    assert await numbers(subscription, 196) == list(range(4, 200))


async def test_several_readers_get_the_same(live: Live) -> None:
    first, second = await live.subscribe(1), await live.subscribe(1)
    await live.publish(events(1, 2))
    assert await numbers(first, 2) == await numbers(second, 2) == [1, 2]


async def test_nothing_is_published_where_nobody_watches(live: Live, redis: Redis) -> None:
    assert await live.publish(events(1)) == 0
    assert await redis.keys("claw:hub:live:*") == []
    assert await live.publish([]) == 0


async def test_a_reader_sees_his_tenant_only(live: Live) -> None:
    first, second = await live.subscribe(1), await live.subscribe(2)
    await live.publish([*events(1, tenant=1), *events(2, tenant=2), *events(3, tenant=1)])
    assert await numbers(first, 2) == [1, 3]
    assert await numbers(second, 1) == [2]
    assert await second.next(0.05) is None


async def test_a_reader_may_see_one_project_only(live: Live) -> None:
    subscription = await live.subscribe(1, project="p2")
    await live.publish([*events(1), *events(2, project="p2"), *events(3, project="")])
    await live.publish(events(4, project="p2"))
    assert await numbers(subscription, 2) == [2, 4]


async def test_who_comes_back_gets_what_he_missed_and_then_what_comes(live: Live, other: Live) -> None:
    subscription = await live.subscribe(1)
    await other.publish(events(1, 2, 3))
    message = await subscription.next(SECONDS)
    assert message is not None
    subscription.close()
    await other.publish(events(*range(4, 1500)))
    again = await live.subscribe(1, after_id=str(message.position))
    await other.publish(events(1500, 1501))
    assert await numbers(again, 1500) == list(range(2, 1502))
    assert await again.next(0.05) is None


async def test_who_comes_back_gets_what_he_missed_of_his_project(live: Live) -> None:
    watcher = await live.subscribe(1, project="p2")
    start = str(watcher.position)
    await live.publish([*events(*range(2000)), *events(7, project="p2")])
    assert await numbers(await live.subscribe(1, project="p2", after_id=start), 1) == [7]


async def test_who_missed_nothing_waits_for_what_comes(live: Live) -> None:
    first = await live.subscribe(1)
    await live.publish(events(1))
    await numbers(first, 1)
    again = await live.subscribe(1, after_id=str(first.position))
    await live.publish(events(2))
    assert await numbers(again, 1) == [2]


async def test_who_missed_more_than_is_kept_is_told_so(live: Live, redis: Redis) -> None:
    first = await live.subscribe(1)
    await live.publish(events(1))
    await numbers(first, 1)
    seen = str(first.position)
    await live.publish(events(2))
    await live.publish(events(3))
    await redis.xtrim("claw:hub:live:stream:1", maxlen=1, approximate=False)
    again = await live.subscribe(1, after_id=seen)
    assert (await said(again))["after"] == seen
    assert await numbers(again, 1) == [3]


async def test_a_process_that_fell_behind_tells_its_readers(
    live: Live, other: Live, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = await live.subscribe(1)
    await other.publish(events(1))
    assert await numbers(subscription, 1) == [1]
    feed = live._feeds[1]
    forward = feed._forward
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def held() -> Page:
        waits.set()
        await goes_on.wait()
        return await forward()

    monkeypatch.setattr(feed, "_forward", held)
    feed.bell.set()
    await waits.wait()
    await other.publish(events(2))
    await other.publish(events(3))
    await redis.xtrim("claw:hub:live:stream:1", maxlen=1, approximate=False)
    goes_on.set()
    assert "after" in await said(subscription)
    assert await numbers(subscription, 1) == [3]


async def test_an_idle_reader_stays_where_the_others_are(live: Live) -> None:
    busy, idle = await live.subscribe(1), await live.subscribe(1, project="p2")
    await live.publish(events(1))
    await numbers(busy, 1)
    assert await idle.next(0.05) is None
    assert idle.position == busy.position


async def test_a_slow_reader_is_dropped_and_the_others_go_on(redis: Redis) -> None:
    live = Live(redis, max_waiting=10)
    slow, quick = await live.subscribe(1), await live.subscribe(1)
    for number in range(30):
        await live.publish(events(number))
        assert await numbers(quick, 1) == [number]
    message = await slow.next(SECONDS)
    assert message is not None
    assert message.event == "closed"
    assert orjson.loads(message.data)["reason"] == "slow"
    assert await slow.next(SECONDS) is message
    assert live.subscriptions == 1
    again = await live.subscribe(1, after_id=str(message.position))
    assert await numbers(again, 30) == list(range(30))
    await live.close()


async def test_what_is_kept_is_bounded(live: Live, redis: Redis) -> None:
    await live.subscribe(1)
    for _ in range(3):
        await live.publish(events(*range(10_000)))
    assert await redis.xlen("claw:hub:live:stream:1") <= live_module.MAX_ENTRIES + 100
    assert 0 < await redis.ttl("claw:hub:live:stream:1") <= live_module.KEEP_SECONDS


async def test_a_large_event_loses_its_long_parts(live: Live) -> None:
    subscription = await live.subscribe(1)
    await live.publish([Event(data={"id": "e1", "content": "x" * 100_000, "tokens": 3})])
    assert await said(subscription) == {"id": "e1", "tokens": 3, "truncated": True}


async def test_there_is_an_end_to_the_readers_of_a_process(redis: Redis) -> None:
    live = Live(redis, max_subscriptions=1)
    first = await live.subscribe(1)
    with pytest.raises(UnavailableError, match="too many"):
        await live.subscribe(2)
    first.close()
    await live.subscribe(2)
    await live.close()


async def test_who_watches_is_told_when_the_process_ends(live: Live) -> None:
    subscription = await live.subscribe(1)
    await live.close()
    assert (await said(subscription))["reason"] == "stopping"
    with pytest.raises(UnavailableError):
        await live.subscribe(1)


@pytest.mark.parametrize(
    "text", ["x", "1-2", "-1-0-0", "1-0-0 ", "9" * 30 + "-0-0", "9999999999999999999-0-0", "\u0661-0-0"]
)
async def test_what_is_no_id_of_an_event_is_refused(live: Live, text: str) -> None:
    with pytest.raises(CursorError, match="Last-Event-ID"):
        await live.subscribe(1, after_id=text)


async def test_an_id_from_the_future_waits_for_what_comes(live: Live) -> None:
    subscription = await live.subscribe(1, after_id=str(Position(2**62)))
    await live.publish(events(1))
    assert await numbers(subscription, 1) == [1]


async def test_without_redis_nobody_can_watch_and_publishing_goes_on(free_port: Callable[[], int]) -> None:
    async with Redis(port=free_port()) as away:
        live = Live(away)
        with pytest.raises(UnavailableError):
            await live.subscribe(1)
        assert await live.publish(events(1)) == 0


async def test_a_reader_outlives_a_restart_of_redis(redis_server: RedisServer, live: Live) -> None:
    subscription = await live.subscribe(1)
    await live.publish(events(1))
    assert await numbers(subscription, 1) == [1]
    redis_server.stop()
    assert await live.publish(events(2)) == 0
    redis_server.start()
    async with asyncio.timeout(SECONDS), Redis.from_url(redis_server.url) as redis:
        # The stream is gone with Redis; what comes is seen as soon as the process is back, too.
        while not await redis.exists("claw:hub:live:watched:1"):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.05)
    assert await live.publish(events(3)) == 1
    assert "after" in await said(subscription)
    assert await numbers(subscription, 1) == [3]


async def test_what_was_missed_cannot_be_read_without_redis(redis_server: RedisServer, live: Live) -> None:
    first = await live.subscribe(1)
    start = str(first.position)
    await live.publish(events(1))
    await numbers(first, 1)
    again = await live.subscribe(1, after_id=start)
    redis_server.stop()
    with pytest.raises(UnavailableError):
        await again.next(SECONDS)
