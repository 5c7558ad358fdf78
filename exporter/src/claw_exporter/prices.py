"""What tokens cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

from claw_exporter.errors import ArgumentError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Price", "price_table", "table_version", "tokens_by_model"]

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
            if not (_is_number(price) and price >= 0) and not (price is None and field.default is None):
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


_KINDS: Final = tuple(field.name for field in fields(Price))


def price_table(prices: Mapping[str, Price | Mapping[str, float]] | str | PathLike[str]) -> dict[str, Price]:
    """Return a price table, model -> price.

    Args:
        prices: The table, its prices as `Price` or as mappings of the same names; or the path of a JSON file
            that holds such mappings: ``{"glm-4": {"input": 1.0, "output": 4.0}}``.

    Raises:
        ArgumentError: The file cannot be read, or something in it is not a price.
    """
    table = prices if isinstance(prices, Mapping) else _loaded(Path(prices))
    return {str(model): _price(str(model), price) for model, price in table.items()}


def table_version(table: Mapping[str, Price]) -> str:
    """Return what tells one price table from another: the beginning of a hash of its content."""
    text = "".join(f"{model}={table[model]}" for model in sorted(table))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def tokens_by_model(windows: Mapping[str, float]) -> dict[str, float]:
    """Return a table of context windows, model -> tokens.

    Raises:
        ArgumentError: A window is not a positive number.
    """
    for model, window in windows.items():
        if not _is_number(window) or window <= 0:
            raise ArgumentError(f"the context window of {model!r} is {window!r}: pass a number of tokens")
    return dict(windows)


def _loaded(path: Path) -> Mapping[str, object]:
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path} is no price table: {error}") from error
    if not isinstance(table, dict):
        raise ArgumentError(
            f'{path} is no price table: expected {{"model": {{"input": 1.0, "output": 4.0}}}}'
        )
    return table


def _price(model: str, price: object) -> Price:
    if isinstance(price, Price):
        return price
    if not isinstance(price, Mapping) or not {"input", "output"} <= set(price) <= set(_KINDS):
        raise ArgumentError(
            f"the price of {model!r} is {price!r}: name the prices {', '.join(_KINDS)} in US dollars per "
            "million tokens, input and output at the least"
        )
    try:
        return Price(**price)
    except ArgumentError as error:
        raise ArgumentError(f"the price of {model!r}: {error}") from None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
