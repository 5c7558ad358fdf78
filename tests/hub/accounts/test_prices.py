"""Prices hold for periods that do not overlap, for everybody or for one tenant."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.hub.accounts.conftest import NOON

from claw_hub.errors import BadRequestError, ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub.accounts.conftest import Clock

    from claw_hub.accounts import Accounts, Price, Tenant

NOW = datetime.fromtimestamp(NOON, UTC)
DAY = timedelta(days=1)


async def add(accounts: Accounts, **changes: Any) -> Price:  # noqa: ANN401 - any argument of create_price
    amounts = {"input_usd_per_million": Decimal(3), "output_usd_per_million": Decimal(15)}
    return await accounts.create_price(**{"model": "gpt-4o", **amounts, **changes})


async def test_a_price_holds_from_now_and_caches_cost_as_the_input(accounts: Accounts) -> None:
    made = await add(accounts)
    assert (made.valid_from, made.valid_to, made.tenant_id) == (NOW, None, None)
    assert made.cache_read_usd_per_million == made.cache_write_usd_per_million == Decimal(3)
    assert list(await accounts.prices()) == [made] == [await accounts.price(made.id)]


async def test_prices_are_exact_to_the_nano_dollar(accounts: Accounts) -> None:
    made = await add(
        accounts,
        input_usd_per_million=Decimal("0.000000001"),
        output_usd_per_million=Decimal("123456789.123456789"),
        cache_read_usd_per_million=Decimal(0),
        cache_write_usd_per_million=Decimal("3.75"),
    )
    (stored,) = await accounts.prices()
    assert stored == made
    assert stored.output_usd_per_million == Decimal("123456789.123456789")
    assert stored.cache_read_usd_per_million == 0


async def test_a_new_price_ends_the_open_one_where_it_begins(accounts: Accounts) -> None:
    old = await add(accounts)
    new = await add(accounts, valid_from=NOW + DAY, output_usd_per_million=Decimal(10))
    assert (await accounts.price(old.id)).valid_to == new.valid_from
    assert new.valid_to is None


@pytest.mark.parametrize(
    ("begin", "end"),
    [(NOW, None), (NOW - DAY, None), (NOW - DAY, NOW + DAY / 24), (NOW + DAY / 24, NOW + DAY / 12)],
)
async def test_periods_of_one_model_do_not_overlap(
    accounts: Accounts, begin: datetime, end: datetime | None
) -> None:
    await add(accounts, valid_to=NOW + DAY)
    before = list(await accounts.prices())
    with pytest.raises(ConflictError, match="part of that time"):
        await add(accounts, valid_from=begin, valid_to=end)
    assert list(await accounts.prices()) == before
    await add(accounts, valid_from=NOW - DAY, valid_to=NOW)
    await add(accounts, valid_from=NOW + DAY)
    await add(accounts, model="gpt-4o-mini", valid_from=begin, valid_to=end)


async def test_of_many_who_add_the_same_at_once_one_does(accounts: Accounts) -> None:
    outcomes = await asyncio.gather(*(add(accounts) for _ in range(5)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [*["ConflictError"] * 4, "Price"]


async def test_a_tenant_has_prices_of_its_own(accounts: Accounts, acme: Tenant) -> None:
    other = await accounts.create_tenant(slug="other")
    house, own = await add(accounts), await add(accounts, tenant_id=acme.id)
    assert (await accounts.prices_for(acme.id)).items == [house, own]
    assert (await accounts.prices_for(other.id)).items == [house]
    assert (await accounts.prices_for(None)).items == [house, own]
    with pytest.raises(NotFoundError):
        await add(accounts, tenant_id=4711)


async def test_a_price_ends_and_what_it_cost_before_stays(accounts: Accounts, clock: Clock) -> None:
    made = await add(accounts)
    with pytest.raises(BadRequestError, match="after valid_from"):
        await accounts.end_price(made.id, at=NOW)
    clock.now += 3600
    ended = await accounts.end_price(made.id)
    assert ended.valid_to == NOW + timedelta(hours=1)
    assert list(await accounts.prices()) == [ended]
    with pytest.raises(ConflictError, match="has ended"):
        await accounts.end_price(made.id)
    for ask in (accounts.end_price, accounts.price):
        with pytest.raises(NotFoundError):
            await ask(4711)


async def test_a_price_is_known_in_other_processes_at_once(make_accounts: Callable[[], Accounts]) -> None:
    here, there = make_accounts(), make_accounts()
    async with there.listening() as listener:
        await listener.is_listening.wait()
        assert list(await there.prices()) == []
        made = await add(here)
        async with asyncio.timeout(5):
            while list(await there.prices()) != [made]:  # noqa: ASYNC110 - Postgres makes it so
                await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "change",
    [
        {"model": ""},
        {"model": "a" * 257},
        {"input_usd_per_million": Decimal(-1)},
        {"input_usd_per_million": Decimal("NaN")},
        {"output_usd_per_million": Decimal("Infinity")},
        {"output_usd_per_million": Decimal("1e-10")},
        {"cache_read_usd_per_million": Decimal("1e9") + 1},
        {"cache_write_usd_per_million": Decimal("1e-999999")},
        {"valid_from": NOW, "valid_to": NOW},
        {"valid_from": datetime.min},  # noqa: DTZ901 - without a zone it is UTC
    ],
)
async def test_what_makes_no_sense_is_refused(accounts: Accounts, change: dict[str, Any]) -> None:
    if change == {"valid_from": datetime.min}:  # noqa: DTZ901 - the first year is a year
        assert await add(accounts, **change)
        return
    with pytest.raises(BadRequestError):
        await add(accounts, **change)
