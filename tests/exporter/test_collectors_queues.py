"""Queues of Redis against the real server; those of Celery are filled by Celery itself."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import celery
import celery.signals
import pytest
import redis
import redis.asyncio

from claw_exporter.collectors.base import ProbeError
from claw_exporter.collectors.queues import Measure, measure
from claw_exporter.settings import Queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from claw_native.servers import Redis as Server

    Measured = Callable[..., Awaitable[Measure]]

DOCUMENT = Path(__file__).parents[2] / "docs/EXPORTER.md"
NOW = 1_800_000_000.0


@pytest.fixture
def client(redis_server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
async def measured(client: redis.Redis, redis_server: Server) -> AsyncIterator[Measured]:
    assert client.ping()
    url = redis_server.url
    async with redis.asyncio.Redis.from_url(url, decode_responses=True, encoding_errors="replace") as asker:

        async def measured(name: str, *, now: float = NOW, **more: str) -> Measure:
            return await measure(asker, Queue(name=name, **more), now)

        yield measured


async def test_a_queue_that_does_not_exist_is_empty_and_nothing_waits(measured: Measured) -> None:
    assert await measured("nowhere") == (0, 0.0)


async def test_a_key_that_is_no_queue_is_named(client: redis.Redis, measured: Measured) -> None:
    client.set("text", "a")
    with pytest.raises(
        ProbeError, match="'text' is a string; a queue is one of hash, list, set, stream, zset"
    ):
        await measured("text")


# -- Lists ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("push", ["lpush", "rpush"])
async def test_the_oldest_entry_of_a_list_is_at_one_of_its_ends(
    client: redis.Redis, measured: Measured, push: str
) -> None:
    for age in (30, 20, 10):
        getattr(client, push)("jobs", f'{{"at": {NOW - age}}}')
    assert await measured("jobs", timestamp_field="at") == (3, 30.0)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ('{"at": 1799999990}', "at"),
        ('{"at": 1799999990000}', "at"),
        ('{"at": 1799999990000000}', "at"),
        ('{"at": 1799999990000000000}', "at"),
        ('{"at": "1799999990.0"}', "at"),
        ('{"at": "2027-01-15T07:59:50Z"}', "at"),
        ('{"at": "2027-01-15T07:59:50"}', "at"),
        ('{"at": "2027-01-15T08:59:50+01:00"}', "at"),
        ('{"meta": {"at": 1799999990}}', "meta.at"),
        ('{"meta.at": 1799999990}', "meta.at"),
    ],
)
async def test_a_field_may_say_the_time_in_many_ways(
    client: redis.Redis, measured: Measured, entry: str, field: str
) -> None:
    client.rpush("jobs", entry)
    assert await measured("jobs", timestamp_field=field) == (1, 10.0)


@pytest.mark.parametrize(
    "entry",
    [
        "an id",
        "[1, 2]",
        "17",
        '{"other": 1}',
        '{"at": null}',
        '{"at": true}',
        '{"at": 5}',
        '{"at": 1e400}',
        '{"at": "soon"}',
        '{"at": "9999-12-31T23:59:59-23:59"}',
        '{"at": {"x": 1}}',
        '{"at": %s}' % ("9" * 400),
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
async def test_where_an_entry_says_no_time_nothing_is_said_of_its_age(
    client: redis.Redis, measured: Measured, entry: str | bytes
) -> None:
    client.rpush("jobs", entry)
    assert await measured("jobs", timestamp_field="at") == (1, None)
    assert await measured("jobs") == (1, None)


async def test_one_end_that_says_no_time_may_be_the_oldest(client: redis.Redis, measured: Measured) -> None:
    client.rpush("jobs", "an id", f'{{"at": {NOW - 10}}}')
    assert await measured("jobs", timestamp_field="at") == (2, None)


async def test_a_producer_whose_clock_is_ahead_makes_no_negative_age(
    client: redis.Redis, measured: Measured
) -> None:
    client.rpush("jobs", f'{{"at": {NOW + 10}}}')
    assert await measured("jobs", timestamp_field="at") == (1, 0.0)


async def test_a_long_queue_costs_no_more_than_a_short_one(client: redis.Redis, measured: Measured) -> None:
    client.rpush("jobs", *[f'{{"at": {NOW - 10}}}'] * 50_000)
    client.config_resetstat()
    assert await measured("jobs", timestamp_field="at") == (50_000, 10.0)
    used: dict[str, dict[str, int]] = client.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in used.items()}
    assert {name: counts.get(name, 0) for name in ("type", "exists", "llen", "lindex", "lrange")} == {
        "type": 1,
        "exists": 1,
        "llen": 1,
        "lindex": 2,
        "lrange": 0,
    }


# -- Celery --------------------------------------------------------------------------------------------------
@pytest.fixture
def app(redis_server: Server) -> Iterator[celery.Celery]:
    app = celery.Celery(broker=redis_server.url, set_as_current=False)
    app.conf.task_default_queue = "answers"
    yield app
    app.close()


@pytest.fixture
def stamped() -> Iterator[None]:
    """What docs/EXPORTER.md tells the producer to do, as it stands there."""
    (code,) = re.findall(
        r"^```python\n(import time\n.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    namespace: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec"), namespace)  # noqa: S102 - our own page
    yield
    celery.signals.before_task_publish.disconnect(namespace["stamp"])


@pytest.mark.usefixtures("stamped")
async def test_tasks_of_celery_tell_how_long_they_wait(app: celery.Celery, measured: Measured) -> None:
    before = time.time()
    for number in range(3):
        app.send_task("answer", args=(number,))
    depth, age = await measured("answers", now=before + 60)
    assert depth == 3
    assert age is not None
    assert 55 < age <= 60


@pytest.mark.usefixtures("client")
async def test_tasks_of_celery_without_a_time_are_counted_only(
    app: celery.Celery, measured: Measured
) -> None:
    app.send_task("answer")
    assert await measured("answers") == (1, None)


@pytest.mark.usefixtures("stamped")
@pytest.mark.parametrize("separator", ["", ":"])
async def test_the_lists_of_a_queues_priorities_are_one_queue(
    app: celery.Celery, client: redis.Redis, measured: Measured, separator: str
) -> None:
    app.conf.broker_transport_options = {"priority_steps": list(range(10))} | (
        {"sep": separator} if separator else {}
    )
    before = time.time()
    for priority in (0, 3, 6, 9):
        app.send_task("answer", priority=priority)
    assert len([key for key in client.keys("answers*") if client.type(key) == b"list"]) == 4
    depth, age = await measured("answers", now=before + 60, priority_separator=separator)
    assert depth == 4
    assert age is not None
    assert 55 < age <= 60


@pytest.mark.usefixtures("client")
async def test_what_workers_of_celery_hold_is_seen_under_unacked(
    app: celery.Celery, measured: Measured
) -> None:
    app.send_task("answer")
    with app.connection_for_read() as connection, app.amqp.TaskConsumer(connection, on_message=taken):
        connection.drain_events(timeout=5)
        assert await measured("answers") == (0, 0.0)
        assert await measured("unacked") == (1, None)
        depth, age = await measured("unacked_index", now=time.time() + 60)
        assert depth == 1
        assert age is not None
        assert 55 < age <= 65


def taken(message: object) -> None:
    """Work on it, without an end."""


# -- Streams, sets, sorted sets ------------------------------------------------------------------------------
def entry_id(age: float) -> str:
    return f"{int((NOW - age) * 1000)}-0"


async def test_a_stream_without_groups_waits_as_a_whole(client: redis.Redis, measured: Measured) -> None:
    for age in (30, 20):
        client.xadd("events", {"a": "b"}, id=entry_id(age))
    assert await measured("events") == (2, 30.0)
    client.xtrim("events", maxlen=0)
    assert await measured("events") == (0, 0.0)


async def test_what_a_group_has_not_read_or_not_acknowledged_waits(
    client: redis.Redis, measured: Measured
) -> None:
    client.xgroup_create("events", "group", mkstream=True)
    for age in (30, 20, 10):
        client.xadd("events", {"a": "b"}, id=entry_id(age))
    assert await measured("events") == (3, 30.0)
    client.xreadgroup("group", "me", {"events": ">"}, count=2)
    client.xack("events", "group", entry_id(30))
    assert await measured("events") == (2, 20.0)
    client.xack("events", "group", entry_id(20))
    assert await measured("events") == (1, 10.0)
    client.xreadgroup("group", "me", {"events": ">"})
    assert await measured("events") == (1, 10.0)
    client.xack("events", "group", entry_id(10))
    assert await measured("events") == (0, 0.0)
    assert client.xlen("events") == 3


async def test_the_slowest_group_of_a_stream_counts(client: redis.Redis, measured: Measured) -> None:
    for group in ("fast", "slow"):
        client.xgroup_create("events", group, mkstream=True)
    for age in (30, 20):
        client.xadd("events", {"a": "b"}, id=entry_id(age))
    client.xreadgroup("fast", "me", {"events": ">"}, noack=True)
    assert await measured("events") == (2, 30.0)


async def test_a_group_whose_lag_nobody_knows_has_the_whole_stream_before_it(
    client: redis.Redis, measured: Measured
) -> None:
    for age in (30, 20, 10):
        client.xadd("events", {"a": "b"}, id=entry_id(age))
    client.xgroup_create("events", "group", id=entry_id(30))
    client.xdel("events", entry_id(20))
    assert await measured("events") == (2, 10.0)


async def test_ids_that_a_producer_made_up_are_no_times(client: redis.Redis, measured: Measured) -> None:
    client.xadd("events", {"a": "b"}, id="7-1")
    assert await measured("events") == (1, None)


@pytest.mark.parametrize(
    ("scores", "age"),
    [((NOW - 10, NOW + 50), 10.0), (((NOW - 10) * 1000,), 10.0), ((NOW + 50,), 0.0), ((3,), None)],
)
async def test_a_sorted_set_waits_since_its_lowest_score_if_that_is_a_time(
    client: redis.Redis, measured: Measured, scores: tuple[float, ...], age: float | None
) -> None:
    client.zadd("later", {str(score): score for score in scores})
    assert await measured("later") == (len(scores), age)


async def test_of_a_set_and_a_hash_only_the_number_is_known(client: redis.Redis, measured: Measured) -> None:
    client.sadd("set", "a", "b")
    client.hset("hash", mapping={"a": "1", "b": "2", "c": "3"})
    assert await measured("set") == (2, None)
    assert await measured("hash") == (3, None)
