"""A Redis server: whether it answers, its queues, how many keys match a pattern."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from claw_exporter import catalog
from claw_exporter.collectors.base import Classified, Collector, Labels, Link, Report, Schedule
from claw_exporter.collectors.queues import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.settings import Redis

_SCAN_COUNT: Final = 1_000

_ERRORS: Final[Classified] = (
    (redis.exceptions.AuthenticationError, "authentication"),
    (redis.exceptions.TimeoutError, "timeout"),
    ((redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError), "connection"),
    (redis.exceptions.RedisError, "query"),
)


def link_to(target: Redis) -> Link[redis.asyncio.Redis]:
    """Make the one link to a server."""

    async def connect() -> redis.asyncio.Redis:
        # Read for each connection: a password that was changed needs no restart.
        password = await asyncio.to_thread(target.password_file.fresh) if target.password_file else None
        client = redis.asyncio.Redis.from_url(
            target.url.value,
            single_connection_client=True,
            decode_responses=True,
            encoding_errors="replace",
            client_name="claw-exporter",
            retry=Retry(NoBackoff(), 0),
            socket_timeout=target.timeout_seconds,
            socket_connect_timeout=target.timeout_seconds,
            password=password,
        )
        try:
            await client.initialize()
        except BaseException:
            _discard(client)
            raise
        return client

    return Link(connect, _discard)


def _discard(client: redis.asyncio.Redis) -> None:
    connection, client.connection = client.connection, None
    if connection is not None:
        # Closes the socket without waiting for the server; only the driver's bookkeeping is left to await.
        task = asyncio.get_running_loop().create_task(connection.disconnect(nowait=True))
        _closing.add(task)
        task.add_done_callback(_closing.discard)


class RedisCollector(Collector):
    """Watches one server.

    Args:
        target: Which.
        clock: Unix time.
    """

    metrics = (catalog.QUEUE_DEPTH, catalog.QUEUE_OLDEST_AGE, catalog.REDIS_KEYS)
    up = catalog.REDIS_UP
    errors = _ERRORS

    def __init__(self, target: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._link = link_to(target)
        name = f"redis/{target.name}"
        super().__init__(
            Schedule(
                name=name, interval_seconds=target.interval_seconds, timeout_seconds=target.timeout_seconds
            ),
            self._link,
            origin=(target,),
        )
        self._target = target
        self.up_labels = (target.name,)

    async def collect(self) -> Report:
        """Ping, measure the queues, count the keys."""
        client, target = await self._link.get(), self._target
        await client.ping()
        depths: dict[Labels, float] = {}
        ages: dict[Labels, float] = {}
        for queue in target.queues:
            depth, age = await measure(client, queue, self._clock())
            depths[target.name, queue.name] = float(depth)
            if age is not None:
                ages[target.name, queue.name] = age
        counts: dict[Labels, float] = {}
        dropped = 0
        for pattern in target.key_patterns:
            found, unseen = await count_keys(client, pattern, limit=target.max_scanned_keys)
            counts[target.name, pattern] = float(found)
            dropped += unseen
        series = {
            catalog.QUEUE_DEPTH.name: depths,
            catalog.QUEUE_OLDEST_AGE.name: ages,
            catalog.REDIS_KEYS.name: counts,
        }
        return Report(series, dropped)


async def count_keys(client: redis.asyncio.Redis, pattern: str, *, limit: int) -> tuple[int, int]:
    """Count the keys that match, looking at about ``limit`` keys at the most.

    Returns:
        Keys that match, and keys that were not looked at.
    """
    found = seen = cursor = 0
    step = min(_SCAN_COUNT, limit)
    while seen < limit:
        cursor, keys = await client.scan(cursor, match=pattern, count=step)
        found += len(keys)
        seen += step
        if cursor == 0:
            return found, 0
    return found, max(0, int(await client.dbsize()) - seen)


_closing: Final[set[asyncio.Task[None]]] = set()
