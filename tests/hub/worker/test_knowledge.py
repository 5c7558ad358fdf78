"""Prices and zones are at most a minute old, and kept while nobody can tell them."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from tests.hub.worker.conftest import AWAY, NOON_US, Accounts, Clock
from tests.hub.worker.test_pricing import Price

from claw_hub.errors import UnavailableError
from claw_hub.worker.knowledge import FRESH_SECONDS, Knowledge


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_it_asks_once_a_minute(clock: Clock) -> None:
    accounts = Accounts(found=[Price()], zones={1: "Asia/Shanghai"})
    knowledge = Knowledge(accounts, clock=clock)
    for _ in range(5):
        context = await knowledge.context([1, 1])
    assert accounts.asked == 2
    assert context.zone(1) == ZoneInfo("Asia/Shanghai")
    assert context.book.rates(1, "gpt-4", NOON_US) is not None

    clock.now += FRESH_SECONDS
    accounts.found, accounts.zones = [], {1: "UTC"}
    context = await knowledge.context([1])

    assert accounts.asked == 4
    assert context.zone(1) == ZoneInfo("UTC")
    assert context.book.rates(1, "gpt-4", NOON_US) is None


async def test_while_the_accounts_are_away_the_last_word_holds(clock: Clock) -> None:
    accounts = Accounts(found=[Price()], zones={1: "Asia/Shanghai"})
    knowledge = Knowledge(accounts, clock=clock)
    await knowledge.context([1])
    accounts.error = AWAY
    clock.now += 24 * 3600

    context = await knowledge.context([1])

    assert context.zone(1) == ZoneInfo("Asia/Shanghai")
    assert context.book.rates(1, "gpt-4", NOON_US) is not None


@pytest.mark.parametrize("tenants", [[1], []])
async def test_who_has_never_had_an_answer_waits_for_one(clock: Clock, tenants: list[int]) -> None:
    with pytest.raises(UnavailableError):
        await Knowledge(Accounts(error=AWAY), clock=clock).context(tenants)


async def test_a_tenant_that_is_gone_or_whose_zone_is_none_has_utc(clock: Clock) -> None:
    accounts = Accounts(missing={1}, zones={2: "Mars/Olympus"})
    context = await Knowledge(accounts, clock=clock).context([1, 2])

    assert (context.zone(1), context.zone(2)) == (UTC, UTC)
