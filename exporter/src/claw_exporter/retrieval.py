"""How much a retrieval found."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from claw_exporter.catalog import RETRIEVAL_RESULTS
from claw_exporter.tracking import Measurement, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

    Count = Callable[[Any], float]

__all__ = ["Retrieval", "Retrievals"]

F = TypeVar("F", bound="Callable[..., Any]")


class Retrieval(Measurement):
    """One retrieval; what it found counts once it has ended well."""

    __slots__ = ("_found", "_record")

    def __init__(self, tracker: object, record: Callable[[object], None]) -> None:
        self._found: object = None
        self._record = record
        super().__init__(tracker)

    def results(self, found: object) -> None:
        """Say what was found: a number, or something that has a length; None is nothing."""
        self._found = found

    def one_more(self) -> None:
        """Say that one more result was found."""
        self._found = self._found + 1 if isinstance(self._found, int) else 1

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        del seconds
        if status == "ok":
            self._record(self._found)


class Retrievals:
    """Where retrievals are recorded.

    Args:
        store: Where the numbers go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._results = store.histogram(RETRIEVAL_RESULTS)

    def tracker(self, index: str, count: Count | None) -> Tracker[Retrieval]:
        """Return a tracker of retrievals from an index."""

        def make(tracker: object, _args: object, _kwargs: object) -> Retrieval:
            return Retrieval(tracker, lambda found: self._observe(index, found))

        return _RetrievalTracker(self._store, make, count or _number)

    def count(self, index: str, found: object) -> None:
        """Count one retrieval; what cannot be counted is an error of ours."""
        try:
            self._observe(index, found)
        except Exception:  # noqa: BLE001  # the retrieving code must not notice
            self._store.fault("track_retrieval")

    def _observe(self, index: str, found: object) -> None:
        number = _number(found)
        if not 0 <= number < float("inf"):  # one infinite observation would spoil the sum for good
            raise ValueError(f"{found!r} results: pass a number from 0, or what was found")
        self._results.observe(number, index)


def _number(found: Any) -> float:  # noqa: ANN401  # whatever a retrieval returns
    if found is None:
        return 0.0
    return float(len(found) if hasattr(found, "__len__") else found)


class _RetrievalTracker(Tracker[Retrieval]):
    """Counts what a function returns, or how often a generator yields."""

    __slots__ = ("_count", "_faults", "_for_parts", "_yields")

    def __init__(
        self, store: Store, make: Callable[..., Retrieval], count: Count, *, yields: bool = False
    ) -> None:
        super().__init__(store, "track_retrieval", make, lambda _: None)
        self._faults = store.fault
        self._count = count
        self._yields = yields
        self._for_parts = partial(_RetrievalTracker, store, make, count, yields=True)

    def __call__(self, function: F) -> F:
        """Measure every call of a function; see `Tracker`."""
        kinds = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        tracker = self._for_parts() if any(is_kind(function) for is_kind in kinds) else self
        return Tracker.__call__(tracker, function)

    def judge(self, measurement: Retrieval, value: object) -> None:
        """Count what was returned, or a yielded part."""
        if self._yields:
            measurement.one_more()
            return
        try:
            measurement.results(self._count(value))
        except Exception:  # noqa: BLE001  # what is returned must reach the caller
            self._faults("track_retrieval")
