"""From an entry to its records, each with its identity; what is no record is told apart from what is.

The edge has parsed every body before it acknowledged it, so a record that cannot be read is one that another
version of the hub took. It is found by halves, and the others keep their places: identities depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from claw_hub.errors import HubError
from claw_hub.records import Kind, event_ids, parse
from claw_hub.worker.rows import Item, Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from claw_hub.bus import Delivered

__all__ = ["Unpacked", "unpack", "whole"]

# The edge has its limits, which may be set wider than the defaults: nothing is refused twice.
MAX_RECORDS: Final = 1_000_000
MAX_DEPTH: Final = 200
MAX_DETAIL_CHARACTERS: Final = 1000
# Stands where an unreadable record stood, while its neighbours are named.
_PLACEHOLDERS: Final[dict[Kind, dict[str, str]]] = {
    Kind.USAGE: {"model_name": "unreadable"},
    Kind.EXECUTION: {"execution_id": "unreadable", "status": "running"},
    Kind.TIMELINE: {"event_type": "unreadable"},
}


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an entry holds.

    Attributes:
        items: Its records.
        refused: What is none.
    """

    items: Sequence[Item]
    refused: Sequence[Refused] = ()


def unpack(delivered: Delivered) -> Unpacked:
    """Takes an entry apart; whatever is in it, this returns."""
    try:
        return Unpacked(_items(delivered, delivered.entry.body))
    except Exception as error:  # noqa: BLE001 - the worker outlives any body; what is wrong is kept and counted
        try:
            return _apart(delivered, error)
        except Exception as worse:  # noqa: BLE001 - the same
            return Unpacked((), [whole(delivered, worse)])


def whole(delivered: Delivered, error: Exception, reason: Reason = Reason.BODY) -> Refused:
    """Refuses an entry as a whole."""
    return Refused(
        delivered=delivered,
        ordinal=0,
        reason=reason,
        detail=said(error),
        body=delivered.entry.body,
        records=delivered.entry.count,
    )


def said(error: Exception) -> str:
    """Returns an error as it is kept: its id or type, and the beginning of its words."""
    name = error.error_id if isinstance(error, HubError) else type(error).__name__
    return f"{name}: {error}"[:MAX_DETAIL_CHARACTERS]


def _items(delivered: Delivered, body: bytes) -> list[Item]:
    records = parse(delivered.entry.kind, body, max_records=MAX_RECORDS, max_depth=MAX_DEPTH)
    as_read = replace(delivered, entry=replace(delivered.entry, body=body))
    names = event_ids(as_read, records)
    return [
        Item(delivered, ordinal, name, record)
        for ordinal, (name, record) in enumerate(zip(names, records, strict=True))
    ]


def _apart(delivered: Delivered, error: Exception) -> Unpacked:
    kind = delivered.entry.kind
    sent = _sent(delivered.entry.body)
    if sent is None:
        return Unpacked((), [whole(delivered, error)])
    refused = {
        ordinal: Refused(
            delivered=delivered,
            ordinal=ordinal,
            reason=Reason.RECORD,
            detail=said(why),
            body=orjson.dumps(sent[ordinal]),
        )
        for ordinal, why in _unreadable(kind, sent)
    }
    readable = [_PLACEHOLDERS[kind] if place in refused else one for place, one in enumerate(sent)]
    items = _items(delivered, orjson.dumps(readable))
    return Unpacked([item for item in items if item.ordinal not in refused], list(refused.values()))


def _unreadable(kind: Kind, sent: Sequence[Any], first: int = 0) -> Iterator[tuple[int, Exception]]:
    """Finds by halves what is no record, and why."""
    try:
        parse(kind, orjson.dumps(sent), max_records=MAX_RECORDS, max_depth=MAX_DEPTH)
    except Exception as error:  # noqa: BLE001 - as in `unpack`
        if len(sent) == 1:
            yield first, error
            return
        half = len(sent) // 2
        yield from _unreadable(kind, sent[:half], first)
        yield from _unreadable(kind, sent[half:], first + half)


def _sent(body: bytes) -> list[Any] | None:
    """Returns what stands where records should; None where the body holds no such places."""
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(sent, dict):
        sent = sent.get("records", [sent])
    return sent if isinstance(sent, list) and sent else None
