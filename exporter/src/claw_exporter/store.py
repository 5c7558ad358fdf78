"""Where numbers live: per metric a dictionary from label values to a flat list of numbers.

The child of a counter or gauge is a ``list``, ``[value]``; that of a histogram is an ``array`` of doubles,
``[bucket, ..., bucket, sum]`` (counts are not cumulative here; the last bucket is ``+Inf``). A list would
take twice the memory, since each number would be an object of its own.

Under the GIL ``child[i] += number`` cannot lose an update: between its read and its store the interpreter
does not switch threads as long as both operands are built-in numbers, of a list or of an array. That is why
every value from outside is coerced with ``float()``, and why only the creation of a child takes a lock. Where
there is no GIL, every recording takes ``Store.lock``.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import os
import re
import sys
import threading
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Collection, MutableSequence
from dataclasses import replace
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar, cast

from prometheus_client.utils import floatToGoString

from claw_exporter.buckets import checked
from claw_exporter.catalog import CATALOG, INTERNAL_ERRORS, OVERFLOW
from claw_exporter.errors import DirectoryError, LabelError, SpecError
from claw_exporter.servers import expected_workers
from claw_exporter.spec import Counter, Gauge, Histogram, Metric, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from claw_exporter.multiprocess import Reader
    from claw_exporter.workerfiles import WorkerFiles

__all__ = [
    "OVERFLOW_LABEL",
    "Child",
    "CounterFamily",
    "Derived",
    "Family",
    "GaugeFamily",
    "HistogramFamily",
    "Kinds",
    "Labels",
    "Slot",
    "Snapshot",
    "Store",
]

Child = MutableSequence[float]
Labels = tuple[str, ...]
Snapshot = tuple[Metric, Collection[tuple[Labels, Child]]]

REFRESH_SECONDS: Final = 2.0
_WHERE: Final = "multiprocess"
_ALONE: Final = (
    "this application runs in %d worker processes, but PROMETHEUS_MULTIPROC_DIR is not set: each scrape "
    "shows the numbers of one of them. Set it to an empty directory before the server starts"
)
OVERFLOW_LABEL: Final = "__overflow__"
_LABEL_CHARACTERS: Final = 256
# Labels that tell an outcome: all their values exist from the first use of the other labels on.
_START_TOGETHER: Final = frozenset(("decision", "outcome", "reason", "status", "type"))
_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")

_log = logging.getLogger("claw_exporter")


def label_text(value: object) -> str:
    """Make any object a label value: at most 256 characters that can be written as UTF-8."""
    return str(value)[:_LABEL_CHARACTERS].encode("utf-8", "replace").decode()


class Kinds:
    """Values of a label that are few by nature (kinds of errors, reasons), unless somebody passes messages.

    Args:
        limit: How many are kept; all further ones are ``other``.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def bounded(self, kind: str) -> str:
        """Return the kind, or ``other`` where it is one too many."""
        if kind not in self._known:
            if len(self._known) >= self._limit:
                return "other"
            self._known.add(kind)
        return kind


class Family:
    """All series of one metric, at most ``max_series`` of them.

    Attributes:
        spec: What the metric is.
    """

    def __init__(self, spec: Metric, store: Store) -> None:
        self.spec = spec
        self._zero: Child = [0.0]
        self._children: dict[Labels, Child] = {}
        self._store = store
        self._guard: Final = store.lock
        # Reentrant: a finaliser or signal handler that records may run while this thread is creating a child.
        # Where there is a guard it is the only lock: two would be taken in two orders.
        self._lock = store.lock or RLock()

    def child(self, *values: object) -> Child:
        """Return the numbers of one series, created at first use.

        Args:
            *values: Label values in the order of ``spec.labels``; what is not a string goes through ``str``.

        Returns:
            The live numbers. Beyond ``max_series`` those of the overflow series: do not keep them then.

        Raises:
            LabelError: The number of values is wrong.
        """
        try:
            return self._children[values]  # type: ignore[index]  # values that are not strings are just not found
        except (KeyError, TypeError):
            return self._create(tuple(map(label_text, values)))

    def _create(self, labels: Labels) -> Child:
        if len(labels) != len(self.spec.labels):
            raise LabelError(
                f"{self.spec.name} has the labels {self.spec.labels}, but was given the values {labels}"
            )
        with self._lock:
            child = self._children.get(labels)
            if child is not None:
                return child
            if len(self._children) < self._store.max_series:
                for sibling in self._siblings(labels):
                    self._existing_or_new(sibling)
                return self._existing_or_new(labels)
            overflow = self._existing_or_new(self._overflow_labels(labels))
        self._store.overflowed(self.spec.name)
        return overflow

    def _existing_or_new(self, labels: Labels) -> Child:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._store.numbers(self._zero, lambda: self._slots(labels))
        return child

    def _slots(self, labels: Labels) -> Sequence[Slot]:
        """Describe the numbers of one series to a foreign reader."""
        return (Slot(self.spec, self.spec.name, tuple(zip(self.spec.labels, labels, strict=True))),)

    def _siblings(self, labels: Labels) -> Iterable[Labels]:
        """Series that start at 0 together with this one, so that ``increase`` sees their first event."""
        closed = self.spec.values
        choices = (
            closed.get(name, (value,)) if name in _START_TOGETHER else (value,)
            for name, value in zip(self.spec.labels, labels, strict=True)
        )
        return itertools.product(*choices)

    def _overflow_labels(self, labels: Labels) -> Labels:
        """Keep labels with a closed list of values: an error ratio stays right though series are folded."""
        closed = self.spec.values
        return tuple(
            value if value in closed.get(name, ()) else OVERFLOW_LABEL
            for name, value in zip(self.spec.labels, labels, strict=True)
        )

    def remove(self, *values: object) -> None:
        """Forget one series, if it exists."""
        self._forget(tuple(map(label_text, values)))

    def clear(self) -> None:
        """Forget every series."""
        for labels in self._children.copy():
            self._forget(labels)

    def void(self) -> None:
        """Forget every series in this process only: it has been forked, and they are its parent's."""
        self._children = {}
        self._lock = self._guard or RLock()

    def _forget(self, labels: Labels) -> None:
        with self._lock:
            child = self._children.pop(labels, None)
            if child is not None:
                self._store.forget(child, lambda: self._slots(labels))

    def series(self) -> list[tuple[Labels, Child]]:
        """Return what is known now: label values with their (live) numbers, in order of creation."""
        return list(self.items())

    def items(self) -> Collection[tuple[Labels, Child]]:
        """Return the same without a tuple for each: a hundred thousand wake the garbage collector."""
        return self._children.copy().items()  # dict.copy() runs no Python code, so no thread can interfere


class _ScalarFamily(Family):
    """Families whose child is ``[value]``."""

    def replace(self, values: Mapping[tuple[object, ...], float]) -> None:
        """Set all series at once; those not named here disappear.

        What exceeds ``max_series`` is left out, and counted.

        Args:
            values: Label values -> number.

        Raises:
            LabelError: The number of label values of an entry is wrong.
        """
        fresh: dict[Labels, float] = {}
        for labels, value in values.items():
            key = tuple(map(label_text, labels))
            if len(key) != len(self.spec.labels):
                raise LabelError(f"{self.spec.name} has the labels {self.spec.labels}, but was given {key}")
            if len(fresh) >= self._store.max_series:
                self._store.overflowed(self.spec.name)
            else:
                fresh[key] = float(value)
        if self._store.in_memory:
            self._children = {labels: [value] for labels, value in fresh.items()}
        else:
            self._update(fresh)

    def _update(self, fresh: Mapping[Labels, float]) -> None:
        """Change the series where they are: in files, others may be reading them."""
        with self._lock:
            for labels in self._children.keys() - fresh.keys():
                self._forget(labels)
            for labels, value in fresh.items():
                self._existing_or_new(labels)[0] = value


class CounterFamily(_ScalarFamily):
    """Series of a counter."""

    def inc(self, *values: object, by: float = 1.0) -> None:
        """Add to one series.

        Args:
            *values: Label values.
            by: Not negative.

        Raises:
            ValueError: ``by`` is negative or not a number.
            LabelError: The number of label values is wrong.
        """
        amount = float(by)
        if not amount >= 0:  # also refuses NaN
            raise ValueError(f"{self.spec.name} is a counter: it cannot grow by {by!r}")
        if self._guard is None:
            self.child(*values)[0] += amount
        else:
            with self._guard:
                self.child(*values)[0] += amount


class GaugeFamily(_ScalarFamily):
    """Series of a gauge."""

    def _siblings(self, labels: Labels) -> Iterable[Labels]:
        return (labels,)  # a gauge at 0 would be a statement, not a beginning

    def set(self, value: float, *values: object) -> None:
        """Set one series; ``values`` are its label values."""
        number = float(value)
        if self._guard is None:
            self.child(*values)[0] = number
        else:
            with self._guard:
                self.child(*values)[0] = number

    def inc(self, *values: object, by: float = 1.0) -> None:
        """Add to one series (``by`` may be negative)."""
        amount = float(by)
        if self._guard is None:
            self.child(*values)[0] += amount
        else:
            with self._guard:
                self.child(*values)[0] += amount


class HistogramFamily(Family):
    """Series of a histogram."""

    def __init__(self, spec: Histogram, store: Store) -> None:
        super().__init__(spec, store)
        self.bounds: Final = spec.buckets
        self._zero = array("d", [0.0]) * (len(spec.buckets) + 2)

    def observe(self, value: float, *values: object) -> None:
        """Count one value; ``values`` are its label values. NaN is ignored: it would spoil the sum."""
        number = float(value)
        if number == number:  # noqa: PLR0124  # NaN is the number that differs from itself
            child = self.child(*values)
            if self._guard is None:
                child[bisect_left(self.bounds, number)] += 1.0
                child[-1] += number
            else:
                with self._guard:
                    child[bisect_left(self.bounds, number)] += 1.0
                    child[-1] += number

    def _slots(self, labels: Labels) -> Sequence[Slot]:
        pairs = tuple(zip(self.spec.labels, labels, strict=True))
        bucket, bounds = f"{self.spec.name}_bucket", (*self.bounds, float("inf"))
        buckets = [Slot(self.spec, bucket, (*pairs, ("le", _bound(bound)))) for bound in bounds]
        return (*buckets, Slot(self.spec, f"{self.spec.name}_sum", pairs))


class Derived:
    """A metric computed from other numbers when it is read.

    Attributes:
        spec: What it is; whoever derives it may add labels.
    """

    def __init__(self, spec: Metric, read: Callable[[], list[tuple[Labels, Child]]]) -> None:
        self.spec = spec
        self.series = self.items = read


class Store:
    """Every number of one application.

    Args:
        max_series: Bound of each metric's series; further label values are folded into a series named
            ``__overflow__`` and counted by ``claw_ai_exporter_overflow_total``.
        buckets: Upper bounds of histograms by name, for those that shall not have the catalogue's.
        directory: Where the worker processes of an application share their numbers (multiprocess mode).
            Empty: in memory. None: what ``PROMETHEUS_MULTIPROC_DIR`` says when the first child is made, or at
            the wiring, whichever comes first. Not when the store is made: the default one is made at import,
            and an application may set the variable after that.

    Raises:
        SpecError: ``max_series`` is not positive.
        ArgumentError: ``buckets`` names no histogram of the catalogue, or bounds do not ascend.

    Attributes:
        buckets: Bounds that differ from the catalogue's.
        folded: Observations folded so far.
        lock: Held around every change of a child where Python runs threads at the same time (free-threaded
            builds); None under the GIL, where it is not needed.
    """

    def __init__(
        self,
        *,
        max_series: int = 2000,
        buckets: Mapping[str, Sequence[float]] = MappingProxyType({}),
        directory: str | None = "",
    ) -> None:
        if max_series < 1:
            raise SpecError(f"max_series is {max_series!r}: it must be at least 1")
        self.max_series: Final = max_series
        self.buckets: Final = checked(buckets)
        self.lock: Final = RLock() if _free_threaded() else None
        self._families: dict[str, Family | Derived] = {}
        self._before_scrape: list[Callable[[], None]] = []
        self._on_fork: list[Callable[[], None]] = []
        self.folded = 0
        self._logged: set[str] = set()
        self._lock = RLock()
        self._refreshing, self._reading = RLock(), RLock()
        self._asked_directory = directory
        self._files: WorkerFiles | None = None
        self._reader: Reader | None = None
        self._serving = self._checked = False
        self._failing = threading.local()
        self._overflow = self.counter(OVERFLOW)
        self._errors = self.counter(INTERNAL_ERRORS)

    def counter(self, spec: Counter) -> CounterFamily:
        """Return the series of a counter, the same object for the same description.

        Raises:
            SpecError: The name or a label is not valid, or the name is taken by a different description.
        """
        return self._family(CounterFamily, spec)

    def gauge(self, spec: Gauge) -> GaugeFamily:
        """Return the series of a gauge. Raises as :meth:`counter`."""
        return self._family(GaugeFamily, spec)

    def histogram(self, spec: Histogram) -> HistogramFamily:
        """Return the series of a histogram. Raises as :meth:`counter`."""
        return self._family(HistogramFamily, self.configured(spec))

    def configured(self, spec: Histogram) -> Histogram:
        """Return a histogram with the bounds that it has here."""
        bounds = self.buckets.get(spec.name)
        return spec if bounds is None else replace(spec, buckets=bounds)

    def derive(self, spec: Metric, read: Callable[[], list[tuple[Labels, Child]]]) -> Derived:
        """Add a metric whose series are computed by ``read`` at each scrape. Raises as :meth:`counter`."""
        with self._lock:
            if spec.name in self._families:
                raise SpecError(f"metric {spec.name} exists already")
            derived = self._families[spec.name] = Derived(spec, read)
            return derived

    def before_scrape(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` before each rendering, to bring gauges up to date; its errors are counted.

        In multiprocess mode each worker calls it every few seconds as well, since any worker may be the one
        that is scraped.
        """
        self._before_scrape.append(callback)

    def numbers(self, zero: Child, slots: Callable[[], Sequence[Slot]]) -> Child:
        """Make the numbers of a new child.

        Args:
            zero: What it starts with; its length is the number of slots.
            slots: Describes each number, all of one type of metric; called only where somebody else reads
                them (in multiprocess mode).

        Returns:
            A copy of ``zero``; in multiprocess mode something that is used as one: a strided view of doubles.
        """
        if self.in_memory:
            return zero[:]
        try:
            files = self._open()
            if not self._serving and _in_event_loop():
                self.serve()
            return cast("Child", files.child(slots()))
        except Exception:  # noqa: BLE001  # no room, no directory: the numbers of this process stay its own
            self._failed()
            return zero[:]

    def forget(self, child: Child, slots: Callable[[], Sequence[Slot]]) -> None:
        """Forget a child that `numbers` has made of these slots; nothing to do in memory."""
        numbers: object = child
        if self._files is not None and isinstance(numbers, memoryview):
            self._files.forget(numbers, slots())

    def on_fork(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in a forked child, where every child got before is void (multiprocess mode)."""
        self._on_fork.append(callback)

    def fault(self, where: str) -> None:
        """Count an error of this library, and log it (with the traceback being handled) once per place."""
        level = logging.DEBUG if where in self._logged else logging.ERROR
        self._logged.add(where)
        self._errors.inc(where)
        _log.log(level, "metrics error in %s; the application is not affected", where, exc_info=True)

    def overflowed(self, metric: str) -> None:
        """Count an observation that went to an overflow series."""
        self.folded += 1
        if metric != OVERFLOW.name:
            self._overflow.inc(metric)

    def snapshot(self) -> list[Snapshot]:
        """Return every metric that has series: in order of registration; of all workers, the catalogue's."""
        self.refresh()
        if not self.in_memory:
            try:
                return self._shared()
            except Exception:  # noqa: BLE001  # then at least what this process knows
                self._failed()
        families = list(self._families.copy().values())
        return [(family.spec, series) for family in families if (series := family.items())]

    def refresh(self) -> None:
        """Bring gauges up to date."""
        with self._refreshing:
            for callback in self._before_scrape.copy():
                try:
                    callback()
                except Exception:  # noqa: BLE001  # one broken reader must not cost the whole scrape
                    self.fault("before_scrape")

    # -- Multiprocess mode -----------------------------------------------------------------------------------

    @property
    def directory(self) -> str:
        """Where the workers share their numbers; empty in memory."""
        if self._asked_directory is None:
            self._asked_directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
        return self._asked_directory

    @property
    def in_memory(self) -> bool:
        """Whether the numbers are this process's alone."""
        return not self.directory

    def check(self) -> None:
        """Look whether several workers could add up their numbers; log once where they cannot.

        Raises:
            DirectoryError: The directory is missing, or not writable, or the system has no ``flock``.
        """
        if self.directory:
            try:
                from claw_exporter.workerfiles import check_directory  # noqa: PLC0415  # not there on Windows
            except ImportError as error:
                raise DirectoryError(
                    "PROMETHEUS_MULTIPROC_DIR is set, but processes cannot share numbers on this system "
                    "(it has no flock): unset it, and run one worker"
                ) from error
            check_directory(self.directory)
        elif not self._checked:
            self._checked = True
            workers = expected_workers()
            if workers > 1:
                _log.warning(_ALONE, workers)

    def serve(self) -> None:
        """Say that this process serves: it counts as a worker, and its gauges are kept up to date."""
        if not self.in_memory and not self._serving:
            try:
                files = self._open()
                self._serving = True
                files.serve()
                _Refresher(self, files).start()
            except Exception:  # noqa: BLE001  # the request must not notice
                self._failed()

    def _open(self) -> WorkerFiles:
        files = self._files
        if files is None:
            files = self._begin()
            self._errors.child(_WHERE)  # so that it is in a file when there is no more room for it
        return files

    def _begin(self) -> WorkerFiles:
        from claw_exporter.workerfiles import WorkerFiles  # noqa: PLC0415  # not there on Windows

        with self._lock:
            if self._files is None:
                self._files = WorkerFiles(self.directory)
                _watch_forks()
                _in_files.add(self)
            return self._files

    def _shared(self) -> list[Snapshot]:
        self.serve()
        with self._reading:
            if self._reader is None:
                from claw_exporter.multiprocess import Reader  # noqa: PLC0415  # not there on Windows

                self._reader = Reader(self.directory, self._spec, self._failed)
            return list(self._reader.snapshot())

    def _spec(self, name: str) -> Metric | None:
        family = self._families.get(name)
        spec = family.spec if family is not None else _IN_CATALOG.get(name)
        return self.configured(spec) if isinstance(spec, Histogram) else spec

    def _failed(self) -> None:
        """Count a failure with the files: in them, where that is still possible."""
        if not getattr(self._failing, "now", False):  # counting may fail for the same reason
            self._failing.now = True
            try:
                self.fault(_WHERE)
            finally:
                self._failing.now = False

    def _void(self) -> None:
        """Let go of everything that belongs to the process this one was forked from."""
        self._lock, self._refreshing, self._reading = RLock(), RLock(), RLock()
        if self.lock is not None:  # others keep it, so it cannot be another one; its holder may be gone
            self.lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001  # as threading does
        files, self._files, self._serving = self._files, None, False
        if files is not None:
            files.release()
        for family in self._families.values():
            if isinstance(family, Family):
                family.void()
        for callback in self._on_fork:
            try:
                callback()
            except Exception:  # noqa: BLE001  # the child has other work than our caches
                self.fault("on_fork")

    def _family(self, kind: type[_FamilyT], spec: Metric) -> _FamilyT:
        with self._lock:
            known = self._families.get(spec.name)
            if known is None:
                _check(spec)
                known = self._families[spec.name] = kind(spec, self)
            if known.spec != spec or not isinstance(known, kind):
                raise SpecError(f"metric {spec.name} exists already, described differently: {known.spec}")
            return known


_IN_CATALOG: Final = {spec.name: spec for spec in CATALOG}
_in_files: Final[weakref.WeakSet[Store]] = weakref.WeakSet()


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_void_all)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _void_all() -> None:
    for store in list(_in_files):
        store._void()  # noqa: SLF001  # the same module


class _Refresher(threading.Thread):
    """Brings a worker's gauges up to date, because any other may be the one that is scraped."""

    def __init__(self, store: Store, files: WorkerFiles) -> None:
        super().__init__(name="claw_exporter", daemon=True)
        self._store = weakref.ref(store)
        self._files = files

    def run(self) -> None:
        pause = threading.Event()
        while True:
            store = self._store()
            if store is None or store._files is not self._files:  # noqa: SLF001  # the same module
                return
            store.refresh()
            del store
            pause.wait(REFRESH_SECONDS)


_FamilyT = TypeVar("_FamilyT", bound=Family)


def _bound(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]  # prometheus_client has no types here


def _free_threaded() -> bool:
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


def _check(spec: Metric) -> None:
    if not _METRIC_NAME.fullmatch(spec.name):
        raise SpecError(f"{spec.name!r} is not a metric name")
    for label in spec.labels:
        if not _LABEL_NAME.fullmatch(label) or label == "le":
            raise SpecError(f"{label!r} is not a label name (metric {spec.name})")
    if len(set(spec.labels)) != len(spec.labels):
        raise SpecError(f"labels of {spec.name} are not unique: {spec.labels}")
    if isinstance(spec, Histogram) and list(spec.buckets) != sorted(set(spec.buckets)):
        raise SpecError(f"buckets of {spec.name} do not ascend: {spec.buckets}")
