"""Sums by the hour are what is stored: whatever came late, twice, or was not summed up before a kill."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.hub.worker.conftest import AWAY, HOUR, NOON, NOON_US, Clock, Counts, delivered, entry, usage

from claw_hub.errors import HubError, QueryTimeoutError
from claw_hub.records import Kind
from claw_hub.worker.marts import MAX_BUCKETS, MAX_SPAN_SECONDS, Bucket, Marts, _chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.hub.worker.conftest import Workshop

ELEVEN = NOON - HOUR
SUMS = """SELECT toString(dimension) AS name, key, calls, total_tokens, cost_nano_usd
FROM mart_usage_hour FINAL WHERE calls > 0 ORDER BY dimension, key"""


async def load(shop: Workshop, *records: object, **changes: Any) -> None:  # noqa: ANN401 - of an entry
    await shop.loader.load([delivered(entry(Kind.USAGE, *records, **changes))])


async def sums(shop: Workshop) -> list[tuple[str, str, int, int, int]]:
    return [tuple(row.values()) for row in await shop.rows(SUMS)]


async def test_a_bucket_has_sums_of_all_by_agent_and_by_model(shop: Workshop) -> None:
    await load(shop, usage(cost_usd=1), usage(cost_usd=2, agent_name="B"), usage(cost_usd=4, model_name="m"))

    assert await shop.marts.recompute() == 1
    assert await sums(shop) == [
        ("all", "", 3, 450, 7 * 10**9),
        ("agent", "B", 1, 150, 2 * 10**9),
        ("agent", "Strategy Agent", 2, 300, 5 * 10**9),
        ("model", "gpt-4", 2, 300, 3 * 10**9),
        ("model", "m", 1, 150, 4 * 10**9),
    ]


async def test_a_record_that_comes_again_is_summed_up_once(shop: Workshop) -> None:
    again = delivered(entry(Kind.USAGE, usage(), usage()))
    for _ in range(3):
        await shop.loader.load([again])
        await shop.marts.recompute()

    assert (await sums(shop))[0][:3] == ("all", "", 2)


async def test_what_comes_late_is_summed_up_in_its_own_hour(shop: Workshop) -> None:
    await load(shop, usage())
    await shop.marts.recompute()
    await load(shop, usage(timestamp="2025-01-01T00:10:00Z"))
    await shop.marts.recompute()

    rows = await shop.rows("SELECT hour FROM mart_usage_hour FINAL WHERE dimension = 'all' ORDER BY hour")
    assert [int(row["hour"].timestamp()) for row in rows] == [1_735_689_600, ELEVEN]


async def test_a_key_that_is_not_found_any_more_has_no_calls(shop: Workshop) -> None:
    await load(shop, usage(event_id="one", agent_name="before"))
    await shop.marts.recompute()
    await load(shop, usage(event_id="one", agent_name="after"), received_us=NOON_US + 1)
    await shop.marts.recompute()

    assert [row[:3] for row in await sums(shop)] == [
        ("all", "", 1),
        ("agent", "after", 1),
        ("model", "gpt-4", 1),
    ]


async def test_a_clock_that_was_set_back_does_not_bring_old_sums_back(shop: Workshop) -> None:
    await load(shop, usage())
    await shop.marts.recompute()
    shop.clock.now -= 10 * HOUR
    await load(shop, usage())
    await shop.marts.recompute()

    assert (await sums(shop))[0][:3] == ("all", "", 2)


async def test_tenants_are_summed_up_apart(shop: Workshop) -> None:
    sent = usage()
    await load(shop, sent, tenant_id=1)
    await load(shop, sent, tenant_id=2)
    await shop.marts.recompute()

    rows = await shop.rows(
        "SELECT tenant_id, calls FROM mart_usage_hour FINAL WHERE dimension = 'all' ORDER BY 1"
    )
    assert [tuple(row.values()) for row in rows] == [(1, 1), (2, 1)]


async def test_nothing_is_summed_up_where_nothing_was_touched(shop: Workshop) -> None:
    assert await shop.marts.recompute() == 0
    assert shop.counts.of("buckets_recomputed") == 0


async def test_what_cannot_be_summed_up_now_stays_marked(shop: Workshop) -> None:
    failing = _Failing(error=AWAY)
    marts = Marts(failing, clock=shop.clock, count=shop.counts)
    marts.mark([Bucket(7, ELEVEN), Bucket(7, NOON)])
    shop.clock.now += 5

    with pytest.raises(HubError):
        await marts.recompute()

    assert (marts.dirty, marts.oldest_seconds) == (2, 5.0)
    failing.error = None
    assert await marts.recompute() == 2
    assert (marts.dirty, marts.oldest_seconds) == (0, 0.0)


async def test_a_bucket_that_is_touched_while_it_is_summed_up_is_summed_up_again() -> None:
    failing = _Failing()
    marts = Marts(failing, clock=Clock(), count=Counts())
    failing.meanwhile = lambda: marts.mark([Bucket(7, ELEVEN)])
    marts.mark([Bucket(7, ELEVEN)])

    await marts.recompute()

    assert marts.dirty == 1


async def test_too_much_for_one_statement_is_summed_up_by_halves() -> None:
    failing = _Failing(most=2)
    marts = Marts(failing, clock=Clock(), count=Counts())
    marts.mark(Bucket(tenant_id, ELEVEN) for tenant_id in range(7))

    assert await marts.recompute() == 7
    assert sorted(tenant_id for tenants in failing.summed_up for tenant_id in tenants) == list(range(7))


async def test_at_start_what_was_received_lately_is_touched(shop: Workshop) -> None:
    await load(shop, usage(timestamp="2026-11-21T02:00:00Z"), received_us=NOON_US - 3 * HOUR * 1_000_000)
    await load(shop, usage(timestamp="2026-10-01T00:10:00Z"), received_us=NOON_US - HOUR * 1_000_000)
    await load(shop, usage())
    started = Marts(shop.warehouse, clock=shop.clock, count=shop.counts)

    await started.mark_recent()

    assert await started.recompute() == 2
    assert await shop.number("SELECT count() FROM mart_usage_hour FINAL WHERE dimension = 'all'") == 2


async def test_a_worker_that_was_away_for_days_finds_what_it_had_not_summed_up(shop: Workshop) -> None:
    await load(shop, usage())
    shop.clock.now += 5 * 24 * HOUR
    started = Marts(shop.warehouse, clock=shop.clock, count=shop.counts)

    await started.mark_recent()

    assert await started.recompute() == 1


async def test_an_empty_warehouse_has_nothing_that_was_touched(shop: Workshop) -> None:
    await shop.marts.mark_recent()

    assert shop.marts.dirty == 0


async def test_it_tells_which_sums_differ_from_what_is_stored(shop: Workshop) -> None:
    await load(shop, usage())
    await load(shop, usage(timestamp="2026-11-21T10:30:00Z"))
    assert await shop.marts.differing(NOON - 24 * HOUR, NOON) == [Bucket(7, ELEVEN - HOUR), Bucket(7, ELEVEN)]

    await shop.marts.recompute()

    assert await shop.marts.differing(NOON - 24 * HOUR, NOON) == []


async def test_it_runs_until_it_is_cancelled_and_tries_again_after_failures(shop: Workshop) -> None:
    failing = _Failing(error=AWAY)
    marts = Marts(failing, clock=shop.clock, count=shop.counts)
    marts.mark([Bucket(7, ELEVEN)])
    running = asyncio.create_task(marts.run(pause_seconds=0.001))

    await asyncio.wait_for(failing.was_asked.wait(), 10)
    failing.error = None
    await asyncio.wait_for(failing.was_summed_up.wait(), 10)

    running.cancel()
    assert shop.counts.of("buckets_recomputed") == 1
    assert failing.names[-2:] == ["worker/touched_usage_hours", "worker/recompute_usage_hours"]


def test_statements_are_for_few_buckets_of_times_that_lie_together() -> None:
    many = [Bucket(tenant_id, ELEVEN) for tenant_id in range(MAX_BUCKETS + 1)]
    far = [Bucket(1, ELEVEN), Bucket(2, ELEVEN - MAX_SPAN_SECONDS), Bucket(1, ELEVEN - HOUR)]

    assert [len(chunk) for chunk in _chunks(many)] == [MAX_BUCKETS, 1]
    assert [len(chunk) for chunk in _chunks(far)] == [1, 2] or [len(chunk) for chunk in _chunks(far)] == [
        2,
        1,
    ]
    assert list(_chunks([])) == []


class _Failing:
    """A warehouse that sums up at most so many buckets in a statement, or fails."""

    def __init__(self, *, error: HubError | None = None, most: int = 1000) -> None:
        self.error = error
        self.most = most
        self.names: list[str] = []
        self.summed_up: list[Sequence[int]] = []
        self.was_asked = asyncio.Event()
        self.was_summed_up = asyncio.Event()
        self.meanwhile: Callable[[], None] = lambda: None

    async def system(self, name: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as there
        self.names.append(name)
        self.was_asked.set()
        if self.error is not None:
            raise self.error
        if "tenants" in parameters:
            if len(parameters["tenants"]) > self.most:
                raise QueryTimeoutError("too much")
            self.meanwhile()
            self.summed_up.append(parameters["tenants"])
            self.was_summed_up.set()
        return []
