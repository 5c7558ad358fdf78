"""What a call of a model cost: found among prices, worked out exactly, rounded once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claw_hub.worker.pricing import (
    MAX_NANO_USD,
    MAX_REMEMBERED,
    Cost,
    CostSource,
    PriceBook,
    Rates,
    Tokens,
    charge,
)

TENANT: Final = 7
NEW_YEAR: Final = datetime(2026, 1, 1, tzinfo=UTC)
NOON_US: Final = 1_795_262_400_000_000  # 2026-11-21 12:00 UTC


@dataclass(frozen=True, kw_only=True)
class Price:
    """As the accounts give it."""

    tenant_id: int | None = None
    model: str = "gpt-4"
    valid_from: datetime = NEW_YEAR
    valid_to: datetime | None = None
    input_usd_per_million: Decimal = Decimal("2.50")
    output_usd_per_million: Decimal = Decimal(10)
    cache_read_usd_per_million: Decimal | None = Decimal("1.25")
    cache_write_usd_per_million: Decimal | None = Decimal("3.75")


def us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def found(*prices: Price, model: str = "gpt-4", tenant_id: int = TENANT, at_us: int = NOON_US) -> int | None:
    """The price of a million input tokens, in USD, that the book finds."""
    rates = PriceBook(prices).rates(tenant_id, model, at_us)
    return None if rates is None else rates.cost_nano_usd(Tokens(input=1_000_000, output=0)) // 10**9


def usd(amount: int) -> Decimal:
    return Decimal(amount)


@pytest.mark.parametrize(
    ("tokens", "nano_usd"),
    [
        (Tokens(input=0, output=0), 0),
        (Tokens(input=1, output=0), 2_500),
        (Tokens(input=0, output=1), 10_000),
        (Tokens(input=100, output=50), 750_000),
        (Tokens(input=100, output=0, cache_read=40), 60 * 2_500 + 40 * 1_250),
        (Tokens(input=100, output=0, cache_write=40), 60 * 2_500 + 40 * 3_750),
        (Tokens(input=100, output=50, cache_read=40, cache_write=30), 75_000 + 50_000 + 112_500 + 500_000),
        (Tokens(input=100, output=0, cache_read=60, cache_write=40), 60 * 1_250 + 40 * 3_750),
    ],
)
def test_each_kind_of_token_has_its_own_price(tokens: Tokens, nano_usd: int) -> None:
    assert Rates.of(Price()).cost_nano_usd(tokens) == nano_usd


def test_more_cached_tokens_than_input_means_that_they_were_not_counted_as_input() -> None:
    tokens = Tokens(input=10, output=0, cache_read=100)

    assert Rates.of(Price()).cost_nano_usd(tokens) == 10 * 2_500 + 100 * 1_250


def test_without_a_price_of_its_own_the_cache_costs_what_other_input_does() -> None:
    price = Price(cache_read_usd_per_million=None, cache_write_usd_per_million=None)

    assert (
        Rates.of(price).cost_nano_usd(Tokens(input=100, output=0, cache_read=50, cache_write=50)) == 250_000
    )


def test_a_cache_may_be_free() -> None:
    price = Price(cache_read_usd_per_million=Decimal(0))

    assert Rates.of(price).cost_nano_usd(Tokens(input=100, output=0, cache_read=100)) == 0


@pytest.mark.parametrize(
    ("usd_per_million", "tokens", "nano_usd"),
    [
        ("0.0005", 1, 0),  # half of a nano-USD: to the even neighbour, below
        ("0.0005", 3, 2),  # one and a half: to the even neighbour, above
        ("0.0005", 5, 2),
        ("0.00050001", 1, 1),
        ("0.00049999", 1, 0),
        ("0.0375", 1, 38),  # 37.5
        ("0.0375", 2, 75),  # rounded at the end, not for each token
    ],
)
def test_it_rounds_once_and_half_to_even(usd_per_million: str, tokens: int, nano_usd: int) -> None:
    price = Price(input_usd_per_million=Decimal(usd_per_million))

    assert Rates.of(price).cost_nano_usd(Tokens(input=tokens, output=0)) == nano_usd


AMOUNTS: Final = st.decimals(min_value=0, max_value=1000, places=9)
COUNTS: Final = st.integers(min_value=0, max_value=2**32 - 1)


@given(prices=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS))
def test_it_is_the_formula_in_fractions(
    prices: tuple[Decimal, Decimal, Decimal, Decimal], counts: tuple[int, int, int, int]
) -> None:
    names = ("input", "output", "cache_read", "cache_write")
    price = Price(**{f"{name}_usd_per_million": each for name, each in zip(names, prices, strict=True)})  # type: ignore[arg-type]
    tokens = Tokens(**dict(zip(names, counts, strict=True)))
    amounts = (tokens.uncached, tokens.output, tokens.cache_read, tokens.cache_write)
    exact = sum(Fraction(each) * 1000 * count for each, count in zip(prices, amounts, strict=True))

    assert Rates.of(price).cost_nano_usd(tokens) == min(round(exact), MAX_NANO_USD)


@given(counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS))
def test_no_cost_is_negative(counts: tuple[int, int, int, int]) -> None:
    tokens = Tokens(input=counts[0], output=counts[1], cache_read=counts[2], cache_write=counts[3])

    assert tokens.uncached >= 0
    assert Rates.of(Price()).cost_nano_usd(tokens) >= 0


def test_a_cost_that_64_bits_do_not_hold_is_as_large_as_they_do() -> None:
    price = Price(input_usd_per_million=Decimal(10) ** 12)

    assert Rates.of(price).cost_nano_usd(Tokens(input=2**32 - 1, output=0)) == MAX_NANO_USD


def test_a_price_holds_from_its_beginning_and_before_its_end() -> None:
    end = NEW_YEAR + timedelta(days=1)
    book = PriceBook([Price(valid_to=end)])

    asked = [us(NEW_YEAR) - 1, us(NEW_YEAR), us(end) - 1, us(end)]
    assert [book.rates(TENANT, "gpt-4", at_us) is not None for at_us in asked] == [False, True, True, False]


def test_a_call_of_the_past_costs_what_it_cost_then() -> None:
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    prices = [
        Price(valid_to=summer, input_usd_per_million=usd(30)),
        Price(valid_from=summer, input_usd_per_million=usd(10)),
    ]

    assert found(*prices, at_us=us(summer) - 1) == 30
    assert found(*prices, at_us=us(summer)) == 10


def test_of_two_prices_that_hold_the_one_that_began_last_counts() -> None:
    later = Price(valid_from=NEW_YEAR + timedelta(days=30), input_usd_per_million=usd(1))

    assert found(Price(), later) == 1
    assert found(later, Price()) == 1


def test_a_tenants_own_price_comes_before_a_general_one_however_well_that_one_fits() -> None:
    own = Price(tenant_id=TENANT, model="*", input_usd_per_million=usd(1))

    assert found(Price(), own) == 1
    assert found(own, Price()) == 1


def test_another_tenants_price_is_none_of_ones_business() -> None:
    assert found(Price(tenant_id=8)) is None
    assert found(Price(tenant_id=8, input_usd_per_million=usd(1)), Price(input_usd_per_million=usd(5))) == 5


def test_a_tenants_own_price_that_has_ended_gives_way_to_the_general_one() -> None:
    own = Price(tenant_id=TENANT, valid_to=NEW_YEAR + timedelta(days=1), input_usd_per_million=usd(1))

    assert found(own, Price(input_usd_per_million=usd(5))) == 5


@pytest.mark.parametrize(
    ("model", "price_usd"),
    [
        ("gpt-4", 4),
        ("gpt-4o", 5),
        ("gpt-4o-2024-08-06", 5),
        ("gpt-4-turbo", 3),
        ("gpt-4o-mini", 6),
        ("claude", 1),
        ("GPT-4O", 5),
        ("", 1),
    ],
)
def test_the_pattern_with_most_letters_counts(model: str, price_usd: int) -> None:
    patterns = {"*": 1, "gpt*": 2, "gpt-4*": 3, "gpt-4": 4, "gpt-4o*": 5, "gpt-4o-mini*": 6}
    prices = [Price(model=pattern, input_usd_per_million=usd(each)) for pattern, each in patterns.items()]

    assert found(*prices, model=model) == price_usd
    assert found(*reversed(prices), model=model) == price_usd


def test_letters_of_the_pattern_come_before_its_beginning() -> None:
    general = Price(model="gpt*", valid_from=NEW_YEAR + timedelta(days=30), input_usd_per_million=usd(1))

    assert found(general, Price(input_usd_per_million=usd(5))) == 5


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("gpt-?", "gpt-4", True),
        ("gpt-?", "gpt-41", False),
        ("gpt.4", "gpt-4", False),
        ("gpt-4", "openai/gpt-4", False),
        ("*gpt-4", "openai/gpt-4", True),
        ("*/gpt-4*", "openai/gpt-4-turbo", True),
        ("a[bc]", "ab", False),
        ("a[bc]", "a[bc]", True),
        ("gpt-4", "gpt-4\n", False),
        ("*", "two\nlines", True),
    ],
)
def test_a_pattern_is_a_name_with_stars_and_question_marks(pattern: str, model: str, fits: bool) -> None:  # noqa: FBT001 - a table
    assert (found(Price(model=pattern), model=model) is not None) is fits


def test_a_pattern_of_many_stars_takes_no_longer_than_others() -> None:
    assert found(Price(model="*a" * 60 + "b"), model="a" * 256) is None


def test_what_is_remembered_of_models_has_an_end() -> None:
    book = PriceBook([Price(model="*")])
    for number in range(MAX_REMEMBERED + 10):
        assert book.rates(TENANT, f"model-{number}", NOON_US) is not None

    assert len(book._found) <= MAX_REMEMBERED


def test_moments_of_other_zones_are_the_same_moments() -> None:
    shanghai = timezone(timedelta(hours=8))
    book = PriceBook([Price(valid_from=NEW_YEAR.astimezone(shanghai))])
    naive = PriceBook([Price(valid_from=NEW_YEAR.replace(tzinfo=None))])

    for each in (book, naive):
        assert each.rates(TENANT, "gpt-4", us(NEW_YEAR)) is not None
        assert each.rates(TENANT, "gpt-4", us(NEW_YEAR) - 1) is None


def test_a_price_comes_before_what_the_client_says() -> None:
    cost = charge(Rates.of(Price()), Tokens(input=1, output=0), client_nano_usd=99)

    assert cost == Cost(2_500, CostSource.PRICED)


def test_a_price_of_nothing_is_a_price() -> None:
    free = replace(Price(), input_usd_per_million=Decimal(0))

    assert charge(Rates.of(free), Tokens(input=9, output=0), client_nano_usd=99) == Cost(0, CostSource.PRICED)


@pytest.mark.parametrize(
    ("client_nano_usd", "cost"),
    [
        (12_345_679, Cost(12_345_679, CostSource.CLIENT)),
        (0, Cost(0, CostSource.CLIENT)),
        (None, Cost(0, CostSource.NONE)),
        (-1, Cost(0, CostSource.CLIENT)),
        (2**70, Cost(MAX_NANO_USD, CostSource.CLIENT)),
    ],
)
def test_without_a_price_the_clients_word_counts(client_nano_usd: int | None, cost: Cost) -> None:
    assert charge(None, Tokens(input=1, output=1), client_nano_usd=client_nano_usd) == cost


def test_an_empty_book_has_no_price() -> None:
    assert PriceBook().rates(TENANT, "gpt-4", NOON_US) is None
