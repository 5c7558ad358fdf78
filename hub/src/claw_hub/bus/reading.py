"""How one consumer reads Redis' streams."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from claw_hub.bus import Delivered, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from redis.asyncio import Redis

    from claw_hub.records import Kind

__all__ = ["Reader"]

_log: Final = logging.getLogger("claw_hub.bus")

_FIRST: Final = "0-0"
_NEW: Final = ">"
# How many more of a consumer's entries may lie between those whose deliveries are asked for.
_BETWEEN: Final = 1_000
# Looking for dead consumers more often than this many times in their time to live is of no use.
_CLAIMS_PER_IDLE_TIME: Final = 10

# Bodies may be large: so many are asked for at once, until they are so large together.
_AT_ONCE: Final = 32
_BYTES: Final = 16_000_000

_Sent = tuple[bytes, "dict[bytes, bytes]"]


class _Found:
    """What one call of `read` gives out.

    Args:
        count: At most so many.
    """

    def __init__(self, count: int) -> None:
        self.delivered: list[Delivered] = []
        self._count = count
        self._bytes = 0

    @property
    def room(self) -> int:
        """How many to ask for next; 0 where there is enough."""
        return min(_AT_ONCE, self._count - len(self.delivered)) if self._bytes < _BYTES else 0

    def add(self, delivered: Sequence[Delivered]) -> None:
        """Takes more."""
        self.delivered += delivered
        self._bytes += sum(len(each.entry.body) for each in delivered)


class Reader:
    """Reads for one consumer; a new one of the same name begins with what the one before has not done.

    Args:
        redis: The connections.
        group: The consumer's group; it is made where it is missing.
        consumer: The consumer's name.
        streams: Where the entries of each kind are.
        claim_idle_seconds: When a consumer that has not done an entry counts as dead.
        ticks: Seconds, steadily growing.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        redis: Redis,
        *,
        group: str,
        consumer: str,
        streams: Mapping[Kind, str],
        claim_idle_seconds: float,
        ticks: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._group = group
        self._consumer = consumer
        self._streams = dict(streams)
        self._claim_idle_seconds = claim_idle_seconds
        self._ticks = ticks
        self._kinds = {stream.encode(): kind for kind, stream in streams.items()}
        self._own_from: dict[Kind, str] = dict.fromkeys(streams, _FIRST)
        self._claim_from: dict[Kind, str] = dict.fromkeys(streams, _FIRST)
        self._claim_at = float("-inf")
        self._has_group = False

    async def read(self, *, count: int, block_seconds: float) -> Sequence[Delivered]:
        """Returns up to `count` entries, or one of each kind; waits for the first where there is none."""
        try:
            return await self._read(count, block_seconds)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            self._has_group = False  # Redis was emptied
            return await self._read(count, block_seconds)

    async def _read(self, count: int, block_seconds: float) -> Sequence[Delivered]:
        if not self._has_group:
            await self._make_group()
        found = _Found(count)
        await self._own(found)
        await self._claimed(found)
        await self._fresh(found)
        if found.delivered or not block_seconds:
            return found.delivered
        return await self._awaited(count, block_seconds)

    async def _make_group(self) -> None:
        for stream in self._streams.values():
            try:
                await self._redis.xgroup_create(stream, self._group, id=_FIRST, mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        self._has_group = True

    async def _own(self, found: _Found) -> None:
        """Goes once through what a consumer of this name was given before."""
        for kind in list(self._own_from):
            while found.room and kind in self._own_from:
                room = found.room
                read = await self._group_read({kind: self._own_from[kind]}, room)
                entries = read.get(kind, [])
                if len(entries) < room:
                    del self._own_from[kind]
                else:
                    self._own_from[kind] = entries[-1][0].decode()
                found.add(await self._again(kind, entries))

    async def _claimed(self, found: _Found) -> None:
        """Takes over what other consumers have left undone for too long, and this one too."""
        if self._ticks() < self._claim_at:
            return
        for kind, stream in self._streams.items():
            if found.room:
                found.add(await self._claim(kind, stream, found.room))
        if found.room:
            self._claim_at = self._ticks() + self._claim_idle_seconds / _CLAIMS_PER_IDLE_TIME

    async def _claim(self, kind: Kind, stream: str, count: int) -> list[Delivered]:
        answer: list[Any] = await self._redis.xautoclaim(
            stream,
            self._group,
            self._consumer,
            min_idle_time=int(self._claim_idle_seconds * 1000),
            start_id=self._claim_from[kind],
            count=count,
        )
        self._claim_from[kind] = answer[0].decode()
        return await self._again(kind, answer[1])

    async def _again(self, kind: Kind, entries: Sequence[_Sent]) -> list[Delivered]:
        if not entries:
            return []
        pending: Any = await self._redis.xpending_range(
            self._streams[kind],
            self._group,
            min=entries[0][0],
            max=entries[-1][0],
            count=len(entries) + _BETWEEN,
            consumername=self._consumer,
        )
        deliveries = {each["message_id"]: each["times_delivered"] for each in pending}
        return list(_delivered(kind, entries, deliveries))

    async def _fresh(self, found: _Found) -> None:
        for kind in list(self._streams):
            while room := found.room:
                read = await self._group_read({kind: _NEW}, room)
                entries = read.get(kind, [])
                found.add(list(_delivered(kind, entries)))
                if len(entries) < room:
                    break
        self._turn()

    def _turn(self) -> None:
        """Lets another kind be first the next time, so that none starves."""
        first = next(iter(self._streams))
        self._streams[first] = self._streams.pop(first)

    async def _awaited(self, count: int, block_seconds: float) -> list[Delivered]:
        each = min(max(1, count // len(self._streams)), _AT_ONCE)
        found = await self._group_read(
            dict.fromkeys(self._streams, _NEW), each, block_ms=max(1, int(block_seconds * 1000))
        )
        return [delivered for kind, entries in found.items() for delivered in _delivered(kind, entries)]

    async def _group_read(
        self, after: Mapping[Kind, str], count: int, *, block_ms: int | None = None
    ) -> dict[Kind, list[_Sent]]:
        answer: Any = await self._redis.xreadgroup(
            self._group,
            self._consumer,
            {self._streams[kind]: entry_id for kind, entry_id in after.items()},
            count=count,
            block=block_ms,
        )
        return {self._kinds[stream]: entries for stream, entries in answer or []}


def _delivered(
    kind: Kind, entries: Iterable[_Sent], deliveries: Mapping[bytes, int] | None = None
) -> Iterable[Delivered]:
    for entry_id, fields in entries:
        try:
            entry = _entry(kind, fields)
        except (KeyError, TypeError, ValueError):
            # Nobody of ours wrote it. It stays, for somebody to look at it, and is in the way of nothing.
            _log.exception("not an entry", extra={"fields": {"kind": kind, "entry_id": entry_id.decode()}})
            continue
        times = 1 if deliveries is None else deliveries.get(entry_id, 2)
        yield Delivered(id=entry_id.decode(), entry=entry, deliveries=times)


def _entry(kind: Kind, fields: Mapping[bytes, bytes]) -> Entry:
    return Entry(
        kind=kind,
        tenant_id=int(fields[b"tenant"]),
        received_us=int(fields[b"received_us"]),
        body=fields[b"body"],
        count=int(fields[b"count"]),
        idempotency_key=fields[b"idempotency_key"].decode(),
    )
