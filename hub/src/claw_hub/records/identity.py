"""What makes two records the same: never a time, always what their sender said."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from claw_hub.records.kinds import Kind
from claw_hub.records.models import ExecutionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from claw_hub.bus import Delivered, Entry
    from claw_hub.records.models import Record

__all__ = ["event_ids"]

_BYTES: Final = 16


def event_ids(delivered: Delivered, records: Sequence[Record]) -> list[bytes]:
    """Returns the identity, 16 bytes, of each record of an entry; the same entry gives the same ones again.

    The first of these that there is, together with the tenant and the kind, makes a record itself:

    1. an execution's `execution_id`;
    2. the record's `event_id`;
    3. the request's `Idempotency-Key`, and the record's place in the request;
    4. usage: its JSON, as sent but for spaces and the order of fields (those that we ignore count), and how
       many before it in the request are the same;
    5. timeline: the entry's id and the record's place in it. Without a key, an event that a client sends
       again is another event.

    Args:
        delivered: The entry.
        records: What `parse` makes of its body: all of them.
    """
    entry = delivered.entry
    if entry.idempotency_key:
        place = _hasher(entry, "key", entry.idempotency_key)
    elif entry.kind is Kind.TIMELINE:
        place = _hasher(entry, "entry", delivered.id)
    else:
        place = None
    unnamed = map(place, map(_text, range(len(records)))) if place else _by_content(entry)
    named = _hasher(entry, "named")
    return [
        named(own.encode()) if (own := _own_name(record)) else other
        for record, other in zip(records, unnamed, strict=True)
    ]


def _own_name(record: Record) -> str:
    return record.execution_id if isinstance(record, ExecutionRecord) else record.event_id


def _by_content(entry: Entry) -> Iterator[bytes]:
    content, repeated = _hasher(entry, "content"), _hasher(entry, "repeated")
    seen: Counter[bytes] = Counter()
    for sent in _sent(entry.body):
        identity = content(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS))
        times = seen[identity]
        seen[identity] = times + 1
        yield repeated(identity + _text(times)) if times else identity


def _sent(body: bytes) -> list[Any]:
    sent = orjson.loads(body)
    if isinstance(sent, dict):
        records = sent.get("records")
        return records if isinstance(records, list) else [sent]
    return list(sent)


def _text(number: int) -> bytes:
    return str(number).encode()


def _hasher(entry: Entry, *domain: str) -> Callable[[bytes], bytes]:
    """Returns a function that hashes apart from other tenants, kinds and ways to make an identity."""
    key = blake2b(orjson.dumps([entry.tenant_id, entry.kind, *domain])).digest()

    def hashed(value: bytes) -> bytes:
        return blake2b(value, digest_size=_BYTES, key=key).digest()

    return hashed
