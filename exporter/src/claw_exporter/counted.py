"""Operations that are counted by how they ended, and timed: tools, steps of agents, tasks."""

from __future__ import annotations

import functools
from bisect import bisect_left
from time import perf_counter
from typing import TYPE_CHECKING, Any

from claw_exporter.operations import Operation
from claw_exporter.store import label_text
from claw_exporter.tracking import Tracker, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.spec import Counter, Histogram
    from claw_exporter.store import Child, Store

    Called = Callable[[tuple[Any, ...], dict[str, Any]], None] | None
    Ended = Callable[[], None] | None
    Judge = Callable[[Any], str | None] | None

__all__ = ["Counted"]


class Counted:
    """Operations of one kind.

    Args:
        store: Where the numbers go.
        counter: Counts the ends; its last label is the status.
        histogram: Times them; its labels are the others.
        where: What errors of this library are counted under.
        ended: Called at each end, before it is counted; it never raises.
    """

    def __init__(
        self, store: Store, counter: Counter, histogram: Histogram, *, where: str, ended: Ended = None
    ) -> None:
        self.store = store
        self.where = where
        self.ended = ended
        self.bounds = store.histogram(histogram).bounds
        self._counts = store.counter(counter)
        self._seconds = store.histogram(histogram)
        self._named: dict[tuple[str, ...], _Named] = {}
        store.on_fork(self._forget)

    def tracker(self, *labels: str, judge: Judge = None, called: Called = None) -> Tracker[Operation]:
        """Return a tracker of one operation.

        Args:
            *labels: Its name.
            judge: As of `Tracker`.
            called: Gets the arguments of each call of a decorated function; it never raises.
        """
        named = self._name(labels)
        if judge is None:
            return _Quick(self, named, called)
        record = functools.partial(self.record, named)

        def make(tracker: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
            if called is not None:
                called(args, kwargs)
            return Operation(tracker, record)

        return Tracker(self.store, self.where, make, judge)

    def recorder(self, *labels: str) -> Callable[[str, float], None]:
        """Return what counts an end of one operation by its status and its seconds; it never raises."""
        return functools.partial(self.record, self._name(labels))

    def record(self, named: _Named, status: str, seconds: float) -> None:
        """Count one end; never raises."""
        try:
            if self.ended is not None:
                self.ended()
            self._counts.inc(*named.labels, status)
            self._seconds.observe(seconds, *named.labels)
        except Exception:  # noqa: BLE001  # the measured code must not notice
            self.store.fault(self.where)

    def prepare(self, named: _Named) -> None:
        """Keep the numbers of good ends at hand, where nothing forbids it."""
        if self.store.lock is None:
            folded = self.store.folded
            numbers = self._counts.child(*named.labels, "ok"), self._seconds.child(*named.labels)
            named.ok = numbers if self.store.folded == folded else None

    def _name(self, labels: tuple[object, ...]) -> _Named:
        try:
            texts = tuple(map(label_text, labels))
        except Exception:  # noqa: BLE001  # a label whose str() raises must not reach the caller
            self.store.fault(self.where)
            texts = ("unknown",) * len(labels)
        named = self._named.get(texts) or _Named(texts)
        if len(self._named) < self.store.max_series:
            named = self._named.setdefault(texts, named)
        return named

    def _forget(self) -> None:
        for named in self._named.values():
            named.ok = None


class _Named:
    """An operation.

    Attributes:
        labels: Its name.
        ok: Count and times of its good ends, once there are any; None also where they belong to an overflow
            series, and where a lock is needed.
    """

    __slots__ = ("labels", "ok")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.ok: tuple[Child, Child] | None = None


class _Quick(Tracker[Operation]):
    """Without a measurement in decorated functions, since nobody can ask for it there."""

    __slots__ = ("_called", "_counted", "_named")

    def __init__(self, counted: Counted, named: _Named, called: Called) -> None:
        super().__init__(counted.store, counted.where, self._operation)
        self._called = called
        self._counted = counted
        self._named = named

    def _operation(self, tracker: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
        """Make a measurement: of a block, or of a generator."""
        if self._called is not None:
            self._called(args, kwargs)
        return Operation(tracker, functools.partial(self._counted.record, self._named))

    def _around_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        record, well = self._ends()
        called = self._called

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            if called is not None:
                called(args, kwargs)
            started = perf_counter()
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                record(status_of(error), perf_counter() - started)
                raise
            well(perf_counter() - started)
            return value

        return wrapper

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        record, well = self._ends()
        called = self._called

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # any function
            if called is not None:
                called(args, kwargs)
            started = perf_counter()
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                record(status_of(error), perf_counter() - started)
                raise
            well(perf_counter() - started)
            return value

        return wrapper

    def _ends(self) -> tuple[Callable[[str, float], None], Callable[[float], None]]:
        """Return what counts an end of a given status, and what counts a good one."""
        counted, named = self._counted, self._named
        bounds, ended = counted.bounds, counted.ended
        record = functools.partial(counted.record, named)

        def well(seconds: float) -> None:
            ok = named.ok
            if ok is None:
                record("ok", seconds)
                counted.prepare(named)
                return
            if ended is not None:
                ended()
            count, times = ok
            count[0] += 1.0
            times[bisect_left(bounds, seconds)] += 1.0
            times[-1] += seconds

        return record, well
