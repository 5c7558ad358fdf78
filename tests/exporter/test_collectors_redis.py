"""The Redis collector against a real server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from claw_exporter.collectors.base import classify
from claw_exporter.collectors.redis import _ERRORS, RedisCollector
from claw_exporter.probes import Probe
from claw_exporter.settings import Queue, Redis, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from claw_native.servers import Redis as Server

DOCUMENT = Path(__file__).parents[2] / "docs/EXPORTER.md"


@pytest.fixture
def client(redis_server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
async def make_probe(redis_server: Server) -> AsyncIterator[Callable[..., Probe]]:
    made: list[Probe] = []

    def make(**more: Any) -> Probe:  # noqa: ANN401 - fields of Redis
        target = Redis(**{"name": "main", "url": Secret(redis_server.url), **more})
        made.append(Probe(RedisCollector(target), stale_after_seconds=60))
        return made[-1]

    yield make
    for probe in made:
        probe.collector.abort()
    await asyncio.sleep(0)  # what abort() put off to the event loop


async def test_queues_of_every_type_are_measured(
    client: redis.Redis, make_probe: Callable[..., Probe]
) -> None:
    client.rpush("list", "a", "b")
    client.xadd("stream", {"a": "b"})
    client.sadd("set", "a", "b", "c")
    client.zadd("zset", {"a": 1})
    names = ("list", "stream", "set", "zset", "empty")
    probe = make_probe(queues=tuple(Queue(name=name) for name in names))
    await probe.run()
    assert dict(probe.series("claw_ai_queue_depth")) == {
        ("main", "list"): 2,
        ("main", "stream"): 1,
        ("main", "set"): 3,
        ("main", "zset"): 1,
        ("main", "empty"): 0,
    }
    ages = dict(probe.series("claw_ai_queue_oldest_age_seconds"))
    assert {queue for _, queue in ages} == {"stream", "empty"}
    assert 0 <= ages["main", "stream"] < 60


async def test_a_key_that_is_no_queue_is_a_wrong_result(
    client: redis.Redis, make_probe: Callable[..., Probe]
) -> None:
    client.set("text", "a")
    probe = make_probe(queues=(Queue(name="text"),))
    await probe.run()
    assert probe.state.error_type == "result"


async def test_keys_are_counted_by_pattern(client: redis.Redis, make_probe: Callable[..., Probe]) -> None:
    client.mset({f"session:{number}": "x" for number in range(30)} | {"other": "x"})
    probe = make_probe(key_patterns=("session:*", "none:*"))
    await probe.run()
    assert dict(probe.series("claw_ai_redis_keys")) == {("main", "session:*"): 30, ("main", "none:*"): 0}
    assert probe.dropped_rows == 0


async def test_counting_stops_at_the_bound_and_says_how_much_it_left_out(
    client: redis.Redis, make_probe: Callable[..., Probe]
) -> None:
    client.mset({f"session:{number}": "x" for number in range(5000)})
    probe = make_probe(key_patterns=("*",), max_scanned_keys=2000)
    await probe.run()
    counted = dict(probe.series("claw_ai_redis_keys"))["main", "*"]
    assert 1500 < counted < 2500
    assert probe.dropped_rows == 3000


async def test_there_is_one_connection_and_it_has_a_name(
    client: redis.Redis, make_probe: Callable[..., Probe]
) -> None:
    client.rpush("list", "a")
    client.xadd("stream", {"a": "b"})
    probe = make_probe(queues=(Queue(name="list"), Queue(name="stream")), key_patterns=("*",))
    for _ in range(3):
        await probe.run()
    clients: list[dict[str, str]] = client.client_list()
    assert [entry["name"] for entry in clients].count("claw-exporter") == 1


async def test_a_server_that_is_gone_is_a_failed_connection_and_is_found_again(
    redis_server: Server, make_probe: Callable[..., Probe]
) -> None:
    probe = make_probe()
    await probe.run()
    assert probe.state.error_type == ""
    redis_server.stop()
    await probe.run()
    assert probe.state.error_type == "connection"
    redis_server.start()
    await probe.run()
    assert probe.state.error_type == ""


async def test_a_server_that_does_not_answer_hits_the_deadline(
    client: redis.Redis, make_probe: Callable[..., Probe]
) -> None:
    probe = make_probe(timeout_seconds=0.2)
    await probe.run()
    client.client_pause(1000)
    await probe.run()
    client.client_unpause()
    assert probe.state.error_type == "timeout"
    await probe.run()
    assert probe.state.error_type == ""


async def test_a_wrong_password_is_its_own_kind_of_error(
    client: redis.Redis, make_probe: Callable[..., Probe]
) -> None:
    client.config_set("requirepass", "right")
    try:
        wrong, right = make_probe(password_file=Secret("wrong")), make_probe(password_file=Secret("right"))
        await wrong.run()
        await right.run()
    finally:
        client.config_set("requirepass", "")
    assert (wrong.state.error_type, right.state.error_type) == ("authentication", "")


async def test_a_password_that_is_changed_is_read_from_its_file_for_the_next_connection(
    client: redis.Redis, make_probe: Callable[..., Probe], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    client.config_set("requirepass", "first")
    try:
        probe = make_probe(password_file=Secret("first", file))
        link, now = probe.collector.link, 0.0
        assert link is not None
        link.clock = lambda: now
        await probe.run()
        assert probe.state.error_type == ""
        client.config_set("requirepass", "second")
        client.client_kill_filter(_type="normal", skipme=True)
        for error_type in ("connection", "authentication", "authentication"):
            await probe.run()
            assert probe.state.error_type == error_type
        file.write_text("second\n")
        await probe.run()
        assert probe.state.error_type == "authentication"  # no attempt is made during the pause
        now += 1
        await probe.run()
        assert probe.state.error_type == ""
    finally:
        client.config_set("requirepass", "")


async def test_the_user_that_the_document_shows_may_do_what_is_needed_and_no_more(
    client: redis.Redis, redis_server: Server, make_probe: Callable[..., Probe]
) -> None:
    (line,) = re.findall(r"^ACL SETUSER .*$", DOCUMENT.read_text(), re.MULTILINE)
    client.rpush("list", "a")
    client.rpush("list\x06\x163", "a")
    client.xgroup_create("stream", "group", mkstream=True)
    client.xadd("stream", {"a": "b"})
    client.xreadgroup("group", "me", {"stream": ">"})
    client.sadd("set", "a")
    client.zadd("zset", {"a": 1})
    client.hset("hash", "a", "b")
    client.execute_command(*line.split())  # type: ignore[no-untyped-call]  # untyped in redis
    url = f"redis://claw_exporter@127.0.0.1:{redis_server.port}/0"
    try:
        probe = make_probe(
            url=Secret(url),
            password_file=Secret("PASSWORD"),
            queues=tuple(Queue(name=name) for name in ("list", "stream", "set", "zset", "hash", "none")),
            key_patterns=("*",),
            max_scanned_keys=1,
        )
        await probe.run()
        assert probe.state.error_type == ""
        assert dict(probe.series("claw_ai_queue_depth"))["main", "list"] == 2
        with (
            redis.Redis.from_url(url, password="PASSWORD") as other,
            pytest.raises(redis.exceptions.NoPermissionError),
        ):
            other.delete("list")
    finally:
        client.execute_command("ACL", "DELUSER", "claw_exporter")  # type: ignore[no-untyped-call]  # the same


async def test_attempts_grow_apart_while_a_server_is_away_and_start_afresh_once_it_was_there(
    redis_server: Server, make_probe: Callable[..., Probe]
) -> None:
    probe = make_probe()
    link, now, pauses = probe.collector.link, 0.0, []
    assert link is not None
    link.clock = lambda: now
    redis_server.stop()
    for _ in range(6):
        for _ in range(3):  # only the first is an attempt
            await probe.run()
        assert probe.state.error_type == "connection"
        pause = link.retry_seconds()
        assert pause is not None
        pauses.append(pause)
        now += pause
    assert [
        most * 0.75 <= pause <= most for pause, most in zip(pauses, (1, 2, 4, 8, 15, 15), strict=True)
    ] == ([True] * 6)
    redis_server.start()
    await probe.run()
    assert probe.state.error_type == ""
    redis_server.stop()
    await probe.run()
    await probe.run()
    pause = link.retry_seconds()
    assert pause is not None
    assert pause <= 1


def test_errors_of_the_driver_are_sorted() -> None:
    assert classify(redis.exceptions.TimeoutError(), _ERRORS) == "timeout"
    assert classify(redis.exceptions.BusyLoadingError(), _ERRORS) == "connection"
    assert classify(redis.exceptions.ResponseError(), _ERRORS) == "query"
