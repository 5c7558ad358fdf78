"""From records to rows: what the warehouse gets of what a client sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from tests.hub.worker.conftest import NOON_US, delivered, entry, execution, timeline, usage
from tests.hub.worker.test_pricing import Price

from claw_hub.records import Kind
from claw_hub.worker.pricing import PriceBook
from claw_hub.worker.rows import TABLES, Context, Reason, Refused, quarantine_table, raw_table, staged_table
from claw_hub.worker.unpack import unpack

if TYPE_CHECKING:
    from datetime import tzinfo

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def rows(
    kind: Kind, *records: object, book: PriceBook | None = None, zone: tzinfo = UTC, key: str = ""
) -> list[dict[str, Any]]:
    unpacked = unpack(delivered(entry(kind, *records, key=key)))
    assert not unpacked.refused
    made: list[dict[str, Any]] = staged_table(
        TABLES[kind], unpacked.items, Context(book=book or PriceBook(), zone=lambda _: zone)
    ).to_pylist()
    return made


def test_a_call_of_a_model_is_a_row_with_all_that_was_said() -> None:
    (row,) = rows(Kind.USAGE, usage(span_id="s1", cache_read_tokens=40, reasoning_tokens=5))

    assert len(row.pop("event_id")) == 16
    assert row == {
        "tenant_id": 7,
        "ts": NOON - timedelta(minutes=30),
        "project_id": "proj-1",
        "agent_id": "a1",
        "agent_name": "Strategy Agent",
        "model_name": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "cache_read_tokens": 40,
        "cache_write_tokens": 0,
        "reasoning_tokens": 5,
        "cost_nano_usd": 12_345_679,
        "cost_source": "client",
        "duration_us": 1_500_500,
        "span_id": "s1",
        "origin": "json",
        "received_at": NOON,
        "ver": NOON_US,
    }


def test_a_price_comes_before_the_clients_cost() -> None:
    (row,) = rows(Kind.USAGE, usage(cache_read_tokens=40), book=PriceBook([Price()]))

    assert row["cost_source"] == "priced"
    assert row["cost_nano_usd"] == 60 * 2_500 + 40 * 1_250 + 50 * 10_000


def test_a_call_costs_what_it_cost_when_it_was_made() -> None:
    ended = Price(valid_to=NOON)
    before, after = rows(
        Kind.USAGE,
        usage(timestamp="2026-11-21T11:59:59.999999Z"),
        usage(timestamp="2026-11-21T12:00:00Z"),
        book=PriceBook([ended]),
    )

    assert [before["cost_source"], after["cost_source"]] == ["priced", "client"]


def test_who_says_nothing_of_cost_has_none() -> None:
    sent = usage()
    del sent["cost_usd"]
    (row,) = rows(Kind.USAGE, sent)

    assert (row["cost_nano_usd"], row["cost_source"]) == (0, "none")


def test_a_total_that_is_not_said_is_the_sum() -> None:
    (row,) = rows(Kind.USAGE, usage(total_tokens=0))

    assert row["total_tokens"] == 150


def test_a_time_without_a_zone_is_in_the_tenants() -> None:
    (row,) = rows(Kind.USAGE, usage(timestamp="2026-11-21T19:30:00"), zone=ZoneInfo("Asia/Shanghai"))

    assert row["ts"] == NOON - timedelta(minutes=30)


def test_without_a_time_that_of_its_arrival_counts() -> None:
    (row,) = rows(Kind.USAGE, usage(timestamp=None))

    assert row["ts"] == NOON


@pytest.mark.parametrize(
    ("sent", "began", "ended", "duration_us"),
    [
        ({}, NOON - timedelta(minutes=30), None, None),
        (
            {"end_time": "2026-11-21T11:30:02Z", "status": "completed"},
            NOON - timedelta(minutes=30),
            NOON - timedelta(minutes=29, seconds=58),
            2_000_000,
        ),
        ({"duration_ms": 12.5}, NOON - timedelta(minutes=30), None, 12_500),
        ({"start_time": None}, NOON, None, None),
        ({"start_time": None, "duration_ms": 60_000}, NOON - timedelta(minutes=1), None, 60_000_000),
        (
            {"start_time": None, "end_time": "2026-11-21T11:30:00Z", "duration_ms": 60_000},
            NOON - timedelta(minutes=31),
            NOON - timedelta(minutes=30),
            60_000_000,
        ),
        (
            {"end_time": "2026-11-21T11:29:00Z"},
            NOON - timedelta(minutes=30),
            NOON - timedelta(minutes=31),
            0,
        ),
    ],
)
def test_times_of_an_execution_follow_from_each_other(
    sent: dict[str, object], began: datetime, ended: datetime | None, duration_us: int | None
) -> None:
    (row,) = rows(Kind.EXECUTION, execution(**sent))

    assert (row["started_at"], row["ended_at"], row["duration_us"]) == (began, ended, duration_us)


def test_an_execution_that_has_ended_has_a_higher_version_than_one_that_runs_later() -> None:
    ended, running, failed = rows(
        Kind.EXECUTION, execution(status="completed"), execution(), execution(status="failed")
    )

    assert running["ver"] < ended["ver"] < failed["ver"]
    assert failed["ver"] < 2**63


def test_events_of_one_request_without_a_time_stand_in_its_order() -> None:
    first, second = rows(Kind.TIMELINE, timeline(), timeline())

    assert first["ts"] == NOON
    assert second["ts"] == NOON + timedelta(microseconds=1)
    assert first["event_id"] != second["event_id"]
    assert orjson.loads(first["metadata"]) == {"message": "m", "x": 1}


def test_the_same_entry_gives_the_same_rows() -> None:
    for kind, sent in ((Kind.USAGE, usage()), (Kind.EXECUTION, execution()), (Kind.TIMELINE, timeline())):
        one = delivered(entry(kind, sent, sent))
        context = Context(book=PriceBook(), zone=lambda _: UTC)
        first, again = (staged_table(TABLES[kind], unpack(one).items, context) for _ in range(2))

        assert first == again


def test_an_entry_is_kept_byte_by_byte() -> None:
    body = b'  {"not": "JSON\xff'
    (row,) = raw_table([delivered(entry(Kind.USAGE, body=body, key="k"))]).to_pylist()

    assert (row["body"], row["kind"], row["idempotency_key"], row["records"]) == (body, "usage", "k", 1)


def test_what_is_replayed_says_when() -> None:
    one = Refused(
        delivered=delivered(entry(Kind.USAGE)), ordinal=3, reason=Reason.RECORD, detail="d", body=b"{}"
    )
    (kept,) = quarantine_table([one], now_us=5).to_pylist()
    (replayed,) = quarantine_table([one], now_us=6, replayed=True).to_pylist()

    assert (kept["replayed_at"], kept["ver"], kept["ordinal"]) == (None, 5, 3)
    assert (replayed["replayed_at"], replayed["ver"]) == (
        datetime(1970, 1, 1, tzinfo=UTC).replace(microsecond=6),
        6,
    )


def test_no_rows_are_a_table_too() -> None:
    assert quarantine_table([], now_us=1).num_rows == 0
