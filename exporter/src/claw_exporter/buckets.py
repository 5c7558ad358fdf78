"""Buckets that an application chooses in place of the catalogue's."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from claw_exporter.catalog import CATALOG
from claw_exporter.errors import ArgumentError
from claw_exporter.spec import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["checked"]


def checked(buckets: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Return the bounds of histograms by name, as numbers.

    Raises:
        ArgumentError: A name is that of no histogram, or bounds are not finite numbers that ascend.
    """
    return {name: _bounds(name, bounds) for name, bounds in buckets.items()}


def _bounds(name: str, bounds: Sequence[float]) -> tuple[float, ...]:
    names = [spec.name for spec in CATALOG if isinstance(spec, Histogram) and spec.home == "library"]
    if name not in names:
        raise ArgumentError(f"buckets names {name!r}: the histograms are {', '.join(names)}")
    try:
        numbers = tuple(map(float, bounds))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"buckets of {name} are {bounds!r}: pass a list of numbers") from error
    if not numbers or not all(map(isfinite, numbers)) or list(numbers) != sorted(set(numbers)):
        raise ArgumentError(
            f"buckets of {name} are {bounds!r}: pass finite numbers that ascend (+Inf is implied)"
        )
    return numbers
