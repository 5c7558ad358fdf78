"""From records to tables of Arrow with the warehouse's columns; the same entry gives the same rows again.

Every time is microseconds since 1970 (UTC). `ver` is when the edge had read the request: of two records of
one identity the one that came later stays, whichever is loaded last. An execution that has ended stays,
whatever is said of its running.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from claw_hub.records import Kind, Status, instant_us
from claw_hub.worker.pricing import Tokens, charge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, tzinfo

    from claw_hub.bus import Delivered
    from claw_hub.records import ExecutionRecord, Record, TimelineRecord, UsageRecord
    from claw_hub.worker.pricing import PriceBook

__all__ = [
    "TABLES",
    "Context",
    "Item",
    "Reason",
    "Refused",
    "name_of",
    "quarantine_table",
    "raw_table",
    "staged_table",
]

_TIME: Final = pa.timestamp("us", tz="UTC")
_ID: Final = pa.binary(16)
# Names that come again and again travel once.
_NAME: Final = pa.dictionary(pa.int32(), pa.string())
RANKS: Final = {Status.RUNNING: 1, Status.COMPLETED: 2, Status.FAILED: 2}
RANK_BITS: Final = 56
ORIGIN: Final = "json"


class Reason(StrEnum):
    """Why something is in quarantine."""

    BODY = "body"
    """The request cannot be read, not even apart."""
    RECORD = "record"
    """One record of it cannot be read."""
    WAREHOUSE = "warehouse"
    """It can be read, and the warehouse does not take it."""
    ENTRY = "entry"
    """It can be read, and the warehouse does not take its bytes."""
    CRASH = "crash"
    """The worker died again and again with it in its hands."""


@dataclass(frozen=True, slots=True)
class Item:
    """One record of an entry, understood.

    Attributes:
        delivered: The entry.
        ordinal: Its place there, from 0.
        event_id: Its identity, 16 bytes.
        record: What it says.
    """

    delivered: Delivered
    ordinal: int
    event_id: bytes
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What of an entry cannot be stored as what it says it is.

    Attributes:
        delivered: The entry.
        ordinal: Place of the record, from 0; 0 where the whole entry is meant.
        reason: Why.
        detail: What exactly, for people.
        body: The record's JSON; the entry's where no records can be told apart.
        records: How many records that are.
    """

    delivered: Delivered
    ordinal: int
    reason: Reason
    detail: str
    body: bytes
    records: int = 1

    @property
    def name(self) -> tuple[Kind, str]:
        """Name of the entry: those of different kinds may have the same id."""
        return name_of(self.delivered)


def name_of(delivered: Delivered) -> tuple[Kind, str]:
    """Returns what tells an entry from all others."""
    return delivered.entry.kind, delivered.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What rows depend on besides their records.

    Attributes:
        book: Prices.
        zone: Tells in which zone a tenant's times without one are.
    """

    book: PriceBook
    zone: Callable[[int], tzinfo]


def staged_table(table: str, items: Sequence[Item], context: Context) -> pa.Table:
    """Makes rows of one of the tables of `TABLES`.

    Args:
        table: Which.
        items: Records of its kind.
        context: Prices and zones.

    Raises:
        pyarrow.ArrowException, ValueError, OverflowError: Some record does not fit its columns.
    """
    schema, row = _STAGED[table]
    return _table(schema, (row(item, context) for item in items))


def raw_table(batch: Iterable[Delivered]) -> pa.Table:
    """Makes rows of `raw_batches`, one for each entry."""
    return _table(_RAW, (_raw_row(delivered) for delivered in batch))


def quarantine_table(refused: Iterable[Refused], *, now_us: int, replayed: bool = False) -> pa.Table:
    """Makes rows of `quarantine`.

    Args:
        refused: What is to be kept there.
        now_us: The later word about a record stays.
        replayed: It is stored by now.
    """
    replayed_at = now_us if replayed else None
    return _table(_QUARANTINE, (_quarantine_row(each, now_us, replayed_at) for each in refused))


def _table(schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def _usage_row(item: Item, context: Context) -> tuple[Any, ...]:
    record: UsageRecord = item.record  # type: ignore[assignment]
    entry = item.delivered.entry
    ts_us = _moment(record.timestamp, entry.received_us, context.zone(entry.tenant_id))
    tokens = Tokens(
        input=record.input_tokens,
        output=record.output_tokens,
        cache_read=record.cache_read_tokens,
        cache_write=record.cache_write_tokens,
    )
    cost = charge(
        context.book.rates(entry.tenant_id, record.model_name, ts_us),
        tokens,
        client_nano_usd=record.cost_nano_usd if "cost_nano_usd" in record.model_fields_set else None,
    )
    return (
        entry.tenant_id,
        ts_us,
        item.event_id,
        record.project_id,
        record.agent_id,
        record.agent_name,
        record.model_name,
        record.input_tokens,
        record.output_tokens,
        record.tokens,
        record.cache_read_tokens,
        record.cache_write_tokens,
        record.reasoning_tokens,
        cost.nano_usd,
        cost.source.value,
        record.duration_us,
        record.span_id,
        ORIGIN,
        entry.received_us,
        entry.received_us,
    )


_USAGE: Final = pa.schema(
    [
        ("tenant_id", pa.uint32()),
        ("ts", _TIME),
        ("event_id", _ID),
        ("project_id", _NAME),
        ("agent_id", _NAME),
        ("agent_name", _NAME),
        ("model_name", _NAME),
        ("input_tokens", pa.uint32()),
        ("output_tokens", pa.uint32()),
        ("total_tokens", pa.uint32()),
        ("cache_read_tokens", pa.uint32()),
        ("cache_write_tokens", pa.uint32()),
        ("reasoning_tokens", pa.uint32()),
        ("cost_nano_usd", pa.uint64()),
        ("cost_source", _NAME),
        ("duration_us", pa.uint64()),
        ("span_id", pa.string()),
        ("origin", _NAME),
        ("received_at", _TIME),
        ("ver", pa.uint64()),
    ]
)


def _execution_row(item: Item, context: Context) -> tuple[Any, ...]:
    record: ExecutionRecord = item.record  # type: ignore[assignment]
    entry = item.delivered.entry
    started_us, ended_us, duration_us = _span(record, entry.received_us, context.zone(entry.tenant_id))
    return (
        entry.tenant_id,
        record.execution_id,
        record.project_id,
        record.agent_id,
        record.agent_name,
        record.node_id,
        record.round_index,
        started_us,
        ended_us,
        duration_us,
        record.status.value,
        record.content,
        record.error_message,
        record.llm_calls,
        record.total_tokens,
        record.total_cost_nano_usd,
        entry.received_us,
        # Of two words in one request the later counts.
        RANKS[record.status] << RANK_BITS | entry.received_us + item.ordinal,
    )


_EXECUTIONS: Final = pa.schema(
    [
        ("tenant_id", pa.uint32()),
        ("execution_id", pa.string()),
        ("project_id", _NAME),
        ("agent_id", _NAME),
        ("agent_name", _NAME),
        ("node_id", pa.string()),
        ("round_index", pa.int32()),
        ("started_at", _TIME),
        ("ended_at", _TIME),
        ("duration_us", pa.uint64()),
        ("status", _NAME),
        ("content", pa.string()),
        ("error_message", pa.string()),
        ("llm_calls", pa.uint32()),
        ("total_tokens", pa.uint64()),
        ("total_cost_nano_usd", pa.uint64()),
        ("received_at", _TIME),
        ("ver", pa.uint64()),
    ]
)


def _timeline_row(item: Item, context: Context) -> tuple[Any, ...]:
    record: TimelineRecord = item.record  # type: ignore[assignment]
    entry = item.delivered.entry
    # The seed's client says no time: then events of one request stand in its order.
    arrived_us = entry.received_us + item.ordinal
    return (
        entry.tenant_id,
        _moment(record.timestamp, arrived_us, context.zone(entry.tenant_id)),
        item.event_id,
        record.event_type,
        record.project_id,
        record.agent_id,
        record.node_id,
        record.message,
        record.metadata,
        entry.received_us,
        entry.received_us,
    )


_TIMELINE: Final = pa.schema(
    [
        ("tenant_id", pa.uint32()),
        ("ts", _TIME),
        ("event_id", _ID),
        ("event_type", _NAME),
        ("project_id", _NAME),
        ("agent_id", _NAME),
        ("node_id", pa.string()),
        ("message", pa.string()),
        ("metadata", pa.string()),
        ("received_at", _TIME),
        ("ver", pa.uint64()),
    ]
)


def _raw_row(delivered: Delivered) -> tuple[Any, ...]:
    entry = delivered.entry
    return (
        entry.tenant_id,
        entry.kind.value,
        entry.received_us,
        delivered.id,
        entry.idempotency_key,
        entry.count,
        entry.body,
    )


_RAW: Final = pa.schema(
    [
        ("tenant_id", pa.uint32()),
        ("kind", _NAME),
        ("received_at", _TIME),
        ("entry_id", pa.string()),
        ("idempotency_key", pa.string()),
        ("records", pa.uint32()),
        ("body", pa.binary()),
    ]
)


def _quarantine_row(refused: Refused, now_us: int, replayed_us: int | None) -> tuple[Any, ...]:
    entry = refused.delivered.entry
    return (
        entry.tenant_id,
        entry.kind.value,
        entry.received_us,
        refused.delivered.id,
        refused.ordinal,
        refused.reason.value,
        refused.detail,
        entry.idempotency_key,
        refused.body,
        replayed_us,
        now_us,
    )


_QUARANTINE: Final = pa.schema(
    [
        ("tenant_id", pa.uint32()),
        ("kind", _NAME),
        ("received_at", _TIME),
        ("entry_id", pa.string()),
        ("ordinal", pa.uint32()),
        ("reason", _NAME),
        ("detail", pa.string()),
        ("idempotency_key", pa.string()),
        ("body", pa.binary()),
        ("replayed_at", _TIME),
        ("ver", pa.uint64()),
    ]
)


def _moment(when: datetime | None, otherwise_us: int, zone: tzinfo) -> int:
    return otherwise_us if when is None else instant_us(when, zone)


def _span(record: ExecutionRecord, received_us: int, zone: tzinfo) -> tuple[int, int | None, int | None]:
    """Returns beginning, end and duration; what the client leaves out follows from the others, if it does."""
    ended_us = None if record.ended_at is None else instant_us(record.ended_at, zone)
    duration_us = record.duration_us
    if record.started_at is not None:
        started_us = instant_us(record.started_at, zone)
        if ended_us is not None and duration_us is None:
            duration_us = max(0, ended_us - started_us)
        return started_us, ended_us, duration_us
    last_us = received_us if ended_us is None else ended_us
    return max(0, last_us - (duration_us or 0)), ended_us, duration_us


_STAGED: Final[dict[str, tuple[pa.Schema, Callable[[Item, Context], tuple[Any, ...]]]]] = {
    "stg_usage": (_USAGE, _usage_row),
    "stg_executions": (_EXECUTIONS, _execution_row),
    "stg_timeline": (_TIMELINE, _timeline_row),
}
TABLES: Final[dict[Kind, str]] = {
    Kind.USAGE: "stg_usage",
    Kind.EXECUTION: "stg_executions",
    Kind.TIMELINE: "stg_timeline",
}
