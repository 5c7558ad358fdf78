"""Sums by the hour, worked out anew for each bucket that was touched: nothing is ever added to a sum.

A bucket is a tenant and an hour. What is touched and not yet summed up is remembered in memory only: at
start all that was received in the last two hours counts as touched. Several processes may do it if their
clocks agree: who stores a call sums up after it, and the sum that was begun last stays.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from claw_hub.errors import HubError, QueryTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Bucket", "Marts", "buckets_of"]

_log: Final = logging.getLogger("claw_hub.worker.marts")

HOUR_SECONDS: Final = 3600
RECENT_SECONDS: Final = 2 * HOUR_SECONDS
MAX_BUCKETS: Final = 500
# Partitions are months: a statement that looks for few buckets in all of them reads much for nothing.
MAX_SPAN_SECONDS: Final = 31 * 24 * HOUR_SECONDS
PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0


class System(Protocol):
    """The part of `claw_hub.warehouse.Warehouse` that is needed here."""

    async def system(self, name: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as there
        """Runs a statement about all tenants."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """What is summed up as a whole.

    Attributes:
        tenant_id: Whose calls.
        hour_seconds: Their hour's beginning, in seconds since 1970 (UTC).
    """

    tenant_id: int
    hour_seconds: int


def buckets_of(usage: pa.Table) -> set[Bucket]:
    """Returns the buckets that rows of `stg_usage` count in."""
    hours = pc.floor_temporal(usage["ts"], unit="hour").cast(pa.int64())
    pairs = pa.table({"tenant_id": usage["tenant_id"], "hour_us": hours})
    found = pairs.group_by(["tenant_id", "hour_us"]).aggregate([]).to_pylist()
    return {Bucket(row["tenant_id"], row["hour_us"] // 1_000_000) for row in found}


class Marts:
    """Keeps `mart_usage_hour` what `stg_usage` says.

    Args:
        warehouse: Where both are.
        clock: Seconds since 1970.
        count: Called with a name and an amount: ``buckets_recomputed``, ``recompute_failures``.
    """

    def __init__(self, warehouse: System, *, clock: Callable[[], float], count: Callable[..., None]) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._count = count
        self._dirty: dict[Bucket, float] = {}
        self._turn = asyncio.Lock()

    @property
    def dirty(self) -> int:
        """How many buckets wait."""
        return len(self._dirty)

    @property
    def oldest_seconds(self) -> float:
        """How long the first of them has been waiting; 0 where none does."""
        return max(0.0, self._clock() - min(self._dirty.values())) if self._dirty else 0.0

    def mark(self, buckets: Iterable[Bucket]) -> None:
        """Notes that calls of these buckets have been stored."""
        now = self._clock()
        for bucket in buckets:
            self._dirty.setdefault(bucket, now)

    async def mark_recent(self, window_seconds: int = RECENT_SECONDS) -> None:
        """Notes what a worker that was killed may have stored without summing it up.

        Raises:
            HubError: The warehouse does not answer, or not well.
        """
        rows = await self._warehouse.system("worker/touched_usage_hours", window_seconds=window_seconds)
        self.mark(Bucket(row["tenant_id"], row["hour_seconds"]) for row in rows)

    async def differing(self, from_seconds: int, until_seconds: int) -> list[Bucket]:
        """Returns buckets of these hours whose sums are not what is stored; they are not marked.

        Raises:
            HubError: The warehouse does not answer, or not well.
        """
        rows = await self._warehouse.system(
            "worker/differing_usage_hours", from_hour=from_seconds, until_hour=until_seconds
        )
        return [Bucket(row["tenant_id"], row["hour_seconds"]) for row in rows]

    async def recompute(self) -> int:
        """Sums up what has been marked; what cannot be summed up now stays marked.

        Returns:
            How many buckets were summed up.

        Raises:
            HubError: The warehouse's, about some of them; all others were tried.
        """
        async with self._turn:
            done, failed = 0, None
            for chunk in list(_chunks(self._dirty)):
                try:
                    done += await self._recompute(chunk)
                except HubError as error:
                    failed = error
            if failed is not None:
                raise failed
            return done

    async def run(self, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        """Sums up again and again, until cancelled; longer pauses follow failures."""
        pause, is_known = pause_seconds, False
        while True:
            try:
                if not is_known:
                    await self.mark_recent()
                    is_known = True
                await self.recompute()
                pause = pause_seconds
            except HubError as error:
                self._count("recompute_failures", 1)
                _log.warning(
                    "sums cannot be brought up to date",
                    extra={"fields": {"error": str(error), "buckets": self.dirty}},
                )
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _recompute(self, chunk: Sequence[Bucket]) -> int:
        marked = {bucket: self._dirty.pop(bucket) for bucket in chunk if bucket in self._dirty}
        # What is marked from here on may not be seen by the statement: it is summed up once more.
        try:
            await self._sum_up(chunk)
        except BaseException:
            for bucket, since in marked.items():
                self._dirty[bucket] = min(since, self._dirty.get(bucket, since))
            raise
        self._count("buckets_recomputed", len(chunk))
        return len(chunk)

    async def _sum_up(self, chunk: Sequence[Bucket]) -> None:
        """Sums up a chunk; by halves, where it is too much for one statement."""
        hours = [bucket.hour_seconds for bucket in chunk]
        try:
            await self._warehouse.system(
                "worker/recompute_usage_hours",
                tenants=[bucket.tenant_id for bucket in chunk],
                hours=hours,
                from_hour=min(hours),
                until_hour=max(hours) + HOUR_SECONDS,
                now_us=int(self._clock() * 1_000_000),
            )
        except QueryTimeoutError:
            if len(chunk) == 1:
                raise
            half = len(chunk) // 2
            await self._sum_up(chunk[:half])
            await self._sum_up(chunk[half:])


def _chunks(buckets: Iterable[Bucket]) -> Iterator[list[Bucket]]:
    """Groups buckets for one statement each: not too many, and of times that lie together."""
    chunk: list[Bucket] = []
    for bucket in sorted(buckets, key=lambda one: one.hour_seconds):
        is_far = chunk and bucket.hour_seconds - chunk[0].hour_seconds >= MAX_SPAN_SECONDS
        if chunk and (is_far or len(chunk) >= MAX_BUCKETS):
            yield chunk
            chunk = []
        chunk.append(bucket)
    if chunk:
        yield chunk
