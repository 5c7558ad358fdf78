"""What was set aside is listed, and stored on command once it can be; no identity changes by that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.hub.worker.conftest import NOON_US, delivered, entry, timeline, usage

from claw_hub.errors import HubError, UnavailableError
from claw_hub.records import Kind
from claw_hub.worker.quarantine import PAGE_ROWS, Choice, Quarantine, Replayed
from claw_hub.worker.rows import Reason

if TYPE_CHECKING:
    import pyarrow as pa
    from tests.hub.worker.conftest import Workshop

    from claw_hub.bus import Delivered

BAD = {"model_name": 1.5}


@pytest.fixture
def quarantine(shop: Workshop) -> Quarantine:
    return Quarantine(shop.warehouse, loader=shop.loader, marts=shop.marts, clock=shop.clock)


def refuse_calls(table: str, rows: pa.Table) -> HubError | None:
    bad = table == "stg_usage" and any(span.startswith("bad") for span in rows["span_id"].to_pylist())
    return HubError("Code: 27.") if bad else None


async def set_aside(shop: Workshop, *batch: Delivered) -> None:
    shop.warehouse.refuse = refuse_calls
    await shop.loader.load(batch)
    shop.warehouse.refuse = lambda _table, _rows: None
    shop.clock.now += 60


async def test_what_is_set_aside_is_listed_with_its_reason_and_its_bytes(
    shop: Workshop, quarantine: Quarantine
) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(), BAD, key="k")))
    await set_aside(
        shop, delivered(entry(Kind.TIMELINE, body=b"\xff{", tenant_id=8, received_us=NOON_US + 1))
    )

    record, body = [one.refused for one in await quarantine.list()]

    assert (record.reason, record.ordinal, record.body) == (Reason.RECORD, 1, b'{"model_name":1.5}')
    assert record.detail.startswith("err-claw-hub-bad-record: ")
    assert (record.delivered.entry.tenant_id, record.delivered.entry.idempotency_key) == (7, "k")
    assert (body.reason, body.body, body.delivered.entry.kind) == (Reason.BODY, b"\xff{", Kind.TIMELINE)


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (Choice(), 3),
        (Choice(tenant_id=8), 1),
        (Choice(kind=Kind.USAGE), 2),
        (Choice(reason=Reason.RECORD), 2),
        (Choice(tenant_id=8, kind=Kind.USAGE), 0),
    ],
)
async def test_the_list_can_be_narrowed(
    shop: Workshop, quarantine: Quarantine, choice: Choice, found: int
) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, BAD, BAD)))
    await set_aside(shop, delivered(entry(Kind.TIMELINE, body=b"{", tenant_id=8)))

    assert len(await quarantine.list(choice)) == found


async def test_the_list_comes_in_pages(shop: Workshop, quarantine: Quarantine) -> None:
    await set_aside(shop, *(delivered(entry(Kind.USAGE, BAD, BAD)) for _ in range(4)))
    await set_aside(shop, delivered(entry(Kind.TIMELINE, body=b"{")))

    pages = [await quarantine.list(rows=5)]
    pages.append(await quarantine.list(rows=5, after=pages[0][-1].place))

    assert [len(page) for page in pages] == [5, 4]
    assert len({one.place for page in pages for one in page}) == 9


async def test_a_replay_stores_what_can_be_stored_by_now(shop: Workshop, quarantine: Quarantine) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(), usage(span_id="bad"), usage())))
    assert await shop.size("stg_usage") == 2

    assert await quarantine.replay() == Replayed(stored=1)

    assert await shop.size("stg_usage") == 3
    assert await quarantine.list() == []
    (replayed,) = await quarantine.list(with_replayed=True)
    assert replayed.is_replayed


async def test_a_replay_brings_the_sums_up_to_date(shop: Workshop, quarantine: Quarantine) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(span_id="bad"), usage())))
    await quarantine.replay()

    assert await shop.number("SELECT calls FROM mart_usage_hour FINAL WHERE dimension = 'all'") == 2


async def test_to_replay_again_changes_nothing(shop: Workshop, quarantine: Quarantine) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(span_id="bad"), usage())))
    await quarantine.replay()

    assert await quarantine.replay() == Replayed()
    assert await shop.size("stg_usage") == 2


async def test_a_replayed_record_takes_no_others_place(shop: Workshop, quarantine: Quarantine) -> None:
    keyed = delivered(entry(Kind.USAGE, usage(), usage(), usage(span_id="bad"), key="k"))
    events = delivered(entry(Kind.TIMELINE, timeline(), timeline(), {"event_type": ""}))
    await set_aside(shop, keyed, events)
    await shop.loader.load([events])

    assert await quarantine.replay() == Replayed(stored=1, refused=1)
    assert (await shop.size("stg_usage"), await shop.size("stg_timeline")) == (3, 2)
    # As if it had never been set aside.
    await shop.loader.load([keyed])
    assert await shop.size("stg_usage") == 3


async def test_what_is_still_none_stays(shop: Workshop, quarantine: Quarantine) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(), BAD)), delivered(entry(Kind.USAGE, body=b"{")))

    assert await quarantine.replay() == Replayed(refused=2)
    assert len(await quarantine.list()) == 2


async def test_an_entry_that_was_set_aside_unseen_is_seen_in_a_replay(
    shop: Workshop, quarantine: Quarantine
) -> None:
    guilty = delivered(entry(Kind.USAGE, usage(), usage()), deliveries=100)
    await shop.loader._settle([guilty])
    shop.clock.now += 60

    assert await quarantine.replay() == Replayed(stored=1)
    assert await shop.size("stg_usage") == 2


async def test_a_record_whose_entry_is_not_kept_any_more_is_gone(
    shop: Workshop, quarantine: Quarantine
) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(), usage(span_id="bad"))))
    behind = shop.warehouse.behind
    await behind.server.execute("TRUNCATE TABLE raw_batches", database=behind.database)

    assert await quarantine.replay() == Replayed(gone=1)
    assert len(await quarantine.list()) == 1


async def test_a_replay_of_many_goes_through_all_of_them(shop: Workshop, quarantine: Quarantine) -> None:
    many = [usage(span_id=f"bad-{number}") for number in range(PAGE_ROWS + 50)]
    await set_aside(shop, delivered(entry(Kind.USAGE, *many)), delivered(entry(Kind.USAGE, BAD)))

    replayed = await quarantine.replay()

    assert replayed == Replayed(stored=PAGE_ROWS + 50, refused=1)
    assert await shop.size("stg_usage") == PAGE_ROWS + 50


async def test_a_replay_while_the_warehouse_is_away_can_be_made_again(
    shop: Workshop, quarantine: Quarantine
) -> None:
    await set_aside(shop, delivered(entry(Kind.USAGE, usage(span_id="bad"), usage())))
    shop.warehouse.refuse = lambda table, _: UnavailableError("away") if table == "quarantine" else None
    with pytest.raises(UnavailableError):
        await quarantine.replay()
    shop.warehouse.refuse = lambda _table, _rows: None

    assert await quarantine.replay() == Replayed(stored=1)
    assert await shop.size("stg_usage") == 2
