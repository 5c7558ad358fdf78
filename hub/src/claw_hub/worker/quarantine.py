"""What was accepted and could not be stored: listed, and on command tried once more.

To replay a record is to load its whole entry again from the bytes that were acknowledged, under the entry's
own id: then every identity is what it was, and what is stored already stays as it is.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Protocol

from claw_hub.bus import Delivered, Entry
from claw_hub.records import Kind
from claw_hub.worker.rows import Reason, Refused, quarantine_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

    from claw_hub.worker.loader import Loader
    from claw_hub.worker.marts import Marts

__all__ = ["Choice", "Quarantine", "Quarantined", "Replayed"]

PAGE_ROWS: Final = 200
WHOLE: Final = frozenset({Reason.BODY, Reason.CRASH, Reason.ENTRY})
_Place = tuple[int, str, str, int]
_START: Final[_Place] = (-1, "", "", -1)


class Warehouse(Protocol):
    """The part of `claw_hub.warehouse.Warehouse` that is needed here."""

    async def system(self, name: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as there
        """Runs a statement about all tenants."""
        ...

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Inserts rows; returns when they are durable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Of what is in quarantine; by default of all."""

    tenant_id: int | None = None
    kind: Kind | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One thing in quarantine.

    Attributes:
        refused: What, why, and of which entry.
        is_replayed: It is stored by now.
    """

    refused: Refused
    is_replayed: bool = False

    @property
    def place(self) -> _Place:
        """Where it stands in the list; pass it as `after` for what follows."""
        delivered = self.refused.delivered
        return delivered.entry.received_us, delivered.entry.kind, delivered.id, self.refused.ordinal


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a replay, in things that were in quarantine.

    Attributes:
        stored: They are not in quarantine any more.
        refused: They still are.
        gone: They still are, and cannot be replayed: the bytes of their entry are no longer kept.
    """

    stored: int = 0
    refused: int = 0
    gone: int = 0


class Quarantine:
    """Lists and replays.

    Args:
        warehouse: Where it is.
        loader: Loads again.
        marts: Its marts; they are brought up to date before something counts as replayed.
        clock: Seconds since 1970.
    """

    def __init__(
        self, warehouse: Warehouse, *, loader: Loader, marts: Marts, clock: Callable[[], float]
    ) -> None:
        self._warehouse = warehouse
        self._loader = loader
        self._marts = marts
        self._clock = clock

    async def list(
        self,
        choice: Choice | None = None,
        *,
        after: _Place = _START,
        rows: int = PAGE_ROWS,
        with_replayed: bool = False,
    ) -> Sequence[Quarantined]:
        """Returns what is in quarantine, oldest first.

        Raises:
            HubError: The warehouse does not answer, or not well.
        """
        choice = choice or Choice()
        received_us, kind, entry_id, ordinal = after
        found = await self._warehouse.system(
            "worker/quarantine_list",
            tenant_id=choice.tenant_id or 0,
            kind=choice.kind or "",
            reason=choice.reason or "",
            with_replayed=int(with_replayed),
            after_received_us=received_us,
            after_kind=kind,
            after_entry_id=entry_id,
            after_ordinal=ordinal,
            rows=rows,
        )
        return [_quarantined(row) for row in found]

    async def replay(self, choice: Choice | None = None) -> Replayed:
        """Tries once more to store what is in quarantine now.

        Raises:
            HubError: The warehouse or the accounts do not answer; to replay again is harmless.
        """
        stored = refused = gone = 0
        after = _START
        while page := await self.list(choice, after=after):
            after = page[-1].place
            for _, group in groupby(page, key=lambda one: one.place[:3]):
                things = [one.refused for one in group]
                left = await self._replay(things)
                gone += len(things) if left is None else 0
                refused += len(left or ())
                stored += 0 if left is None else len(things) - len(left)
        return Replayed(stored=stored, refused=refused, gone=gone)

    async def _replay(self, things: Sequence[Refused]) -> Sequence[Refused] | None:
        """Loads the entry of these; returns which of them are refused again, None where it is gone."""
        delivered = await self._delivered(things)
        if delivered is None:
            return None
        outcome = await self._loader.load([delivered])
        again = {one.ordinal for one in (*outcome.refused, *outcome.stuck)}
        await self._marts.recompute()
        await self._release(one for one in things if one.ordinal not in again)
        return [one for one in things if one.ordinal in again]

    async def _release(self, things: Iterable[Refused]) -> None:
        rows = quarantine_table(things, now_us=int(self._clock() * 1_000_000), replayed=True)
        if rows.num_rows:
            await self._warehouse.insert("quarantine", rows)

    async def _delivered(self, things: Sequence[Refused]) -> Delivered | None:
        """Returns the entry, as it was delivered: with the bytes that were acknowledged."""
        first = things[0].delivered
        found = await self._warehouse.system(
            "worker/raw_batch",
            kind=first.entry.kind,
            tenant_id=first.entry.tenant_id,
            received_us=first.entry.received_us,
            entry_id=first.id,
        )
        if found:
            return _with_body(first, b64decode(found[0]["body"]), found[0]["records"])
        return next((_with_body(first, one.body, one.records) for one in things if one.reason in WHOLE), None)


def _quarantined(row: dict[str, Any]) -> Quarantined:
    entry = Entry(
        kind=Kind(row["kind"]),
        tenant_id=row["tenant_id"],
        received_us=row["received_us"],
        body=b"",
        count=1,
        idempotency_key=row["idempotency_key"],
    )
    refused = Refused(
        delivered=Delivered(id=row["entry_id"], entry=entry),
        ordinal=row["ordinal"],
        reason=Reason(row["reason"]),
        detail=row["detail"],
        body=b64decode(row["body"]),
    )
    return Quarantined(refused=refused, is_replayed=bool(row["is_replayed"]))


def _with_body(delivered: Delivered, body: bytes, records: int) -> Delivered:
    return replace(delivered, entry=replace(delivered.entry, body=body, count=records))
