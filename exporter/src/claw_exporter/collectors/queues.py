"""How deep a queue of Redis is, and how long its oldest entry has waited.

Nothing here grows with the queue: lengths are counters of Redis, and only the entries at the ends are looked
at. Where an entry does not say when it was put there, its age is not known, and nothing is said about it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from claw_exporter.collectors.base import ProbeError

if TYPE_CHECKING:
    import redis.asyncio

    from claw_exporter.settings import Queue

# How kombu, which Celery sends its tasks with, names the lists of one queue: the plain name for the highest
# priority, and this with 1 to 9 behind it for the others, as far as they are used.
PRIORITY_SEPARATOR: Final = "\x06\x16"
_PRIORITIES: Final = tuple(str(priority) for priority in range(1, 10))
# Where a producer of Celery's messages may have left the time: headers and properties are looked through.
_CELERY_FIELDS: Final = ("enqueued_at", "published_at", "sent_at", "timestamp")
_CELERY_PARTS: Final = ("headers", "properties")
# A number is a time in seconds, milliseconds, microseconds or nanoseconds, by its size (2001 to 2096).
_UNITS: Final = (1.0, 1e3, 1e6, 1e9)
_EARLIEST, _LATEST = 1e9, 4e9
_MOST_GROUPS: Final = 100


class Measure(NamedTuple):
    """What is known of a queue.

    Attributes:
        depth: Entries that wait.
        age_seconds: How long the oldest has; 0 where none waits, None where that cannot be known.
    """

    depth: int
    age_seconds: float | None


async def measure(client: redis.asyncio.Redis, queue: Queue, now: float) -> Measure:
    """Measure one queue; one that does not exist is empty, for Redis removes a list that became empty.

    Args:
        client: Decodes what it reads.
        queue: Which, and where its entries say when they came.
        now: Unix time.

    Raises:
        ProbeError: The key holds something that is no queue.
    """
    kind = str(await client.type(queue.name))
    reader = _READERS.get(kind)
    if reader is None:
        raise ProbeError(
            "result", f"the key {queue.name!r} is a {kind}; a queue is one of {', '.join(sorted(_KINDS))}"
        )
    return await reader(client, queue, now)


async def _list(client: redis.asyncio.Redis, queue: Queue, now: float) -> Measure:
    separator = queue.priority_separator or PRIORITY_SEPARATOR
    keys = [queue.name]
    lower = [f"{queue.name}{separator}{priority}" for priority in _PRIORITIES]
    if await client.exists(*lower):
        keys += lower
    # One command after the other: a pipeline of this driver would open a second connection.
    lengths = [await _ask(client, "LLEN", key) for key in keys]
    waiting = [key for key, length in zip(keys, lengths, strict=True) if length]
    # Producers push at one end or at the other.
    entries = [await _ask(client, "LINDEX", key, end) for key in waiting for end in (0, -1)]
    # One that a worker has taken in the meantime says nothing.
    times = [_when(entry, queue.timestamp_field) for entry in entries if entry is not None]
    depth = sum(lengths)
    return Measure(depth, _oldest(depth, times, now))


async def _stream(client: redis.asyncio.Redis, queue: Queue, now: float) -> Measure:
    """Without consumer groups every entry waits; otherwise those that a group has not acknowledged."""
    length = int(await client.xlen(queue.name))
    groups = (await client.xinfo_groups(queue.name))[:_MOST_GROUPS]
    if not groups:
        oldest = await _first_after(client, queue.name, "-")
        return Measure(length, _oldest(length, [_id_time(oldest)], now))
    depths, times = [], []
    for group in groups:
        pending, lag = group["pending"], group.get("lag")
        if pending:
            summary = await client.xpending(queue.name, group["name"])
            times.append(_id_time(summary["min"]))
        undelivered = await _first_after(client, queue.name, f"({group['last-delivered-id']}")
        if undelivered:
            times.append(_id_time(undelivered))
            # Before Redis 7, and after entries were deleted out of the middle, nobody knows the lag.
            depths.append(length if lag is None else pending + lag)
        else:
            depths.append(pending)
    depth = max(depths)
    return Measure(depth, _oldest(depth, times, now))


async def _first_after(client: redis.asyncio.Redis, stream: str, start: str) -> str | None:
    entries: Any = await client.xrange(stream, min=start, count=1)
    return str(entries[0][0]) if entries else None


async def _zset(client: redis.asyncio.Redis, queue: Queue, now: float) -> Measure:
    """Scores that are times say since when an entry is due; an entry of the future does not wait yet."""
    depth = int(await client.zcard(queue.name))
    first: Any = await client.zrange(queue.name, 0, 0, withscores=True)
    return Measure(depth, _oldest(depth, [_unix_time(score) for _, score in first], now))


async def _set(client: redis.asyncio.Redis, queue: Queue, _: float) -> Measure:
    return _of_unknown_age(await _ask(client, "SCARD", queue.name))


async def _hash(client: redis.asyncio.Redis, queue: Queue, _: float) -> Measure:
    return _of_unknown_age(await _ask(client, "HLEN", queue.name))


async def _ask(client: redis.asyncio.Redis, *command: str | int) -> Any:  # noqa: ANN401 - what Redis answers
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped in redis


def _of_unknown_age(depth: int) -> Measure:
    return Measure(depth, _oldest(depth, (), 0.0))


_READERS: Final = {"none": _list, "list": _list, "stream": _stream, "zset": _zset, "set": _set, "hash": _hash}
_KINDS: Final = ("hash", "list", "set", "stream", "zset")


def _oldest(depth: int, times: Sequence[float | None], now: float) -> float | None:
    """Return the age of the oldest; None where one of them does not say, for it may be the oldest."""
    if not depth:
        return 0.0
    known = [time for time in times if time is not None]
    if not known or len(known) < len(times):
        return None
    return max(0.0, now - min(known))  # clocks differ


def _id_time(entry_id: object) -> float | None:
    """Read the time from a stream's id, unless the producer gives ids of its own."""
    return _unix_time(str(entry_id).partition("-")[0])


def _when(entry: str | None, field: str) -> float | None:
    """Return the Unix time at which an entry says that it came."""
    try:
        message = json.loads(entry or "null")
    except (ValueError, RecursionError):
        return None
    if field:
        return _unix_time(_at(message, field))
    if isinstance(message, Mapping) and all(isinstance(message.get(part), Mapping) for part in _CELERY_PARTS):
        found = (_unix_time(message[part].get(name)) for name in _CELERY_FIELDS for part in _CELERY_PARTS)
        return next((time for time in found if time is not None), None)
    return None


def _at(message: Any, path: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Follow ``a.b`` into ``{"a": {"b": 1}}``; a name that has a dot itself comes first."""
    if not isinstance(message, Mapping):
        return None
    if path in message:
        return message[path]
    name, _, rest = path.partition(".")
    return _at(message.get(name), rest) if rest else None


def _unix_time(value: object) -> float | None:
    """Read a time: a number, one written as text, or ISO 8601 (UTC where no zone is given)."""
    number = _number(value)
    if number is None:
        return None
    return next((number / unit for unit in _UNITS if _EARLIEST <= number / unit < _LATEST), None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
    except ValueError:
        return _iso_time(str(value))


def _iso_time(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
