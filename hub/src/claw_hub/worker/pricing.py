"""What a call of a model cost: one formula, exact until its end, in whole nano-USD.

A price is found by the model's name and the time of the call: a tenant's own prices come before general
ones, among those the pattern with most letters of its own, among those the one that began last. The client's
word for the cost counts where there is no price.
"""

from __future__ import annotations

import fnmatch
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

__all__ = ["Cost", "CostSource", "Price", "PriceBook", "Rates", "Tokens", "charge"]

# USD for a million tokens is a thousand nano-USD for each.
NANO_USD_PER_TOKEN: Final = 1000
MAX_NANO_USD: Final = 2**64 - 1
# Names of models come from clients: what is remembered of them must end somewhere.
MAX_REMEMBERED: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class CostSource(StrEnum):
    """Where a cost comes from, as `stg_usage.cost_source` names it."""

    NONE = "none"
    CLIENT = "client"
    PRICED = "priced"


class Price(Protocol):
    """What `claw_hub.accounts` knows of a price.

    `model` is a pattern of names, in which ``*`` stands for any letters and ``?`` for one; case does not
    matter. It holds from `valid_from` on and before `valid_to` (None: until further notice). Without a price
    of its own, what was read from or written to a cache costs what other input does.
    """

    @property
    def tenant_id(self) -> int | None: ...  # noqa: D102 - see above
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def valid_from(self) -> datetime: ...  # noqa: D102
    @property
    def valid_to(self) -> datetime | None: ...  # noqa: D102
    @property
    def input_usd_per_million(self) -> Decimal: ...  # noqa: D102
    @property
    def output_usd_per_million(self) -> Decimal: ...  # noqa: D102
    @property
    def cache_read_usd_per_million(self) -> Decimal | None: ...  # noqa: D102
    @property
    def cache_write_usd_per_million(self) -> Decimal | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one call used.

    Attributes:
        input: What the model read; those from and to a cache are part of it.
        output: What it wrote; reasoning is part of it, and costs the same.
        cache_read: Part of the input that came from a cache.
        cache_write: Part of the input that went into one.
    """

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0

    @property
    def uncached(self) -> int:
        """Input at the full price.

        Who reports more cached tokens than input has not counted them as input: then the input is uncached as
        a whole, and no cost is ever negative.
        """
        cached = self.cache_read + self.cache_write
        return self.input - cached if cached <= self.input else self.input


@dataclass(frozen=True, slots=True)
class Rates:
    """A price as whole numbers: nano-USD per token, times `denominator`; so any decimal is exact."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    denominator: int

    @classmethod
    def of(cls, price: Price) -> Rates:
        """Works out the whole numbers of a price."""
        plain, read, write = (
            price.input_usd_per_million,
            price.cache_read_usd_per_million,
            price.cache_write_usd_per_million,
        )
        wanted = (
            plain,
            price.output_usd_per_million,
            plain if read is None else read,
            plain if write is None else write,
        )
        ratios = [each.as_integer_ratio() for each in wanted]
        denominator = math.lcm(*(below for _, below in ratios))
        whole = [above * NANO_USD_PER_TOKEN * denominator // below for above, below in ratios]
        return cls(whole[0], whole[1], whole[2], whole[3], denominator)

    def cost_nano_usd(self, tokens: Tokens) -> int:
        """Returns what `tokens` cost, rounded once, half to even; at most what 64 bits hold."""
        exact = (
            tokens.uncached * self.input
            + tokens.cache_read * self.cache_read
            + tokens.cache_write * self.cache_write
            + tokens.output * self.output
        )
        whole, rest = divmod(exact, self.denominator)
        up = rest * 2 > self.denominator or (rest * 2 == self.denominator and whole % 2 == 1)
        return min(whole + up, MAX_NANO_USD)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost, and who says so."""

    nano_usd: int
    source: CostSource


@dataclass(frozen=True, slots=True)
class _Offer:
    tenant_id: int | None
    pattern: re.Pattern[str]
    letters: int
    is_exact: bool
    from_us: int
    to_us: int | None
    rates: Rates

    @classmethod
    def of(cls, price: Price) -> _Offer:
        return cls(
            tenant_id=price.tenant_id,
            pattern=_compiled(price.model),
            letters=len(re.sub(r"[*?]", "", price.model)),
            is_exact=not set("*?") & set(price.model),
            from_us=_microseconds(price.valid_from),
            to_us=None if price.valid_to is None else _microseconds(price.valid_to),
            rates=Rates.of(price),
        )

    @property
    def rank(self) -> tuple[bool, int, bool, int]:
        """Greater is better: the tenant's own, more letters, no wildcard, the later beginning."""
        return (self.tenant_id is not None, self.letters, self.is_exact, self.from_us)

    def holds(self, at_us: int) -> bool:
        return self.from_us <= at_us and (self.to_us is None or at_us < self.to_us)


class PriceBook:
    """All prices, best first for each model; made anew when they change.

    Args:
        prices: Of every tenant, in any order.
    """

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        offers = (_Offer.of(price) for price in prices)
        self._offers = sorted(offers, key=lambda offer: offer.rank, reverse=True)
        self._found: dict[tuple[int, str], tuple[_Offer, ...]] = {}

    def rates(self, tenant_id: int, model: str, at_us: int) -> Rates | None:
        """Finds the price of a model.

        Args:
            tenant_id: Who called it.
            model: Its name, as the client gave it.
            at_us: When, in microseconds since 1970 (UTC).

        Returns:
            None where there is no price for it at that time.
        """
        for offer in self._for(tenant_id, model):
            if offer.holds(at_us):
                return offer.rates
        return None

    def _for(self, tenant_id: int, model: str) -> tuple[_Offer, ...]:
        found = self._found.get((tenant_id, model))
        if found is None:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            found = self._found[tenant_id, model] = tuple(
                offer
                for offer in self._offers
                if offer.tenant_id in {None, tenant_id} and offer.pattern.fullmatch(model)
            )
        return found


def charge(rates: Rates | None, tokens: Tokens, *, client_nano_usd: int | None) -> Cost:
    """Says what a call cost.

    Args:
        rates: The price; None where there is none.
        tokens: What it used.
        client_nano_usd: What the client says; None where it says nothing.

    Returns:
        The priced cost, else the client's, else none at all.
    """
    if rates is not None:
        return Cost(rates.cost_nano_usd(tokens), CostSource.PRICED)
    if client_nano_usd is not None:
        return Cost(min(max(client_nano_usd, 0), MAX_NANO_USD), CostSource.CLIENT)
    return Cost(0, CostSource.NONE)


def _compiled(pattern: str) -> re.Pattern[str]:
    # fnmatch takes stars one after the other and never goes back: many of them cost no more than a few.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.IGNORECASE)


def _microseconds(moment: datetime) -> int:
    """Converts exactly; a moment without a zone is UTC, as everything in the hub."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND
