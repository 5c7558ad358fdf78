"""From the bus to the warehouse: an entry is done when it is stored, and not before.

Whatever happens in between (the warehouse away, this process killed), the entry comes again and is stored
again, which changes nothing. An entry that was in this process' hands each time it died is tried in ever
smaller groups, last of all, and set aside at last.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from claw_hub.errors import HubError
from claw_hub.records import Kind
from claw_hub.worker.live import live_events
from claw_hub.worker.marts import buckets_of
from claw_hub.worker.rows import Reason, name_of
from claw_hub.worker.storing import Insert, Outcome, Patience, set_aside, store
from claw_hub.worker.unpack import whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from claw_hub.bus import Bus, Delivered
    from claw_hub.records import LiveEvent
    from claw_hub.worker.marts import Marts
    from claw_hub.worker.rows import Context

__all__ = ["Loader"]

_log: Final = logging.getLogger("claw_hub.worker.loader")

BLOCK_SECONDS: Final = 1.0
FIRST_WINDOW: Final = 64
MAX_ENTRIES: Final = 2_000
# Of one insert: larger ones are hardly faster, and what is in hand is in memory.
MAX_RECORDS: Final = 20_000
MAX_BYTES: Final = 32_000_000
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
# Attempts, 10 seconds in all, after which a table that takes nothing at all is believed to mean it.
PATIENT_ATTEMPTS: Final = 8
# Deliveries after which an entry is suspected, and after which it is guilty.
SUSPECT_DELIVERIES: Final = 3
MAX_DELIVERIES: Final = 30
FIRST_SUSPECTS: Final = 64
# Nobody can watch more at a time.
MAX_LIVE_ROWS: Final = 200


class Knows(Protocol):
    """What `claw_hub.worker.knowledge.Knowledge` is."""

    async def context(self, tenant_ids: Sequence[int]) -> Context:
        """Returns prices and zones."""
        ...


class Loader:
    """Carries entries, as long as it runs.

    Args:
        bus: Where from.
        warehouse: Where to.
        knowledge: Prices and zones.
        marts: Is told what was touched.
        publish: Is given what was stored, for those who watch; its failures are counted and nothing more.
        clock: Seconds since 1970.
        count: Called as ``count(name, amount, **labels)``; see `_count_done`.
        consumer: Name at the bus; a process that takes over from another one keeps it.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        bus: Bus,
        warehouse: Insert,
        *,
        knowledge: Knows,
        marts: Marts,
        publish: Callable[[Sequence[LiveEvent]], Awaitable[None]],
        clock: Callable[[], float],
        count: Callable[..., None],
        consumer: str = "worker",
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._warehouse = warehouse
        self._knowledge = knowledge
        self._marts = marts
        self._publish = publish
        self._clock = clock
        self._count = count
        self._consumer = consumer
        self._sleep = sleep
        self._window = FIRST_WINDOW

    async def run(self) -> None:
        """Carries until it is cancelled; what is in hand then comes again."""
        while True:
            await self.step()

    async def step(self, *, block_seconds: float = BLOCK_SECONDS) -> int:
        """Reads once, and carries what it got; waits as long as bus or warehouse are away.

        Returns:
            How many entries are done.
        """
        batch = await self._insist(lambda: self._read(block_seconds))
        done = 0
        for group in _groups(batch):
            done += await self._settle(group)
        return done

    async def load(self, batch: Sequence[Delivered], patience: Patience | None = None) -> Outcome:
        """Stores entries, tells marts and watchers; what is to be done at the bus is left to the caller.

        Raises:
            UnavailableError, QueryTimeoutError: The batch has to be loaded again.
        """
        context = await self._knowledge.context([each.entry.tenant_id for each in batch])
        now_us = int(self._clock() * 1_000_000)
        patience = patience or Patience()
        outcome = await store(self._warehouse, batch, context, now_us=now_us, patience=patience)
        for kind, rows in outcome.tables:
            if kind is Kind.USAGE:
                self._marts.mark(buckets_of(rows))
        await self._tell(outcome)
        return outcome

    async def _read(self, block_seconds: float) -> Sequence[Delivered]:
        batch = await self._bus.read(self._consumer, count=self._window, block_seconds=block_seconds)
        size = sum(len(each.entry.body) for each in batch)
        # Many small entries, or few large ones; what is read is in memory.
        if size > MAX_BYTES:
            self._window = max(1, self._window * MAX_BYTES // size)
        elif len(batch) >= self._window and size * 2 <= MAX_BYTES:
            self._window = min(self._window * 2, MAX_ENTRIES)
        for kind, records in _records(batch).items():
            self._count("records_read", records, kind=kind)
        return batch

    async def _settle(self, group: Sequence[Delivered]) -> int:
        """Stores a group and tells the bus; returns how many entries are done."""
        if group[0].deliveries > MAX_DELIVERIES:
            outcome = await self._insist(lambda: self._give_up(group))
        else:
            patience = Patience(PATIENT_ATTEMPTS)
            outcome = await self._insist(lambda: self.load(group, patience))
        stuck = {one.name for one in outcome.stuck}
        settled = [each for each in group if name_of(each) not in stuck]
        await self._insist(lambda: self._bus.done(settled))
        self._count_done(settled, outcome)
        return len(settled)

    async def _give_up(self, group: Sequence[Delivered]) -> Outcome:
        """Sets entries aside without a look at them: whoever looked died."""
        why = HubError(f"the worker ended {MAX_DELIVERIES} times while it had this entry in its hands")
        refused = [whole(each, why, Reason.CRASH) for each in group]
        outcome = Outcome()
        await set_aside(self._warehouse, refused, outcome, now_us=int(self._clock() * 1_000_000))
        return outcome

    def _count_done(self, settled: Sequence[Delivered], outcome: Outcome) -> None:
        """Counts each record once, when its entry is done.

        Then accepted = stored + deduplicated + quarantined + what is in the bus: ``records_deduplicated`` are
        those of entries that were delivered before, which may have been stored then.
        """
        refused: Counter[tuple[str, Reason]] = Counter()
        lost: Counter[tuple[Kind, str]] = Counter()
        done = {name_of(each) for each in settled}
        for one in outcome.refused:
            if one.name in done:
                refused[one.delivered.entry.kind, one.reason] += one.records
                lost[one.name] += one.records
        for (kind, reason), records in refused.items():
            self._count("records_quarantined", records, kind=kind, reason=reason)
        stored: Counter[tuple[str, Kind]] = Counter()
        for each in settled:
            name = "records_stored" if each.deliveries == 1 else "records_deduplicated"
            stored[name, each.entry.kind] += max(0, each.entry.count - lost[name_of(each)])
        for (name, kind), records in stored.items():
            self._count(name, records, kind=kind)
        for one in outcome.stuck:
            self._count("records_stuck", one.records, kind=one.delivered.entry.kind)

    async def _tell(self, outcome: Outcome) -> None:
        for kind, rows in outcome.tables:
            left_out = rows.num_rows - MAX_LIVE_ROWS
            if left_out > 0:
                self._count("live_left_out", left_out, kind=kind)
            try:
                await self._publish(list(live_events(kind, rows.slice(max(0, left_out)))))
            except HubError as error:
                self._count("live_failures", 1)
                _log.warning("nobody could be told", extra={"fields": {"error": str(error)}})

    async def _insist(self, attempt: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the attempt gives
        """Tries until it works: what is in hand is not let go of."""
        tried = 0
        while True:
            try:
                return await attempt()
            except HubError as error:
                pause = min(FIRST_PAUSE_SECONDS * 2 ** min(tried, 10), LONGEST_PAUSE_SECONDS)
                tried += 1
                self._count("load_failures", 1, error=error.error_id)
                _log.warning(
                    "waiting for what is away",
                    extra={"fields": {"error": str(error), "attempt": tried, "pause_seconds": pause}},
                )
                await self._sleep(pause)


def _records(batch: Sequence[Delivered]) -> Counter[Kind]:
    found: Counter[Kind] = Counter()
    for each in batch:
        found[each.entry.kind] += each.entry.count
    return found


def _groups(batch: Sequence[Delivered]) -> Iterator[list[Delivered]]:
    """Divides a batch into what is stored together; the more often delivered, the later and the fewer."""
    group: list[Delivered] = []
    records = size = 0
    for each in sorted(batch, key=lambda one: one.deliveries):
        records += each.entry.count
        size += len(each.entry.body)
        is_full = records > MAX_RECORDS or size > MAX_BYTES
        if group and (is_full or _is_apart(group, each)):
            yield group
            group, records, size = [], each.entry.count, len(each.entry.body)
        group.append(each)
    if group:
        yield group


def _is_apart(group: Sequence[Delivered], each: Delivered) -> bool:
    """Tells whether an entry is too suspect to join; those that were together at a death are so by halves."""
    if each.deliveries <= SUSPECT_DELIVERIES:
        return False
    most = max(1, FIRST_SUSPECTS >> (each.deliveries - SUSPECT_DELIVERIES))
    return group[0].deliveries != each.deliveries or len(group) >= most
