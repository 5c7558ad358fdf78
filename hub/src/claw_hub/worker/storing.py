"""A batch of entries into the warehouse: what it takes is stored, what it does not take is found by halves.

Nothing here is remembered from one batch to the next: to store a batch again changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import pyarrow as pa

from claw_hub.errors import HubError, QueryTimeoutError, UnavailableError
from claw_hub.records import Kind
from claw_hub.worker.rows import (
    TABLES,
    Context,
    Item,
    Reason,
    Refused,
    name_of,
    quarantine_table,
    raw_table,
    staged_table,
)
from claw_hub.worker.unpack import said, unpack, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claw_hub.bus import Delivered

__all__ = ["Insert", "Outcome", "Patience", "set_aside", "store"]

_T = TypeVar("_T")

# Rows, spread over what is refused as a whole, that tell whether it is the rows or the warehouse.
PROBES: Final = 16
# A row that cannot be made, and one that is not taken.
_UNFIT: Final = (HubError, pa.ArrowException, ValueError, OverflowError, TypeError)


class Insert(Protocol):
    """The part of `claw_hub.warehouse.Warehouse` that is needed here."""

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Inserts rows; returns when they are durable."""
        ...


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        refused: What is in quarantine now.
        stuck: What not even the quarantine takes: it has to stay in the bus.
        tables: What was inserted, by kind.
    """

    refused: list[Refused] = field(default_factory=list)
    stuck: list[Refused] = field(default_factory=list)
    tables: list[tuple[Kind, pa.Table]] = field(default_factory=list)


@dataclass(slots=True)
class Patience:
    """With a table that takes nothing at all: it is taken for ill, rather than the rows for unfit.

    Attributes:
        left: How many more times.
    """

    left: int = 0

    def spend(self) -> bool:
        """Tells whether there is some left, and takes of it."""
        self.left -= 1
        return self.left >= 0


async def store(
    warehouse: Insert, batch: Sequence[Delivered], context: Context, *, now_us: int, patience: Patience
) -> Outcome:
    """Stores entries: their bytes, their records, and in quarantine what is none.

    Args:
        warehouse: Where to.
        batch: Of any kinds.
        context: Prices and zones.
        now_us: For the quarantine.
        patience: With a warehouse that refuses everything.

    Raises:
        UnavailableError, QueryTimeoutError: The whole batch has to be stored again.
    """
    # In a thread, and rows too: a process that also accepts must go on accepting.
    unpacked = await asyncio.to_thread(lambda: [unpack(delivered) for delivered in batch])
    refused = [one for each in unpacked for one in each.refused]
    raw = _Put(warehouse, "raw_batches", raw_table, patience)
    for delivered, error in await raw.put(batch):
        refused.append(whole(delivered, error, Reason.ENTRY))
    unfit = {one.name for one in refused if one.reason is Reason.ENTRY}
    items = [item for each in unpacked for item in each.items if name_of(item.delivered) not in unfit]
    outcome = Outcome()
    for kind in Kind:
        some = [item for item in items if item.delivered.entry.kind is kind]
        make = partial(staged_table, TABLES[kind], context=context)
        staged = _Put(warehouse, TABLES[kind], make, patience)
        refused += [_refused(item, error) for item, error in await staged.put(some)]
        outcome.tables += [(kind, rows) for rows in staged.taken]
    await set_aside(warehouse, refused, outcome, now_us=now_us)
    return outcome


async def set_aside(warehouse: Insert, refused: Sequence[Refused], outcome: Outcome, *, now_us: int) -> None:
    """Puts into quarantine what is refused, and notes in `outcome` what became of it.

    Raises:
        UnavailableError, QueryTimeoutError: It has to be done again.
    """
    aside = _Put(warehouse, "quarantine", partial(quarantine_table, now_us=now_us), Patience())
    stuck = {id(one) for one, _ in await aside.put(refused)}
    outcome.refused = [one for one in refused if id(one) not in stuck]
    outcome.stuck = [one for one in refused if id(one) in stuck]


class _Put(Generic[_T]):
    """Inserts into one table, and finds what it does not take.

    Args:
        warehouse: Where the table is.
        table: Its name.
        make: Makes its rows.
        patience: Where nothing is taken.

    Attributes:
        taken: What was inserted.
    """

    def __init__(
        self,
        warehouse: Insert,
        table: str,
        make: Callable[[Sequence[_T]], pa.Table],
        patience: Patience,
    ) -> None:
        self._warehouse = warehouse
        self._table = table
        self._make = make
        self._patience = patience
        self.taken: list[pa.Table] = []

    async def put(self, some: Sequence[_T]) -> list[tuple[_T, Exception]]:
        """Returns what is not taken, and why."""
        error = await self._insert(some) if some else None
        if error is None:
            return []
        probes = some[:: max(1, len(some) // PROBES)]
        refused = [(one, why) for one in probes if (why := await self._insert([one])) is not None]
        if len(refused) < len(probes):
            self.taken.clear()
            return await self._halve(some, error)
        if self._patience.spend():
            raise UnavailableError(f"{self._table} takes nothing at all: {said(error)}")
        return [(one, error) for one in some]

    async def _halve(self, some: Sequence[_T], error: Exception) -> list[tuple[_T, Exception]]:
        """Inserts each half of what was refused as a whole."""
        if len(some) == 1:
            return [(some[0], error)]
        refused = []
        for half in (some[: len(some) // 2], some[len(some) // 2 :]):
            why = await self._insert(half)
            if why is not None:
                refused += await self._halve(half, why)
        return refused

    async def _insert(self, some: Sequence[_T]) -> Exception | None:
        """Returns why these are not taken; None where they are."""
        try:
            rows = await asyncio.to_thread(self._make, some)
            await self._warehouse.insert(self._table, rows)
        except UnavailableError:
            raise
        except _UNFIT as error:
            if isinstance(error, QueryTimeoutError) and len(some) == 1:
                raise
            return error
        self.taken.append(rows)
        return None


def _refused(item: Item, error: Exception) -> Refused:
    return Refused(
        delivered=item.delivered,
        ordinal=item.ordinal,
        reason=Reason.WAREHOUSE,
        detail=said(error),
        body=item.record.model_dump_json().encode(),
    )
