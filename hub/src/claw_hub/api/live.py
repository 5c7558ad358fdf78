"""Records on their way to who watches, across processes.

What is published goes into one capped Redis stream for each tenant that somebody watches, and a message
without content rings at every process. Each process reads a tenant's stream once, for all who watch there;
who comes back with the id of the last event gets what he missed from the stream. Best effort: the records
themselves are in the warehouse.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from claw_hub.api.positions import Position
from claw_hub.api.subscriptions import Message, Subscription
from claw_hub.errors import UnavailableError

__all__ = ["Event", "Live"]

_log: Final = logging.getLogger("claw_hub.api.live")

STREAM: Final = "claw:hub:live:stream:"
BELL: Final = "claw:hub:live:bell:"
WATCHED: Final = "claw:hub:live:watched:"

EVENTS_AN_ENTRY: Final = 50
MAX_ENTRIES: Final = 200
MAX_DATA_BYTES: Final = 4096
SHORT_BYTES: Final = 256
# How long what was published, and that somebody watched, is remembered after the last of it.
KEEP_SECONDS: Final = 3600
# How often a stream is read although no bell rang: rings are lost where a connection is.
LOOK_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 0.5
ENTRIES_A_READ: Final = 20


class Event(Protocol):
    """What is published; `claw_hub.records.LiveEvent` is one."""

    @property
    def tenant_id(self) -> int:
        """Who may see it."""

    @property
    def project_id(self) -> str:
        """Its project; empty where it has none."""

    @property
    def kind(self) -> str:
        """Name of the event that clients listen for."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What they get, as JSON."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a stream.

    Attributes:
        messages: What it holds.
        end: Where to go on.
        gap: Whether there was more between it and where the reader was, which is gone.
        more: Whether there may be more behind it.
    """

    messages: Sequence[Message]
    end: Position
    gap: bool
    more: bool


class Live:
    """Publishes, and lets watch.

    Args:
        redis: A connection pool's client; it stays the caller's.
        max_subscriptions: In this process, at most.
        max_waiting: Events that wait for one reader, at most; who is slower is dropped.
    """

    def __init__(self, redis: Redis, *, max_subscriptions: int = 1000, max_waiting: int = 1000) -> None:
        self._redis = redis
        self._max_subscriptions = max_subscriptions
        self._max_waiting = max_waiting
        self._feeds: dict[int, _Feed] = {}
        self._listener: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def publish(self, events: Sequence[Event]) -> int:
        """Shows events to who watches; returns how many were shown, 0 where nobody does or Redis is away."""
        by_tenant: dict[int, list[Event]] = {}
        for event in events:
            by_tenant.setdefault(event.tenant_id, []).append(event)
        try:
            watched = await self._watched(list(by_tenant))
            for tenant_id in watched:
                await self._append(tenant_id, by_tenant[tenant_id])
        except (RedisError, OSError) as error:
            _log.warning("not shown to who watches", extra={"fields": {"why": str(error)}})
            return 0
        return sum(len(by_tenant[tenant_id]) for tenant_id in watched)

    async def subscribe(self, tenant_id: int, *, after_id: str = "", project: str = "") -> Subscription:
        """Returns what a tenant's events can be read from, until it is closed.

        Args:
            tenant_id: Whose.
            after_id: The last event that was seen; by default only what comes from now on.
            project: Only this project's; empty stands for all.

        Raises:
            CursorError: `after_id` is none.
            UnavailableError: Redis is away, or too many watch already.
        """
        after = Position.parse(after_id) if after_id else None
        if self._closed or self.subscriptions >= self._max_subscriptions:
            raise UnavailableError("too many live streams are open; try again, or ask another process")
        feed = await self._feed(tenant_id)
        subscription = Subscription(
            feed, after=after, project=project, max_waiting=self._max_waiting, leave=self._leave
        )
        feed.subscriptions.add(subscription)
        return subscription

    @property
    def subscriptions(self) -> int:
        """How many are open in this process."""
        return sum(len(feed.subscriptions) for feed in self._feeds.values())

    async def close(self) -> None:
        """Tells everybody who watches to come again later; call it when the process is told to end."""
        self._closed = True
        feeds = list(self._feeds.values())
        for subscription in [subscription for feed in feeds for subscription in feed.subscriptions]:
            subscription.end("stopping", "the server stops; connect again with the id of the last event")
        tasks = [feed.task for feed in feeds] + [self._listener]
        self._feeds.clear()
        self._listener = None
        await _ended([task for task in tasks if task is not None])

    # -- Publishing ----------------------------------------------------------------------------------------
    async def _watched(self, tenant_ids: list[int]) -> list[int]:
        if not tenant_ids:
            return []
        marks = await self._redis.mget([f"{WATCHED}{tenant_id}" for tenant_id in tenant_ids])
        return [tenant_id for tenant_id, mark in zip(tenant_ids, marks, strict=True) if mark is not None]

    async def _append(self, tenant_id: int, events: Sequence[Event]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            events = events[-MAX_ENTRIES * EVENTS_AN_ENTRY :]
            for begin in range(0, len(events), EVENTS_AN_ENTRY):
                part = events[begin : begin + EVENTS_AN_ENTRY]
                fields: Any = {str(index): _packed(event) for index, event in enumerate(part)}
                pipeline.xadd(f"{STREAM}{tenant_id}", fields, maxlen=MAX_ENTRIES, approximate=True)
            pipeline.expire(f"{STREAM}{tenant_id}", KEEP_SECONDS)
            pipeline.publish(f"{BELL}{tenant_id}", b"")
            await pipeline.execute()

    # -- Reading -------------------------------------------------------------------------------------------
    async def _feed(self, tenant_id: int) -> "_Feed":
        async with self._opening:
            feed = self._feeds.get(tenant_id)
            if feed is None:
                feed = _Feed(self._redis, tenant_id)
                await feed.open()
                self._feeds[tenant_id] = feed
                feed.task = asyncio.create_task(feed.run(), name=f"live {tenant_id}")
            if self._listener is None:
                self._listener = asyncio.create_task(self._listen(), name="live bells")
            return feed

    def _leave(self, subscription: Subscription) -> None:
        for tenant_id, feed in list(self._feeds.items()):
            feed.subscriptions.discard(subscription)
            if not feed.subscriptions and feed.task is not None:
                feed.task.cancel()
                del self._feeds[tenant_id]

    async def _listen(self) -> None:
        """Wakes feeds when their bells ring; comes back when Redis does."""
        while True:
            with suppress(RedisError, OSError):
                async with self._redis.pubsub() as bells:
                    await bells.psubscribe(f"{BELL}*")
                    # What was published before this subscription was, nobody rang for.
                    self._wake(self._feeds)
                    while True:
                        rung = await bells.get_message(ignore_subscribe_messages=True, timeout=LOOK_SECONDS)
                        if rung is not None:
                            self._wake([int(_text(rung["channel"]).removeprefix(BELL))])
            await asyncio.sleep(RETRY_SECONDS)

    def _wake(self, tenant_ids: Iterable[int]) -> None:
        for tenant_id in tenant_ids:
            feed = self._feeds.get(tenant_id)
            if feed is not None:
                feed.bell.set()


class _Feed:
    """Reads one tenant's stream, for all who watch it in this process."""

    def __init__(self, redis: Redis, tenant_id: int) -> None:
        self._redis = redis
        self._tenant_id = tenant_id
        self.position = Position()
        self.subscriptions: set[Subscription] = set()
        self.bell = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Finds the end of the stream.

        Raises:
            UnavailableError: Redis is away.
        """
        try:
            await self._watch()
            newest: Any = await self._redis.xrevrange(f"{STREAM}{self._tenant_id}", count=1)
        except (RedisError, OSError) as error:
            raise UnavailableError("the live stream is away; try again") from error
        if newest:
            self.position = Position.of(_text(newest[0][0]), len(newest[0][1]) - 1)

    async def run(self) -> None:
        """Hands out what comes."""
        while True:
            self.bell.clear()
            try:
                if (await self._forward()).more:
                    continue
                await self._watch()
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.bell.wait()

    async def page(self, after: Position) -> Page:
        """Reads what comes after a position.

        Raises:
            RedisError: Redis is away.
        """
        key = f"{STREAM}{self._tenant_id}"
        # The entry of the position itself is read, too: where it is gone, so may be others behind it.
        entries: Any = await self._redis.xrange(key, min=after.entry, count=ENTRIES_A_READ + 1)
        messages = [message for entry, fields in entries for message in _messages(_text(entry), fields)]
        there = bool(entries) and _text(entries[0][0]) == after.entry
        end = messages[-1].position if messages else after
        return Page(
            [message for message in messages if message.position > after],
            max(end, after),
            gap=not there and after != Position(),
            more=len(entries) > ENTRIES_A_READ,
        )

    async def _forward(self) -> Page:
        page = await self.page(self.position)
        lost = page.gap and bool(page.messages)
        for subscription in list(self.subscriptions):
            if lost:
                subscription.offer(Message.gap(self.position))
            for message in page.messages:
                subscription.offer(message)
        self.position = page.end
        return page

    async def _watch(self) -> None:
        await self._redis.set(f"{WATCHED}{self._tenant_id}", 1, ex=KEEP_SECONDS)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels tasks until they end: a Redis client that connects takes a cancellation for its own."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=RETRY_SECONDS)


def _packed(event: Event) -> bytes:
    """Returns an event as a line about it, and its data in another."""
    return orjson.dumps([str(event.kind), event.project_id]) + b"\n" + _fitting(event.data)


def _fitting(data: Mapping[str, Any]) -> bytes:
    packed = orjson.dumps(data, default=str)
    if len(packed) <= MAX_DATA_BYTES:
        return packed
    short = {
        name: value for name, value in data.items() if len(orjson.dumps(value, default=str)) <= SHORT_BYTES
    }
    return orjson.dumps({**short, "truncated": True}, default=str)


def _messages(entry: str, fields: Mapping[Any, Any]) -> Iterable[Message]:
    for index, value in fields.items():
        head, _, data = (value.encode() if isinstance(value, str) else value).partition(b"\n")
        kind, project = orjson.loads(head)
        yield Message(Position.of(entry, int(index)), kind, data, project)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
