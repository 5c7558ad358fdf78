"""What tokens cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import TYPE_CHECKING, Final

from claw_exporter.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Price"]

_PER: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model, in US dollars per million tokens.

    Attributes:
        input: Prompt tokens that no cache served.
        output: Answer tokens.
        cache_read: Prompt tokens that the provider's cache served; the price of ``input`` if None.
        cache_write: Prompt tokens written to the cache; the price of ``input`` if None.
        reasoning: Tokens of hidden reasoning; the price of ``output`` if None.

    Raises:
        ArgumentError: A price is negative or not a number.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    reasoning: float | None = None

    def __post_init__(self) -> None:
        """Check every price."""
        for field in fields(self):
            price = getattr(self, field.name)
            if price is not None and not (isinstance(price, (int, float)) and isfinite(price) and price >= 0):
                raise ArgumentError(
                    f"{field.name} is {price!r}: not a price in US dollars per million tokens"
                )

    def cost(self, tokens: Mapping[str, float]) -> float:
        """Return the cost of tokens (type -> number) in US dollars."""
        return sum(number * self._of(kind) for kind, number in tokens.items()) / _PER

    def _of(self, kind: str) -> float:
        price: float | None = getattr(self, kind)
        if price is None:
            return self.output if kind == "reasoning" else self.input
        return price
