"""Numbers about HTTP requests and WebSockets: a flat list and a counter per method, endpoint and status.

The list of a method, endpoint and status class holds ``[sum of durations, sum of sizes, duration buckets...,
size buckets...]``. One look-up and five additions record a request; the histograms are cut out of it when
they are read. Both are made by the store, so that in multiprocess mode they are numbers in a worker's file.
(No array as of other histograms: that would add a seventh to the instructions of a request.)
"""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from claw_exporter.catalog import (
    HTTP_ACTIVE,
    HTTP_REQUEST_DURATION,
    HTTP_REQUESTS,
    HTTP_RESPONSE_SIZE,
    HTTP_TIME_TO_FIRST_BYTE,
    WEBSOCKET_CONNECTIONS,
    WEBSOCKET_DURATION,
)
from claw_exporter.exposition import Exemplified, go_float
from claw_exporter.store import OVERFLOW_LABEL, Child, Labels, Slot, Store, label_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client.samples import Exemplar

    from claw_exporter.spec import Histogram

__all__ = ["METHODS", "OTHER", "Recorder", "Series", "Traffic"]

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
OTHER: Final = "OTHER"
# Labels of an application's own are short lists: tiers, regions, not users.
LABEL_VALUES: Final = 20
OTHER_VALUE: Final = "other"
SECONDS_SUM_AT: Final = 0
BYTES_SUM_AT: Final = 1
SECONDS_AT: Final = 2
_FIRST_STATUS: Final = 100
_LAST_STATUS: Final = 599


# What a request is recorded in: its numbers, shared by the statuses of a class, and the number of requests.
Series = tuple[Child, Child]


class Recorder(Protocol):
    """What a middleware is to `Traffic`."""

    def renew(self) -> None:
        """Forget every child: this process was forked off another one."""


class Traffic:
    """What the middleware records.

    Attributes:
        in_flight: The number of running requests.
        measuring: Whether a middleware records here: without one, there is nothing to say about requests.
        mark: Key that the outermost middleware leaves in a scope, so that an inner one counts nothing twice.
        ignored: A series like the others that nobody reads: excluded endpoints are counted there.
        seconds_bounds: Bounds of the duration buckets, which begin at index 2 of the numbers.
        size_bounds: Bounds of the size buckets.
        size_at: Where those begin.
        extra: Names of the labels that middlewares add.
    """

    in_flight: Child
    ignored: Series

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seconds: Final = store.configured(HTTP_REQUEST_DURATION)
        self._sizes: Final = store.configured(HTTP_RESPONSE_SIZE)
        self.seconds_bounds: Final = self._seconds.buckets
        # Sizes are integers, and integers compare faster with integers.
        self.size_bounds: Final = tuple(
            int(size) if size == int(size) else size for size in self._sizes.buckets
        )
        self.size_at: Final = SECONDS_AT + len(self.seconds_bounds) + 1
        self._zero: Final = [0.0] * (self.size_at + len(self.size_bounds) + 1)
        self.measuring = False
        self.first_byte = store.histogram(HTTP_TIME_TO_FIRST_BYTE)
        self.sockets = store.gauge(WEBSOCKET_CONNECTIONS)
        self.socket_seconds = store.histogram(WEBSOCKET_DURATION)
        self.mark: Final = f"claw_exporter.{id(self)}"
        self.extra: Labels = ()
        self._label_values: dict[str, set[str]] = {}
        self._recorders: WeakSet[Recorder] = WeakSet()
        self._lock: Final = store.lock or RLock()
        self._begin()
        store.on_fork(self._renew)
        store.derive(HTTP_ACTIVE, lambda: [((), self.in_flight)] if self.measuring else [])
        self._derived: Final = [
            store.derive(spec, read)
            for spec, read in (
                (HTTP_REQUESTS, self._read_requests),
                (self._seconds, self._read_seconds),
                (self._sizes, self._read_sizes),
            )
        ]

    def _begin(self) -> None:
        self.in_flight = self._store.numbers([0.0], lambda: [Slot(HTTP_ACTIVE, HTTP_ACTIVE.name, ())])
        self.ignored = (self._zero[:], [0.0])
        self._requests: dict[Labels, Child] = {}
        # Method, endpoint, status class and extra labels -> numbers; number of the list -> method, endpoint.
        self._numbers: dict[Labels, Child] = {}
        self._places: dict[int, tuple[str, str]] = {}
        self._exemplars: dict[Labels, dict[int, Exemplar]] = {}

    def _renew(self) -> None:
        self._begin()
        for recorder in list(self._recorders):
            recorder.renew()

    def join(self, recorder: Recorder, extra: Iterable[str]) -> None:
        """Let a middleware record here, with labels of its own; it is not kept alive."""
        self.measuring = True
        self._recorders.add(recorder)
        with self._lock:
            self.extra += tuple(name for name in extra if name not in self.extra)
            for derived in self._derived:
                names = derived.spec.labels
                new = tuple(name for name in self.extra if name not in names)
                derived.spec = replace(derived.spec, labels=names + new)

    def label_values(self, given: Mapping[str, object]) -> Labels:
        """Return the values of the extra labels: each label has at most 20, then ``other``."""
        values = [self._bounded(name, given[name]) if name in given else "" for name in self.extra]
        while values and not values[-1]:  # as a middleware has them that does not know the label
            values.pop()
        return tuple(values)

    def _bounded(self, name: str, value: object) -> str:
        text = label_text(value)
        with self._lock:
            known = self._label_values.setdefault(name, set())
            if text in known or len(known) < LABEL_VALUES:
                known.add(text)
                return text
        self._store.overflowed(HTTP_REQUESTS.name)
        return OTHER_VALUE

    def series(self, method: str, endpoint: str, status: int, extra: Labels = ()) -> tuple[Series, bool]:
        """Return the series of a method, endpoint and status, and whether it is theirs alone.

        Where it is not (the store is full), each use has to ask again, so that it is counted as overflow.
        A ``500`` at 0 exists from an endpoint's first request on: ``increase`` shall see the first failure.
        """
        code = str(int(status)) if _FIRST_STATUS <= status <= _LAST_STATUS else OTHER
        with self._lock:
            own = (method, endpoint, code, *extra) in self._requests or self._room()
            if not own:
                method, endpoint, extra = OTHER, OVERFLOW_LABEL, tuple(OVERFLOW_LABEL for _ in extra)
            requests = self._counter((method, endpoint, code, *extra))
            if self._room():
                self._counter((method, endpoint, "500", *extra))
            numbers = self._histograms(method, endpoint, code, extra)
        if not own:
            self._store.overflowed(HTTP_REQUESTS.name)
        return (numbers, requests), own

    def _room(self) -> bool:
        return len(self._requests) < self._store.max_series

    def _counter(self, labels: Labels) -> Child:
        child = self._requests.get(labels)
        if child is None:
            names = (*HTTP_REQUESTS.labels, *self.extra)
            slot = Slot(HTTP_REQUESTS, HTTP_REQUESTS.name, tuple(zip(names, labels, strict=False)))
            child = self._requests[labels] = self._store.numbers([0.0], lambda: [slot])
        return child

    def _histograms(self, method: str, endpoint: str, code: str, extra: Labels) -> Child:
        key = (method, endpoint, status_class(code), *extra)
        child = self._numbers.get(key)
        if child is None:
            child = self._numbers[key] = self._store.numbers(self._zero, lambda: self._slots(key))
            self._places[id(child)] = (method, endpoint)
        return child

    def _slots(self, key: Labels) -> Sequence[Slot]:
        """Describe the numbers of one list: those of the size are the same series for every status class."""
        seconds = tuple(zip((*HTTP_REQUEST_DURATION.labels, *self.extra), key, strict=False))
        sizes = (*seconds[:2], *seconds[3:])
        return (
            Slot(self._seconds, f"{self._seconds.name}_sum", seconds),
            Slot(self._sizes, f"{self._sizes.name}_sum", sizes),
            *_buckets(self._seconds, seconds),
            *_buckets(self._sizes, sizes),
        )

    def streamed(self, numbers: Child, seconds: float) -> None:
        """Record the time to first byte of a response whose request was recorded in ``numbers``."""
        place = self._places.get(id(numbers))
        if place is not None:
            self.first_byte.observe(seconds, *place)

    def exemplify(self, labels: Labels, bucket: int, exemplar: Exemplar) -> None:
        """Remember the newest exemplar of a duration bucket; ``labels`` as :meth:`series` takes them."""
        method, endpoint, code, *extra = labels
        key = (method, endpoint, status_class(code), *extra)
        if key in self._numbers:
            self._exemplars.setdefault(key, {})[bucket] = exemplar

    # -- Read at a scrape ------------------------------------------------------------------------------------

    def _read_requests(self) -> list[tuple[Labels, Child]]:
        names = len(HTTP_REQUESTS.labels) + len(self.extra)
        return [(_padded(labels, names), child) for labels, child in self._requests.copy().items()]

    def _read_seconds(self) -> list[tuple[Labels, Child]]:
        names = len(HTTP_REQUEST_DURATION.labels) + len(self.extra)
        end = self.size_at
        return [
            (
                _padded(labels, names),
                Exemplified([*child[SECONDS_AT:end], child[SECONDS_SUM_AT]], self._exemplars.get(labels)),
            )
            for labels, child in self._numbers.copy().items()
        ]

    def _read_sizes(self) -> list[tuple[Labels, Child]]:
        names = len(HTTP_RESPONSE_SIZE.labels) + len(self.extra)
        groups: dict[Labels, Child] = {}
        for labels, child in self._numbers.copy().items():
            key = _padded((*labels[:2], *labels[3:]), names)
            numbers = [*child[self.size_at :], child[BYTES_SUM_AT]]
            known = groups.get(key)
            groups[key] = numbers if known is None else list(map(sum, zip(known, numbers, strict=True)))
        return list(groups.items())


def status_class(code: str) -> str:
    """Return the class of a status: ``2xx``, or ``OTHER``."""
    return code if code == OTHER else f"{code[0]}xx"


def _buckets(spec: Histogram, labels: tuple[tuple[str, str], ...]) -> list[Slot]:
    bounds = (*spec.buckets, float("inf"))
    return [Slot(spec, f"{spec.name}_bucket", (*labels, ("le", go_float(bound)))) for bound in bounds]


def _padded(labels: Labels, names: int) -> Labels:
    return labels + ("",) * (names - len(labels))
