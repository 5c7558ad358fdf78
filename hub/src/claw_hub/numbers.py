"""The hub's own numbers: what its rooms count, and what is looked up now and then."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from claw_exporter import Metrics
from claw_hub import catalog
from claw_hub.errors import HubError

if TYPE_CHECKING:
    from claw_hub.api import Live
    from claw_hub.bus import Bus
    from claw_hub.records import Kind
    from claw_hub.worker.marts import Marts

__all__ = ["Numbers", "new_metrics"]

_log: Final = logging.getLogger("claw_hub.numbers")

LOOK_SECONDS: Final = 5.0


def new_metrics(app: str) -> Metrics:
    """Makes the metrics of one application in a registry of their own."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    metrics = Metrics(registry=registry)
    metrics.build_info(app=app, version=importlib.metadata.version("claw-hub"))
    return metrics


class Numbers:
    """Counts for the rooms, which know no metrics.

    Args:
        metrics: Where the numbers go.
    """

    def __init__(self, metrics: Metrics) -> None:
        store = metrics.store
        self._requests = store.counter(catalog.INGEST_REQUESTS)
        self._accepted = store.counter(catalog.ACCEPTED)
        self._accepted_bytes = store.counter(catalog.ACCEPTED_BYTES)
        self._of_worker = {name: store.counter(spec) for name, spec in catalog.OF_WORKER.items()}
        self._bus_records = store.gauge(catalog.BUS_RECORDS)
        self._bus_oldest = store.gauge(catalog.BUS_OLDEST)
        self._bus_bytes = store.gauge(catalog.BUS_BYTES)
        self._dirty = store.gauge(catalog.BUCKETS_DIRTY)
        self._dirty_oldest = store.gauge(catalog.BUCKETS_OLDEST)
        self._store = store
        self._subscriptions = store.gauge(catalog.LIVE_SUBSCRIPTIONS)

    def declare(self) -> None:
        """Makes counters exist before what they count happens, so that rates see the first of it."""
        for kind in catalog.KINDS:
            self.count_request(kind, "accepted", records=0, body_bytes=0, requests=0)
        for name, spec in catalog.OF_WORKER.items():
            if spec.labels == ("kind",):
                for kind in catalog.KINDS:
                    self.count(name, 0, kind=kind)
            elif not spec.labels:
                self.count(name, 0)

    def show_live(self, live: Live) -> None:
        """Shows how many live streams are open, from now on, at each scrape."""
        self._store.before_scrape(lambda: self._subscriptions.set(live.subscriptions))

    def count_request(
        self, kind: Kind | str, outcome: str, *, records: int, body_bytes: int, requests: int = 1
    ) -> None:
        """Counts what the edge says of a request."""
        self._requests.inc(kind, outcome, by=requests)
        self._accepted.inc(kind, by=records)
        self._accepted_bytes.inc(kind, by=body_bytes)

    def count(self, name: str, amount: float, **labels: object) -> None:
        """Counts what the worker says."""
        family = self._of_worker[name]
        family.inc(*(labels[label] for label in family.spec.labels), by=amount)

    async def watch(self, bus: Bus, marts: Marts) -> None:
        """Looks at what waits, until it is cancelled; what cannot be seen now keeps its last value."""
        while True:
            try:
                lag = await bus.lag()
            except HubError as error:
                _log.warning("what waits is not known", extra={"fields": {"why": str(error)}})
            else:
                for kind in lag.entries:
                    self._bus_records.set(lag.records[kind], kind)
                    self._bus_oldest.set(lag.oldest_seconds[kind], kind)
                self._bus_bytes.set(lag.bytes)
            self._dirty.set(marts.dirty)
            self._dirty_oldest.set(marts.oldest_seconds)
            await asyncio.sleep(LOOK_SECONDS)
