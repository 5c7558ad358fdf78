"""The bus on one machine: a Redis stream for each kind, read by a consumer group.

Redis has to keep what it is given: ``appendonly yes``, ``appendfsync always`` (or ``everysec``, where the
last second may go with the power), ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from claw_hub.bus import Bus, Lag, lua
from claw_hub.bus.gathering import Gatherer
from claw_hub.bus.reading import Reader
from claw_hub.errors import UnavailableError
from claw_hub.records import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from claw_hub.bus import Delivered, Entry

__all__ = ["RedisStreams", "connect"]

STREAMS: Final = {kind: f"claw:hub:stream:{kind}" for kind in Kind}
COUNTS: Final = "claw:hub:stream-counts"

# What Redis needs for an entry beside its body; only the high-water mark depends on it.
_ENTRY_BYTES: Final = 200
_RETRY_FULL_SECONDS: Final = 5
# What is read may be large; nobody waits for it.
_READ_SECONDS: Final = 10.0
_MEASURE_SECONDS: Final = 1.0
_NUMBERS: Final = {kind: number for number, kind in enumerate(STREAMS, start=1)}


def connect(url: str, *, connect_timeout_seconds: float = 1.0) -> Redis:
    """Returns a client as `RedisStreams` needs it: it never does twice what may have been done already."""
    return Redis.from_url(
        url,
        # With 3, redis-py does not look whether the server has closed a connection before it uses it.
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=connect_timeout_seconds,
        socket_timeout=None,  # each call here has its own deadline
    )


class RedisStreams(Bus):
    """Entries in Redis.

    An entry that `read` gave out comes again when it is not done: at once to a consumer of the same name in
    another process, otherwise after `claim_idle_seconds` to whoever reads next.

    Args:
        redis: As `connect` makes it.
        group: Who reads: each entry goes to one consumer of it.
        claim_idle_seconds: When a consumer that has not done an entry counts as dead.
        max_bytes: With more than this in the streams, nothing is accepted; less than Redis' ``maxmemory``.
        max_oldest_seconds: The same, when the oldest entry is older.
        timeout_seconds: How long Redis may take to answer.
        ticks: Seconds, steadily growing.
    """

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        redis: Redis,
        *,
        group: str = "worker",
        claim_idle_seconds: float = 60.0,
        max_bytes: int = 1_000_000_000,
        max_oldest_seconds: float = 6 * 3600.0,
        timeout_seconds: float = 2.0,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._group = group
        self._claim_idle_seconds = claim_idle_seconds
        self._max_bytes = max_bytes
        self._max_oldest_seconds = max_oldest_seconds
        self._timeout_seconds = timeout_seconds
        self._ticks = ticks
        self._append = redis.register_script(lua.APPEND)
        self._done = redis.register_script(lua.DONE)
        self._lag = redis.register_script(lua.LAG)
        self._gatherer = Gatherer(self._send, timeout_seconds=timeout_seconds)
        self._readers: dict[str, Reader] = {}
        self._measured_at = float("-inf")
        self._bytes = 0
        self._oldest_seconds = 0.0

    async def append(self, entry: Entry) -> str:
        """Makes an entry durable; returns its id.

        Raises:
            UnavailableError: It may or may not have been appended; the client has to send it again.
        """
        return await self._gatherer.append(entry)

    async def read(self, consumer: str, *, count: int, block_seconds: float) -> Sequence[Delivered]:
        """Returns entries for `consumer`: first those of its earlier life, then those of dead consumers.

        Args:
            consumer: Its name within the group.
            count: At most so many; one of each kind may come where it is less than the kinds.
            block_seconds: How long to wait for one where there is none.

        Raises:
            UnavailableError: Redis is away. What was given out before may come again.
        """
        try:
            async with self._answering(block_seconds + _READ_SECONDS):
                return await self._reader(consumer).read(count=count, block_seconds=block_seconds)
        except UnavailableError:
            # What Redis gave, and we have not seen, is ours, and comes first when it is back.
            self._readers.pop(consumer, None)
            raise

    def _reader(self, consumer: str) -> Reader:
        if consumer not in self._readers:
            self._readers[consumer] = Reader(
                self._redis,
                group=self._group,
                consumer=consumer,
                streams=STREAMS,
                claim_idle_seconds=self._claim_idle_seconds,
                ticks=self._ticks,
            )
        return self._readers[consumer]

    async def done(self, delivered: Sequence[Delivered]) -> None:
        """Forgets entries: what they held is stored elsewhere; doing it again is harmless.

        Raises:
            UnavailableError: Redis is away; they come again.
        """
        for kind, stream in STREAMS.items():
            arguments = [
                argument
                for each in delivered
                if each.entry.kind is kind
                for argument in (each.id, each.entry.count, len(each.entry.body))
            ]
            if arguments:
                async with self._answering():
                    await self._done(keys=[COUNTS, stream], args=[self._group, kind, *arguments])

    async def lag(self) -> Lag:
        """Tells what is not done.

        Raises:
            UnavailableError: Redis is away.
        """
        async with self._answering():
            found = await self._lag(keys=[COUNTS, *STREAMS.values()], args=list(STREAMS))
        by_kind = dict(zip(STREAMS, found, strict=True))
        return Lag(
            entries={kind: entries for kind, (entries, _, _, _) in by_kind.items()},
            records={kind: max(entries, records) for kind, (entries, records, _, _) in by_kind.items()},
            oldest_seconds={kind: oldest_ms / 1000 for kind, (_, _, _, oldest_ms) in by_kind.items()},
            bytes=sum(size + entries * _ENTRY_BYTES for entries, _, size, _ in found),
        )

    async def close(self) -> None:
        """Lets go of connections; appends that are under way fail."""
        await self._gatherer.close()
        await self._redis.aclose()

    async def _send(self, entries: Sequence[Entry]) -> Sequence[str]:
        await self._refuse_when_full()
        arguments = [argument for entry in entries for argument in _arguments(entry)]
        async with self._answering():
            ids = await self._append(keys=[COUNTS, *STREAMS.values()], args=arguments)
        self._bytes += sum(_ENTRY_BYTES + len(entry.body) for entry in entries)
        return [entry_id.decode() for entry_id in ids]

    async def _refuse_when_full(self) -> None:
        """Measures now and then; what was appended in between is added by `_send`."""
        if self._ticks() >= self._measured_at + _MEASURE_SECONDS:
            lag = await self.lag()
            self._bytes = lag.bytes
            self._oldest_seconds = max(lag.oldest_seconds.values())
            self._measured_at = self._ticks()
        if self._bytes > self._max_bytes or self._oldest_seconds > self._max_oldest_seconds:
            raise UnavailableError(
                f"too much waits to be stored: {self._bytes} bytes (at most {self._max_bytes}), the oldest "
                f"since {self._oldest_seconds:.0f} seconds (at most {self._max_oldest_seconds:g}); "
                "the worker has to catch up first",
                retry_after_seconds=_RETRY_FULL_SECONDS,
            )

    @asynccontextmanager
    async def _answering(self, more_seconds: float = 0.0) -> AsyncIterator[None]:
        """Turns everything that Redis may do wrong into one error, soon."""
        try:
            async with asyncio.timeout(more_seconds + self._timeout_seconds):
                yield
        except TimeoutError:
            raise UnavailableError("Redis has not answered in time") from None
        except ResponseError as error:
            raise UnavailableError(f"Redis refuses: {error}") from error
        except (RedisError, OSError) as error:
            raise UnavailableError(f"Redis is away: {error}") from error


def _arguments(entry: Entry) -> tuple[str | int | bytes, ...]:
    return (
        _NUMBERS[entry.kind],
        entry.kind,
        entry.tenant_id,
        entry.received_us,
        entry.count,
        entry.idempotency_key,
        entry.body,
    )
