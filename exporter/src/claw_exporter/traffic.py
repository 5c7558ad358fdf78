"""Numbers about HTTP requests and WebSockets: one flat list per method, endpoint and status.

A list holds ``[duration buckets..., size buckets..., sum of durations, sum of sizes]``. One look-up and four
additions record a request; ``requests_total``, durations by status class and sizes are derived at a scrape.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Final

from claw_exporter.catalog import (
    HTTP_ACTIVE,
    HTTP_REQUEST_DURATION,
    HTTP_REQUESTS,
    HTTP_RESPONSE_SIZE,
    HTTP_TIME_TO_FIRST_BYTE,
    WEBSOCKET_CONNECTIONS,
    WEBSOCKET_DURATION,
)
from claw_exporter.store import OVERFLOW_LABEL, Child, Labels, Store

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["METHODS", "OTHER", "Traffic"]

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
OTHER: Final = "OTHER"

_SECONDS: Final = len(HTTP_REQUEST_DURATION.buckets) + 1
_BYTES: Final = len(HTTP_RESPONSE_SIZE.buckets) + 1
SIZE_AT: Final = _SECONDS
SECONDS_SUM_AT: Final = _SECONDS + _BYTES
BYTES_SUM_AT: Final = SECONDS_SUM_AT + 1
_FIRST_STATUS: Final = 100
_LAST_STATUS: Final = 599
# Stands for "no request yet": replaced by a list of its own at the first one.
_NONE_YET: Final[Child] = []


class Traffic:
    """What the middleware records.

    Attributes:
        in_flight: The number of running requests.
        measuring: Whether a middleware records here: without one, there is nothing to say about requests.
        mark: Key that the outermost middleware leaves in a scope, so that an inner one counts nothing twice.
        ignored: A list like the others that nobody reads: excluded endpoints are counted there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.in_flight: Final[Child] = [0.0]
        self.measuring = False
        self.first_byte = store.histogram(HTTP_TIME_TO_FIRST_BYTE)
        self.sockets = store.gauge(WEBSOCKET_CONNECTIONS)
        self.socket_seconds = store.histogram(WEBSOCKET_DURATION)
        self.mark: Final = f"claw_exporter.{id(self)}"
        self.ignored: Final = _empty()
        self._series: dict[Labels, Child] = {}
        self._places: dict[int, tuple[str, str]] = {}
        self._lock = RLock()
        store.derive(HTTP_ACTIVE, lambda: [((), self.in_flight)] if self.measuring else [])
        store.derive(HTTP_REQUESTS, self._requests)
        store.derive(HTTP_REQUEST_DURATION, self._durations)
        store.derive(HTTP_RESPONSE_SIZE, self._sizes)

    def series(self, method: str, endpoint: str, status: int) -> tuple[Child, bool]:
        """Return the list of a method, endpoint and status, and whether it is theirs alone.

        Where it is not (the store is full), each use has to ask again, so that it is counted as overflow.
        A ``500`` at 0 exists from an endpoint's first request on: ``increase`` shall see the first failure.
        """
        code = str(int(status)) if _FIRST_STATUS <= status <= _LAST_STATUS else OTHER
        key = (method, endpoint, code)
        with self._lock:
            child = self._series.get(key)
            if child:
                return child, True
            if child is None and len(self._series) >= self._store.max_series:
                self._store.overflowed(HTTP_REQUESTS.name)
                return self._series.setdefault((OTHER, OVERFLOW_LABEL, code), _empty()), False
            child = self._series[key] = _empty()
            self._places[id(child)] = (method, endpoint)
            self._series.setdefault((method, endpoint, "500"), _NONE_YET)
        return child, True

    def streamed(self, child: Child, seconds: float) -> None:
        """Record the time to first byte of a response whose request was recorded in ``child``."""
        place = self._places.get(id(child))
        if place is not None:
            self.first_byte.observe(seconds, *place)

    def _read(self) -> list[tuple[Labels, Child]]:
        return list(self._series.copy().items())

    def _requests(self) -> list[tuple[Labels, Child]]:
        return [(labels, [sum(child[:_SECONDS])]) for labels, child in self._read()]

    def _durations(self) -> list[tuple[Labels, Child]]:
        return self._grouped(
            lambda labels: (labels[0], labels[1], f"{labels[2][0]}xx" if labels[2] != OTHER else OTHER),
            lambda child: [*child[:_SECONDS], child[SECONDS_SUM_AT]],
        )

    def _sizes(self) -> list[tuple[Labels, Child]]:
        return self._grouped(
            lambda labels: labels[:2],
            lambda child: [*child[SIZE_AT:SECONDS_SUM_AT], child[BYTES_SUM_AT]],
        )

    def _grouped(
        self, group: Callable[[Labels], Labels], part: Callable[[Child], Child]
    ) -> list[tuple[Labels, Child]]:
        groups: dict[Labels, Child] = {}
        for labels, child in self._read():
            if child:
                numbers, key = part(child), group(labels)
                known = groups.get(key)
                groups[key] = numbers if known is None else list(map(sum, zip(known, numbers, strict=True)))
        return list(groups.items())


def _empty() -> Child:
    return [0] * (_SECONDS + _BYTES) + [0.0, 0]
