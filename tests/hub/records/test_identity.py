"""The same record has the same identity however often it comes; others have others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import orjson
import pytest

from claw_hub.bus import Delivered, Entry
from claw_hub.records import Kind, event_ids, instant_us, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL = {"model_name": "gpt-4", "input_tokens": 1}
OTHER = {"model_name": "gpt-4", "input_tokens": 2}


def ids(
    body: object, kind: Kind = Kind.USAGE, *, tenant_id: int = 1, key: str = "", entry_id: str = "1-0"
) -> Sequence[bytes]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    records = parse(kind, raw)
    entry = Entry(
        kind=kind, tenant_id=tenant_id, received_us=1, body=raw, count=len(records), idempotency_key=key
    )
    return event_ids(Delivered(id=entry_id, entry=entry), records)


def test_an_identity_has_16_bytes() -> None:
    assert [len(identity) for identity in ids([CALL, OTHER])] == [16, 16]


def test_usage_sent_again_is_the_same_in_whatever_form_and_company() -> None:
    alone = ids(CALL)
    assert ids(b'{ "input_tokens": 1,\n"model_name": "gpt-4"}', entry_id="2-0") == alone
    assert ids([OTHER, CALL])[1:] == alone
    assert ids({"records": [CALL]}) == alone
    assert ids({"x": 1, "records": [CALL, OTHER]})[:1] == alone


def test_usage_that_differs_in_a_field_we_ignore_is_another() -> None:
    assert ids(CALL) != ids({**CALL, "request_id": "r1"})


def test_identical_usage_within_a_request_is_several_and_again_the_same_several() -> None:
    twice = ids([CALL, CALL, OTHER, CALL])
    assert len(set(twice)) == 4
    assert ids([CALL, CALL, OTHER, CALL], entry_id="2-0") == twice
    assert ids([OTHER, CALL, CALL]) == [twice[2], twice[0], twice[1]]


@pytest.mark.parametrize("kind", [Kind.USAGE, Kind.TIMELINE])
def test_an_idempotency_key_and_the_place_in_the_request_name_a_record(kind: Kind) -> None:
    one, other = {**CALL, "event_type": "x"}, {**OTHER, "event_type": "x"}
    named = ids([one, other], kind, key="k", entry_id="1-0")
    assert len(set(named)) == 2
    assert ids([other, one], kind, key="k", entry_id="2-0") == named
    assert not set(ids([one, other], kind, key="k2")) & set(named)


@pytest.mark.parametrize("kind", [Kind.USAGE, Kind.TIMELINE])
def test_an_event_id_names_a_record_whatever_its_request_is_called(kind: Kind) -> None:
    record = {**CALL, "event_type": "x", "event_id": "e"}
    assert ids(record, kind, key="k") == ids([CALL | {"event_type": "y"}, record], kind, entry_id="9-9")[1:]


def test_a_timeline_without_a_name_is_another_in_each_request() -> None:
    event = {"event_type": "x"}
    assert (
        len({*ids([event, event], Kind.TIMELINE), *ids([event, event], Kind.TIMELINE, entry_id="1-1")}) == 4
    )
    assert ids(event, Kind.TIMELINE) == ids(event, Kind.TIMELINE)


def test_an_execution_is_named_by_its_id_alone() -> None:
    running = {"execution_id": "e1", "status": "running", "event_id": "a"}
    failed = {"execution_id": "e1", "status": "failed", "content": "c"}
    assert ids(running, Kind.EXECUTION, key="k1") == ids(failed, Kind.EXECUTION, entry_id="7-7")


def test_tenants_kinds_and_ways_to_name_never_meet() -> None:
    record = {**CALL, "event_type": "x", "execution_id": "k", "status": "running"}
    found = [
        ids(body, kind, tenant_id=tenant_id, key=key)[0]
        for kind in Kind
        for tenant_id in (1, 2)
        for key, body in (("", record), ("k", record), ("", {**record, "event_id": "k"}))
        if kind is not Kind.EXECUTION or (not key and "event_id" not in body)
    ]
    assert len(set(found)) == len(found) == 14


def test_a_naive_time_was_read_off_a_clock_in_the_tenants_zone() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    assert instant_us(datetime(2026, 1, 1, 8, 0, 0, 7), shanghai) == instant_us(  # noqa: DTZ001 - that is the point
        datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC), shanghai
    )
    assert instant_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), UTC) == 1_000_000
