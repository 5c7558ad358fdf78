"""From the bus to the warehouse: nothing is lost, nothing counts twice, and nothing blocks the rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.hub.worker.conftest import (
    AWAY,
    NOON_US,
    MemoryBus,
    Workshop,
    assemble,
    delivered,
    entry,
    execution,
    timeline,
    usage,
)

from claw_hub.errors import HubError, QueryTimeoutError, UnavailableError
from claw_hub.records import Kind
from claw_hub.worker.loader import (
    FIRST_WINDOW,
    MAX_BYTES,
    MAX_DELIVERIES,
    MAX_LIVE_ROWS,
    PATIENT_ATTEMPTS,
    _groups,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from claw_hub.bus import Entry
    from claw_hub.bus.redis_streams import RedisStreams
    from claw_hub.records import LiveEvent
    from claw_hub.warehouse.client import Warehouse

BAD = {"model_name": 1.5, "input_tokens": -1}
REFUSED = HubError("Code: 27. CANNOT_PARSE_INPUT")


async def carry(shop: Workshop, *entries: Entry, deliveries: int = 1) -> int:
    assert isinstance(shop.bus, MemoryBus)
    shop.bus.waiting += [delivered(one, deliveries=deliveries) for one in entries]
    return await shop.loader.step(block_seconds=0)


def waiting(shop: Workshop) -> int:
    assert isinstance(shop.bus, MemoryBus)
    return len(shop.bus.waiting)


def poison(span: str) -> Callable[[str, pa.Table], HubError | None]:
    """Refuses each insert of calls that holds one of this span."""

    def refuse(table: str, rows: pa.Table) -> HubError | None:
        bad = table == "stg_usage" and span in rows["span_id"].to_pylist()
        return REFUSED if bad else None

    return refuse


def only(table: str, error: HubError) -> Callable[[str, pa.Table], HubError | None]:
    return lambda name, _: error if name == table else None


async def nothing_left(streams: RedisStreams) -> None:
    while any((await streams.lag()).entries.values()):  # noqa: ASYNC110 - Redis does not say when
        await asyncio.sleep(0.01)


async def stored(shop: Workshop) -> int:
    return await shop.size("stg_usage")


async def reasons(shop: Workshop) -> list[tuple[int, str]]:
    rows = await shop.rows(
        "SELECT ordinal, toString(reason) AS r FROM quarantine FINAL ORDER BY entry_id, ordinal"
    )
    return [(row["ordinal"], row["r"]) for row in rows]


async def test_each_kind_is_stored_in_its_table_and_the_bytes_beside_it(shop: Workshop) -> None:
    done = await carry(
        shop,
        entry(Kind.USAGE, usage(), usage()),
        entry(Kind.EXECUTION, execution()),
        entry(Kind.TIMELINE, timeline(), timeline(), timeline()),
    )

    tables = ("stg_usage", "stg_executions", "stg_timeline", "raw_batches", "quarantine")
    assert [await shop.size(table) for table in tables] == [2, 1, 3, 3, 0]
    assert (done, waiting(shop)) == (3, 0)
    assert shop.counts.amounts == {
        ("records_read", "usage"): 2,
        ("records_read", "execution"): 1,
        ("records_read", "timeline"): 3,
        ("records_stored", "usage"): 2,
        ("records_stored", "execution"): 1,
        ("records_stored", "timeline"): 3,
    }


async def test_where_there_is_nothing_to_carry_nothing_is_done(shop: Workshop) -> None:
    assert await shop.loader.step(block_seconds=0) == 0
    assert shop.warehouse.inserts == 0


async def test_an_entry_that_comes_again_changes_nothing(shop: Workshop) -> None:
    one = delivered(entry(Kind.USAGE, usage(), usage()))
    event = delivered(entry(Kind.TIMELINE, timeline(), timeline()))
    assert isinstance(shop.bus, MemoryBus)
    for _ in range(3):
        shop.bus.waiting += [one, event]
        await shop.loader.step(block_seconds=0)

    assert await stored(shop) == 2
    assert await shop.size("stg_timeline") == 2
    assert await shop.size("raw_batches") == 2


async def test_a_clients_retry_is_stored_once(shop: Workshop) -> None:
    sent = usage()
    await carry(shop, entry(Kind.USAGE, sent), entry(Kind.USAGE, sent, received_us=NOON_US + 1))
    keyed = timeline()
    await carry(shop, entry(Kind.TIMELINE, keyed, key="k"), entry(Kind.TIMELINE, keyed, key="k"))

    assert await stored(shop) == 1
    assert await shop.size("stg_timeline") == 1


@pytest.mark.parametrize("ended", ["completed", "failed"])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_late_running_never_beats_what_has_ended(shop: Workshop, ended: str, apart: bool) -> None:  # noqa: FBT001 - a table
    first = entry(Kind.EXECUTION, execution(status=ended, content="done"), received_us=NOON_US)
    late = entry(Kind.EXECUTION, execution(), received_us=NOON_US + 10_000_000)
    for entries in [[first], [late]] if apart else [[first, late]]:
        await carry(shop, *entries)

    (row,) = await shop.rows("SELECT toString(status) AS status, content FROM stg_executions FINAL")
    assert row == {"status": ended, "content": "done"}


async def test_of_two_ends_the_one_that_came_later_stays(shop: Workshop) -> None:
    later = entry(Kind.EXECUTION, execution(status="completed"), received_us=NOON_US + 1)
    await carry(shop, later)
    await carry(shop, entry(Kind.EXECUTION, execution(status="failed")))

    (row,) = await shop.rows("SELECT toString(status) AS status FROM stg_executions FINAL")
    assert row == {"status": "completed"}


async def test_records_are_the_tenants_own_even_with_the_same_ids(shop: Workshop) -> None:
    sent = usage(event_id="one")
    await carry(shop, *(entry(Kind.USAGE, sent, tenant_id=tenant_id) for tenant_id in (1, 2)))
    await carry(shop, *(entry(Kind.EXECUTION, execution(), tenant_id=tenant_id) for tenant_id in (1, 2)))

    assert await stored(shop) == 2
    assert await shop.size("stg_executions") == 2


async def test_a_record_that_is_none_is_set_aside_and_the_others_are_stored(shop: Workshop) -> None:
    good = [usage() for _ in range(5)]
    await carry(shop, entry(Kind.USAGE, good[0], BAD, *good[1:4], 17, good[4]), entry(Kind.USAGE, usage()))

    assert await stored(shop) == 6
    assert await reasons(shop) == [(1, "record"), (5, "record")]
    assert waiting(shop) == 0
    assert shop.counts.amounts["records_quarantined", "usage", "record"] == 2
    assert shop.counts.amounts["records_stored", "usage"] == 6


async def test_neighbours_of_what_is_set_aside_keep_their_identities(shop: Workshop) -> None:
    same = usage()
    for kind, records, bad, table in (
        (Kind.USAGE, [same, same], BAD, "stg_usage"),
        (Kind.TIMELINE, [timeline(), timeline()], {"event_type": ""}, "stg_timeline"),
    ):
        for key in ("", "k"):
            one = delivered(entry(kind, *records, {**records[0], "extra": key}, key=key))
            broken = delivered(entry(kind, *records, bad, key=key))
            await shop.loader.load([one])
            before = await shop.size(table)
            await shop.loader.load([type(one)(id=one.id, entry=broken.entry)])

            assert await shop.size(table) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"17",
        b"null",
        b'{"records": 3}',
        b"[" * 100_000,
        b'[{"a": NaN}]',
        b"{}",
        b"[[1]]",
    ],
)
async def test_a_body_that_nobody_can_read_is_set_aside_whole(shop: Workshop, body: bytes) -> None:
    await carry(shop, entry(Kind.USAGE, body=body), entry(Kind.USAGE, usage()))

    (row,) = await shop.rows(
        "SELECT ordinal, toString(reason) AS reason, base64Encode(body) AS body FROM quarantine FINAL"
    )
    assert row["ordinal"] == 0
    assert row["reason"] in {"body", "record"}
    assert (await stored(shop), waiting(shop)) == (1, 0)
    assert shop.counts.of("records_quarantined") == 1


async def test_a_record_that_the_warehouse_refuses_is_found_and_set_aside(shop: Workshop) -> None:
    shop.warehouse.refuse = poison("poison")
    others = [usage() for _ in range(40)]
    await carry(
        shop,
        entry(Kind.USAGE, *others[:20], usage(span_id="poison"), *others[20:]),
        entry(Kind.USAGE, usage()),
    )

    assert await stored(shop) == 41
    assert await reasons(shop) == [(20, "warehouse")]
    assert (waiting(shop), shop.pauses) == (0, [])
    assert shop.counts.amounts["records_quarantined", "usage", "warehouse"] == 1


async def test_a_record_that_is_refused_alone_is_set_aside_after_some_patience(shop: Workshop) -> None:
    shop.warehouse.refuse = poison("poison")
    await carry(shop, entry(Kind.USAGE, usage(span_id="poison")))

    assert await reasons(shop) == [(0, "warehouse")]
    assert len(shop.pauses) == PATIENT_ATTEMPTS
    assert waiting(shop) == 0


async def test_a_table_that_takes_nothing_for_a_while_costs_nothing_but_time(shop: Workshop) -> None:
    shop.warehouse.refuse = lambda table, _: (
        REFUSED if table == "stg_usage" and len(shop.pauses) < 5 else None
    )
    await carry(shop, entry(Kind.USAGE, *(usage() for _ in range(100))))

    assert (await stored(shop), await reasons(shop), waiting(shop)) == (100, [], 0)
    assert shop.pauses == [0.1, 0.2, 0.4, 0.8, 1.6]


async def test_an_outage_uses_up_no_patience(shop: Workshop) -> None:
    def refuse(table: str, _: pa.Table) -> HubError | None:
        if len(shop.pauses) < 2 * PATIENT_ATTEMPTS:
            return AWAY
        return REFUSED if table == "stg_usage" and len(shop.pauses) < 3 * PATIENT_ATTEMPTS else None

    shop.warehouse.refuse = refuse
    await carry(shop, entry(Kind.USAGE, usage(), usage()))

    assert (await stored(shop), await reasons(shop), waiting(shop)) == (2, [], 0)


async def test_a_table_that_takes_nothing_at_all_is_found_out_without_asking_for_each_record(
    shop: Workshop,
) -> None:
    shop.warehouse.refuse = only("stg_usage", REFUSED)
    await carry(shop, entry(Kind.USAGE, *(usage() for _ in range(1000))), entry(Kind.TIMELINE, timeline()))

    assert shop.warehouse.inserts < 40 * PATIENT_ATTEMPTS
    assert await shop.size("quarantine") == 1000
    assert await shop.size("stg_timeline") == 1
    assert waiting(shop) == 0


async def test_an_entry_whose_bytes_are_refused_is_set_aside_whole(shop: Workshop) -> None:
    shop.warehouse.refuse = lambda table, rows: (
        REFUSED if table == "raw_batches" and "bad" in rows["idempotency_key"].to_pylist() else None
    )
    await carry(shop, entry(Kind.USAGE, usage(), usage(), key="bad"), entry(Kind.USAGE, usage()))

    assert (await stored(shop), await reasons(shop)) == (1, [(0, "entry")])
    assert shop.counts.amounts["records_quarantined", "usage", "entry"] == 2


async def test_entries_of_different_kinds_may_have_the_same_id(shop: Workshop) -> None:
    assert isinstance(shop.bus, MemoryBus)
    shop.warehouse.refuse = lambda table, rows: (
        REFUSED if table == "raw_batches" and "bad" in rows["idempotency_key"].to_pylist() else None
    )
    call = delivered(entry(Kind.USAGE, usage(), usage(), key="bad"))
    event = replace(call, entry=entry(Kind.TIMELINE, timeline(), timeline(), timeline()))
    outcome = await shop.loader.load([call, event])
    shop.loader._count_done([call, event], outcome)

    assert (await shop.size("stg_timeline"), await reasons(shop)) == (3, [(0, "entry")])
    assert shop.counts.amounts["records_stored", "timeline"] == 3


async def test_what_not_even_the_quarantine_takes_stays_in_the_bus(shop: Workshop) -> None:
    shop.warehouse.refuse = only("quarantine", REFUSED)
    await carry(shop, entry(Kind.USAGE, usage(), BAD), entry(Kind.USAGE, usage()))

    assert (await stored(shop), waiting(shop)) == (2, 1)
    assert shop.counts.of("records_stuck") == 1
    assert shop.counts.of("records_stored") == 1


@pytest.mark.parametrize("table", ["raw_batches", "stg_usage", "quarantine"])
@pytest.mark.parametrize("error", [AWAY, QueryTimeoutError("slow")])
async def test_while_the_warehouse_is_away_it_waits_longer_and_longer_and_loses_nothing(
    shop: Workshop, table: str, error: HubError
) -> None:
    shop.warehouse.refuse = lambda name, _: error if name == table and len(shop.pauses) < 9 else None
    await carry(shop, entry(Kind.USAGE, usage(), BAD), entry(Kind.USAGE, usage()))

    assert (await stored(shop), await reasons(shop), waiting(shop)) == (2, [(1, "record")], 0)
    assert shop.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert shop.counts.of("records_stored") == 2


async def test_an_insert_that_takes_too_long_is_tried_by_halves(shop: Workshop) -> None:
    shop.warehouse.refuse = lambda table, rows: (
        QueryTimeoutError("slow") if table == "stg_usage" and rows.num_rows > 10 else None
    )
    await carry(shop, entry(Kind.USAGE, *(usage() for _ in range(100))))

    assert (await stored(shop), await reasons(shop), shop.pauses) == (100, [], [])


async def test_nothing_is_done_before_it_is_stored(shop: Workshop) -> None:
    insert, may_insert = asyncio.Event(), asyncio.Event()
    behind = shop.warehouse.insert

    async def slow(table: str, rows: pa.Table) -> None:
        insert.set()
        await may_insert.wait()
        await behind(table, rows)

    shop.warehouse.insert = slow  # type: ignore[method-assign]
    carrying = asyncio.create_task(carry(shop, entry(Kind.USAGE, usage())))
    await insert.wait()
    assert waiting(shop) == 1
    may_insert.set()
    await carrying

    assert (waiting(shop), await stored(shop)) == (0, 1)


async def test_while_the_bus_is_away_it_waits(shop: Workshop) -> None:
    assert isinstance(shop.bus, MemoryBus)
    shop.bus.errors = [UnavailableError("Redis is away")] * 3

    assert await carry(shop, entry(Kind.USAGE, usage())) == 1
    assert shop.pauses == [0.1, 0.2, 0.4]
    assert shop.counts.amounts["load_failures", "err-claw-hub-unavailable"] == 3


async def test_while_prices_cannot_be_read_nothing_is_stored_at_a_wrong_cost(shop: Workshop) -> None:
    shop.accounts.error = AWAY
    carrying = asyncio.create_task(carry(shop, entry(Kind.USAGE, usage())))
    await shop.paused(3)
    assert shop.warehouse.inserts == 0
    shop.accounts.error = None
    await carrying

    assert await stored(shop) == 1


async def test_records_of_an_entry_that_was_delivered_before_count_as_deduplicated(shop: Workshop) -> None:
    await carry(shop, entry(Kind.USAGE, usage(), usage(), BAD), deliveries=2)

    assert shop.counts.amounts["records_deduplicated", "usage"] == 2
    assert shop.counts.amounts["records_quarantined", "usage", "record"] == 1
    assert shop.counts.of("records_stored") == 0


async def test_all_that_was_accepted_is_counted_once(shop: Workshop) -> None:
    shop.warehouse.refuse = poison("poison")
    entries = [
        entry(Kind.USAGE, usage(), BAD, usage(span_id="poison")),
        entry(Kind.USAGE, body=b"{"),
        entry(Kind.EXECUTION, execution(), execution()),
        entry(Kind.TIMELINE, *(timeline() for _ in range(10))),
    ]
    await carry(shop, *entries[:2], deliveries=3)
    await carry(shop, *entries[2:])

    names = ("records_stored", "records_deduplicated", "records_quarantined")
    assert sum(shop.counts.of(name) for name in names) == sum(one.count for one in entries)


async def test_an_entry_with_which_the_worker_died_again_and_again_is_set_aside_unseen(
    shop: Workshop,
) -> None:
    guilty = entry(Kind.USAGE, usage(), usage())
    await carry(shop, guilty, deliveries=MAX_DELIVERIES + 1)
    await carry(shop, entry(Kind.USAGE, usage()), deliveries=MAX_DELIVERIES)

    assert (await stored(shop), await reasons(shop), waiting(shop)) == (1, [(0, "crash")], 0)
    assert shop.counts.amounts["records_quarantined", "usage", "crash"] == 2


def test_the_more_often_an_entry_was_delivered_the_later_and_the_more_alone_it_is_tried() -> None:
    batch = [
        delivered(entry(Kind.TIMELINE), deliveries=deliveries)
        for deliveries in [9] * 3 + [4] * 40 + [1] * 100
    ]

    groups = list(_groups(batch))

    assert [(len(group), group[0].deliveries) for group in groups] == [(100, 1), (32, 4), (8, 4)] + [
        (1, 9)
    ] * 3


def test_what_is_stored_together_is_not_more_than_an_insert_should_hold() -> None:
    large = [delivered(entry(Kind.USAGE, body=b"x" * (MAX_BYTES // 2))) for _ in range(5)]

    assert [len(group) for group in _groups(large)] == [2, 2, 1]
    assert list(_groups([])) == []


async def test_it_reads_more_at_a_time_of_what_is_small_and_less_of_what_is_large(shop: Workshop) -> None:
    assert isinstance(shop.bus, MemoryBus)
    shop.bus.waiting = [delivered(entry(Kind.TIMELINE, timeline())) for _ in range(3 * FIRST_WINDOW)]

    assert [await shop.loader.step(block_seconds=0) for _ in range(2)] == [FIRST_WINDOW, 2 * FIRST_WINDOW]

    huge = b"[" + b" " * (MAX_BYTES // 8) + b"]"
    shop.bus.waiting = [delivered(entry(Kind.TIMELINE, body=huge)) for _ in range(16)]
    await shop.loader.step(block_seconds=0)
    assert shop.loader._window < FIRST_WINDOW * 2


async def test_watchers_are_told_what_was_stored_as_the_query_api_shapes_it(shop: Workshop) -> None:
    await carry(
        shop,
        entry(Kind.USAGE, usage(span_id="s", cost_usd=0.01)),
        entry(Kind.EXECUTION, execution(status="completed", end_time="2026-11-21T11:30:01Z")),
        entry(Kind.TIMELINE, timeline()),
    )
    call, run, event = shop.told

    assert {(one.tenant_id, one.project_id) for one in shop.told} == {(7, "proj-1")}
    assert [one.kind for one in shop.told] == [Kind.USAGE, Kind.EXECUTION, Kind.TIMELINE]
    assert len(call.data.pop("id")) == 32
    assert call.data == {
        "timestamp": "2026-11-21T11:30:00.000000Z",
        "agentscope_project_id": "proj-1",
        "agentscope_agent_id": "a1",
        "agent_name": "Strategy Agent",
        "model_name": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": 0.01,
        "cost_source": "client",
        "duration_ms": 1500.5,
        "span_id": "s",
    }
    assert (run.data["end_time"], run.data["duration_ms"]) == ("2026-11-21T11:30:01.000000Z", 1000)
    assert event.data["metadata"] == {"message": "m", "x": 1}


async def test_nobody_is_told_more_than_can_be_watched(shop: Workshop) -> None:
    await carry(
        shop, entry(Kind.TIMELINE, *(timeline(message=str(number)) for number in range(MAX_LIVE_ROWS + 5)))
    )

    assert len(shop.told) == MAX_LIVE_ROWS
    assert shop.told[-1].data["message"] == str(MAX_LIVE_ROWS + 4)
    assert shop.counts.amounts["live_left_out", "timeline"] == 5


async def test_what_cannot_be_told_is_stored_all_the_same(warehouse: Warehouse) -> None:
    async def fail(_: Sequence[LiveEvent]) -> None:
        raise AWAY

    shop = assemble(warehouse, MemoryBus(), publish=fail)
    await carry(shop, entry(Kind.USAGE, usage()))

    assert (await stored(shop), waiting(shop), shop.counts.of("live_failures")) == (1, 0, 1)


async def test_through_redis_everything_arrives_and_nothing_is_left(
    warehouse: Warehouse, streams: RedisStreams
) -> None:
    shop = assemble(warehouse, streams)
    for number in range(50):
        await streams.append(entry(Kind.USAGE, *(usage() for _ in range(number % 3 + 1))))
        await streams.append(entry(Kind.TIMELINE, timeline()))
    running = asyncio.create_task(shop.loader.run())
    await nothing_left(streams)
    running.cancel()

    assert await stored(shop) == sum(number % 3 + 1 for number in range(50))
    assert await shop.size("stg_timeline") == 50


async def test_what_a_worker_had_in_hand_when_it_ended_comes_to_the_next(
    warehouse: Warehouse, streams: RedisStreams
) -> None:
    await streams.append(entry(Kind.USAGE, usage(), usage()))
    first = assemble(warehouse, streams)
    first.warehouse.refuse = only("stg_usage", AWAY)
    dying = asyncio.create_task(first.loader.run())
    await first.paused(1)
    dying.cancel()
    streams._readers.clear()  # another process of the same name

    second = assemble(warehouse, streams)
    await second.loader.step()

    assert await stored(second) == 2
    assert second.counts.of("records_deduplicated") == 2
    assert not (await streams.lag()).entries[Kind.USAGE]
