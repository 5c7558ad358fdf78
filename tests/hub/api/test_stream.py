"""Server-sent events over real connections, and the tickets that open them."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from claw_hub.api import Pace, Tickets
from claw_hub.api.event_stream import EventStream
from claw_hub.errors import CredentialsError, UnavailableError

BASE = "/api/v1/observability"


@dataclass(frozen=True)
class Event:
    tenant_id: int
    project_id: str
    kind: str
    data: dict[str, Any]


async def publish(live: Any, tenant: int, *numbers: int, project: str = "p1", kind: str = "usage") -> None:
    await live.publish([Event(tenant, project, kind, {"number": number}) for number in numbers])


async def test_events_come_as_they_are_published(listen: Any, live: Any) -> None:
    listener = await listen("hc_1")
    assert listener.answer.headers["content-type"].startswith("text/event-stream")
    assert listener.answer.headers["cache-control"] == "no-cache, no-store"
    assert listener.answer.headers["x-accel-buffering"] == "no"
    await publish(live, 1, 1)
    await publish(live, 1, 2, kind="execution")
    assert await listener.next() == ("usage", {"number": 1})
    assert await listener.next() == ("execution", {"number": 2})


async def test_only_a_projects_events_come_where_one_is_named(listen: Any, live: Any) -> None:
    listener = await listen("hc_1", project="p2")
    await publish(live, 1, 1)
    await publish(live, 1, 2, project="p2")
    assert await listener.expect(1) == [{"number": 2}]


@pytest.mark.parametrize("way", ["header", "parameter"])
async def test_a_client_goes_on_after_the_last_event_it_has_seen(listen: Any, live: Any, way: str) -> None:
    first = await listen("hc_1")
    await publish(live, 1, 1, 2, 3)
    await first.next()
    seen = first.last_id
    await first.answer.aclose()
    await publish(live, 1, 4)
    header = {"Last-Event-ID": seen} if way == "header" else {}
    parameter = {"last_event_id": seen} if way == "parameter" else {}
    second = await listen("hc_1", header, **parameter)
    assert await second.expect(3) == [{"number": 2}, {"number": 3}, {"number": 4}]


async def test_a_client_that_has_seen_no_event_goes_on_from_where_it_connected(
    listen: Any, live: Any
) -> None:
    first = await listen("hc_1")
    await first.answer.aclose()
    await publish(live, 1, 1)
    second = await listen("hc_1", {"Last-Event-ID": first.last_id})
    assert await second.expect(1) == [{"number": 1}]


async def test_there_are_signs_of_life_while_nothing_happens(listen: Any, live: Any) -> None:
    listener = await listen("hc_1", project="p2")
    await publish(live, 1, 1)
    before = listener.last_id
    async with asyncio.timeout(20):
        async for line in listener.lines:
            if line.startswith("id: ") and line != f"id: {before}":
                break
            assert line in {"", ": heartbeat", f"id: {before}"}
    assert line.removeprefix("id: ") > before, "what was left out is not asked for again"


async def test_a_stream_ends_when_its_key_is_revoked(listen: Any, people: Any) -> None:
    listener = await listen("hc_1")
    people.revoked.add("hc_1")
    name, data = await listener.next()
    assert (name, data["reason"]) == ("closed", "err-claw-hub-credentials")
    with pytest.raises(EOFError):
        await listener.next()


async def test_a_stream_goes_on_while_nobody_can_tell_whether_its_key_is_good(
    listen: Any, live: Any, people: Any
) -> None:
    listener = await listen("hc_1")
    people.error = UnavailableError("Postgres is away")
    async with asyncio.timeout(20):
        async for line in listener.lines:
            listener.comments += line.startswith(":")
            if listener.comments == 3:
                break
    await publish(live, 1, 1)
    assert await listener.expect(1) == [{"number": 1}]


async def test_streams_end_when_the_process_is_told_to(listen: Any, live: Any) -> None:
    listener = await listen("hc_1")
    await live.close()
    name, data = await listener.next()
    assert (name, data["reason"]) == ("closed", "stopping")


async def test_a_client_that_goes_leaves_nothing_behind(listen: Any, live: Any) -> None:
    listener = await listen("hc_1")
    assert live.subscriptions == 1
    await listener.answer.aclose()
    async with asyncio.timeout(20):
        while live.subscriptions:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("parameters", "headers", "status", "error"),
    [
        ({}, {"Last-Event-ID": "soon"}, 400, "err-claw-hub-bad-cursor"),
        ({"last_event_id": "soon"}, {}, 400, "err-claw-hub-bad-cursor"),
        ({}, {"Last-Event-ID": "1" * 65}, 400, "err-claw-hub-bad-query"),
        ({"colour": "red"}, {}, 400, "err-claw-hub-bad-query"),
        ({"ticket": "x" * 129}, {}, 400, "err-claw-hub-bad-query"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_the_stream_begins(
    listen: Any, parameters: Any, headers: Any, status: int, error: str
) -> None:
    answer = (await listen("hc_1", headers, **parameters)).answer
    assert (answer.status_code, answer.json()["error"]) == (status, error)


class SlowClient:
    """Takes the beginning of an answer, and then nothing."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.sent: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self.takes:
            await asyncio.Event().wait()
        self.sent.append(message.get("body", b""))


async def allowed() -> None:
    """Nobody minds."""


async def test_a_client_that_takes_nothing_is_given_up(live: Any) -> None:
    client = SlowClient(takes=2)
    subscription = await live.subscribe(1)
    pace = Pace(heartbeat_seconds=0.01, send_seconds=0.05)
    stream = EventStream(subscription, check=allowed, pace=pace, ticks=lambda: 0.0)
    with pytest.raises(TimeoutError):
        await stream({"type": "http"}, client.receive, client.send)
    assert live.subscriptions == 0


async def test_a_slow_client_is_told_why_it_is_dropped(live: Any) -> None:
    client = SlowClient(takes=99)
    subscription = await live.subscribe(1)
    subscription.end("slow", "too slow")
    stream = EventStream(subscription, check=allowed, pace=Pace(), ticks=lambda: 0.0)
    await stream({"type": "http"}, client.receive, client.send)
    assert b'event: closed\ndata: {"reason":"slow"' in client.sent[-2]
    assert client.sent[-1] == b""


async def test_nobody_stays_for_ever(live: Any) -> None:
    client, ticks = SlowClient(takes=99), iter(range(0, 10_000, 1000))
    pace = Pace(heartbeat_seconds=0.01, longest_seconds=3600.0)
    stream = EventStream(await live.subscribe(1), check=allowed, pace=pace, ticks=lambda: float(next(ticks)))
    await stream({"type": "http"}, client.receive, client.send)
    assert b'{"reason":"expired"' in client.sent[-2]


async def test_a_stream_whose_past_cannot_be_read_says_so(live: Any, redis_server: Any) -> None:
    first = await live.subscribe(1)
    start = str(first.position)
    await publish(live, 1, 1)
    await first.next(20)
    again = await live.subscribe(1, after_id=start)
    redis_server.stop()
    client = SlowClient(takes=99)
    await EventStream(again, check=allowed, pace=Pace(), ticks=lambda: 0.0)({}, client.receive, client.send)
    assert b'{"reason":"unavailable"' in client.sent[-2]


# -- Tickets -----------------------------------------------------------------------------------------------
async def ticket(client: Any, key: str = "hc_1") -> str:
    answer = await client.post(f"{BASE}/stream/tickets", headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()["expires_in_seconds"]) == (201, 30)
    issued: str = answer.json()["ticket"]
    return issued


async def test_a_ticket_opens_a_stream_of_its_tenant_once(listen: Any, live: Any, client: Any) -> None:
    issued = await ticket(client)
    listener = await listen(ticket=issued)
    await publish(live, 2, 1)
    await publish(live, 1, 2)
    assert await listener.expect(1) == [{"number": 2}]
    again = await listen(ticket=issued)
    assert (again.answer.status_code, again.answer.json()["error"]) == (401, "err-claw-hub-credentials")


async def test_a_ticket_stream_lives_on_heartbeats_too(listen: Any, live: Any, client: Any) -> None:
    listener = await listen(ticket=await ticket(client))
    async with asyncio.timeout(20):
        async for line in listener.lines:
            listener.comments += line.startswith(":")
            if listener.comments == 2:
                break
    assert live.subscriptions == 1


async def test_a_ticket_is_good_for_thirty_seconds_and_only_its_hash_is_kept(redis: Any, client: Any) -> None:
    issued = await ticket(client)
    [key] = await redis.keys("claw:hub:ticket:*")
    assert 0 < await redis.ttl(key) <= 30
    assert issued not in key.decode()
    assert issued not in (await redis.get(key)).decode()


async def test_tickets_are_not_given_to_nobody(client: Any) -> None:
    for path in ("/stream/tickets", "/stream/tickets/"):
        assert (await client.post(BASE + path)).status_code == 401


async def test_of_many_who_show_a_ticket_at_once_one_gets_in(redis: Any, people: Any) -> None:
    tickets = Tickets(redis)
    issued = await tickets.issue(await people(api_key="hc_1"))
    answers = await asyncio.gather(*(tickets.redeem(issued) for _ in range(20)), return_exceptions=True)
    assert sum(not isinstance(answer, CredentialsError) for answer in answers) == 1


async def test_without_redis_there_are_no_tickets(people: Any, redis: Any, redis_server: Any) -> None:
    tickets = Tickets(redis)
    principal = await people(api_key="hc_1")
    redis_server.stop()
    with pytest.raises(UnavailableError):
        await tickets.issue(principal)
    with pytest.raises(UnavailableError):
        await tickets.redeem("x")
