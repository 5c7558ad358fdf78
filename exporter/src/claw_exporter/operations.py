"""Operations with nothing but a duration and a status: stores, tools, steps of agents."""

from __future__ import annotations

import functools
from bisect import bisect_left
from time import perf_counter
from typing import TYPE_CHECKING, Any

from claw_exporter.store import label_text
from claw_exporter.tracking import Measurement, Tracker, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.spec import Histogram
    from claw_exporter.store import Child, Store

__all__ = ["Durations", "Operation"]


class Operation(Measurement):
    """One run of an operation; `fail` marks it as failed where nothing was raised."""

    __slots__ = ("_record",)

    def __init__(self, tracker: object, record: Callable[[str, float], None]) -> None:
        self._record = record
        super().__init__(tracker)

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        self._record(status, seconds)


class Durations:
    """Operations of one kind, of which nothing but a histogram by operation and status is kept.

    Args:
        store: Where the numbers go.
        spec: The histogram; its labels are operation and status.
        where: What errors of this library are counted under.
    """

    def __init__(self, store: Store, spec: Histogram, where: str) -> None:
        self.store = store
        self.where = where
        self._family = store.histogram(spec)
        self.bounds = self._family.bounds
        self._named: dict[str, _Named] = {}
        store.on_fork(self._forget)

    def tracker(self, operation: str) -> Tracker[Operation]:
        """Return a tracker of one operation."""
        try:
            text = label_text(operation)
        except Exception:  # noqa: BLE001  # a label whose str() raises must not reach the caller
            self.store.fault(self.where)
            text = "unknown"
        named = self._named.get(text) or _Named(text)
        if len(self._named) < self.store.max_series:
            named = self._named.setdefault(text, named)
        return _Timed(self, named)

    def record(self, operation: str, status: str, seconds: float) -> None:
        """Count one end; never raises."""
        try:
            self._family.observe(seconds, operation, status)
        except Exception:  # noqa: BLE001  # the measured code must not notice
            self.store.fault(self.where)

    def ended_well(self, named: _Named, seconds: float) -> None:
        """Count one good end, and keep the numbers at hand where nothing forbids it."""
        if self.store.lock is not None:
            self.record(named.operation, "ok", seconds)
            return
        folded = self.store.folded
        child = self._family.child(named.operation, "ok")
        child[bisect_left(self.bounds, seconds)] += 1.0
        child[-1] += seconds
        named.ok = child if self.store.folded == folded else None

    def _forget(self) -> None:
        for named in self._named.values():
            named.ok = None


class _Named:
    """An operation.

    Attributes:
        operation: Its name.
        ok: Numbers of its good ends, once there are any; None also where they belong to an overflow series,
            and where a lock is needed.
    """

    __slots__ = ("ok", "operation")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.ok: Child | None = None


class _Timed(Tracker[Operation]):
    """Without a measurement in decorated functions, since nobody can ask for it there."""

    __slots__ = ("_durations", "_named")

    def __init__(self, durations: Durations, named: _Named) -> None:
        record = functools.partial(durations.record, named.operation)
        super().__init__(durations.store, durations.where, lambda tracker, *_: Operation(tracker, record))
        self._durations = durations
        self._named = named

    def _around_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        durations, named, bounds = self._durations, self._named, self._durations.bounds
        total, least = len(bounds) + 1, bounds[0]  # faster than -1, and than bisect_left where that matters

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            started = perf_counter()
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                durations.record(named.operation, status_of(error), perf_counter() - started)
                raise
            seconds = perf_counter() - started
            ok = named.ok
            if ok is None:
                durations.ended_well(named, seconds)
            else:
                ok[0 if seconds <= least else bisect_left(bounds, seconds)] += 1.0
                ok[total] += seconds
            return value

        return wrapper

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        durations, named, bounds = self._durations, self._named, self._durations.bounds
        total, least = len(bounds) + 1, bounds[0]  # faster than -1, and than bisect_left where that matters

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            started = perf_counter()
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                durations.record(named.operation, status_of(error), perf_counter() - started)
                raise
            seconds = perf_counter() - started
            ok = named.ok
            if ok is None:
                durations.ended_well(named, seconds)
            else:
                ok[0 if seconds <= least else bisect_left(bounds, seconds)] += 1.0
                ok[total] += seconds
            return value

        return wrapper
