"""Our stores as one ordinary collector of a prometheus_client registry.

So an existing ``/metrics`` of an application shows our metrics too. Several stores in one registry are added
up: a process exposes each series once.

In multiprocess mode the page of any worker shows what all of them counted: ours, and the application's own
metrics of prometheus_client, which stock code reads from its files. Custom collectors, which have no files,
are asked in the worker that answers. What describes one process only is left out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from threading import Lock, local
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, ref

from prometheus_client.core import Metric as ClientMetric
from prometheus_client.multiprocess import MultiProcessCollector

from claw_exporter.catalog import CATALOG
from claw_exporter.errors import RegistryError
from claw_exporter.exposition import Exemplified, family_name, family_unit, go_float
from claw_exporter.spec import Histogram, Metric

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from prometheus_client import CollectorRegistry

    from claw_exporter.store import Child, Labels, Snapshot, Store

__all__ = ["Bridge", "attach"]

# Of the worker that happens to answer, not of the application: prometheus_client's process and GC collectors.
OF_ONE_PROCESS: Final = frozenset(
    (
        "process_cpu_seconds",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
        "python_gc_collections",
        "python_gc_objects_collected",
        "python_gc_objects_uncollectable",
    )
)

_bridges: Final[WeakKeyDictionary[CollectorRegistry, Bridge]] = WeakKeyDictionary()
_lock: Final = Lock()


def attach(registry: CollectorRegistry, store: Store) -> Bridge:
    """Show a store in a registry; idempotent.

    Raises:
        RegistryError: Another collector of the registry has a metric of the same name, or another store in
            it has other buckets.
    """
    with _lock:
        bridge = _bridges.get(registry)
        if bridge is not None and any(known.buckets != store.buckets for known in bridge.stores):
            raise RegistryError(
                "the registry shows a Metrics with other buckets, and different buckets cannot be added up: "
                "give both the same, or another registry, Metrics(registry=CollectorRegistry())"
            )
        if bridge is None:
            bridge = Bridge(registry)
            _register(registry, bridge)
            _bridges[registry] = bridge
        if store not in bridge.stores:
            bridge.stores.append(store)
    return bridge


def _register(registry: CollectorRegistry, bridge: Bridge) -> None:
    try:
        registry.register(bridge)
    except ValueError as error:
        raise RegistryError(
            f"the registry has metrics of our names already ({error}): unregister their collector, or use "
            "another registry, Metrics(registry=CollectorRegistry())"
        ) from error


class Bridge:
    """The collector of one registry.

    Attributes:
        stores: The stores shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stores: list[Store] = []
        self._registry = ref(registry)
        self._silent = local()

    def describe(self) -> Iterator[ClientMetric]:
        """Yield the names this collector may produce, so that the registry can refuse a clash."""
        return (_client_metric(spec) for spec in _LIBRARY)

    def collect(self) -> Iterator[ClientMetric]:
        """Yield every metric that has series; nothing where a stock collector of our files does."""
        if not getattr(self._silent, "now", False) and not self._read_elsewhere():
            for spec, series in self.snapshot():
                metric = _client_metric(spec)
                if isinstance(spec, Histogram):
                    _add_histogram(metric, spec, series)
                else:
                    _add_scalars(metric, spec, series)
                yield metric

    def snapshot(self) -> list[Snapshot]:
        """Return every metric that has series, those of several stores added up."""
        snapshots, read = [], set()
        for store in self.stores:
            if store.in_memory or store.directory not in read:
                read.add(store.directory)
                snapshots.append(store.snapshot())
            else:
                store.serve()
        return snapshots[0] if len(snapshots) == 1 else _added(snapshots)

    def others(self, registry: CollectorRegistry, render: Any) -> bytes:  # noqa: ANN401  # a generate_latest
        """Render what the registry's other collectors have, on this thread."""
        self._silent.now = True
        try:
            shared = any(not store.in_memory for store in self.stores)
            text: bytes = render(_Others(registry) if shared else registry)
            return text
        finally:
            self._silent.now = False

    def _read_elsewhere(self) -> bool:
        """Return whether the registry has a stock collector that reads our files with its own."""
        # The registry has no public way to list its collectors.
        collectors = getattr(self._registry(), "_collector_to_names", ())
        paths = {
            getattr(each, "_path", None) for each in collectors if isinstance(each, MultiProcessCollector)
        }
        return any(store.directory in paths for store in self.stores if not store.in_memory)


class _Others:
    """What a registry has besides our metrics, of all workers where it can be had of all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[ClientMetric]:
        workers = {metric.name: metric for metric in _stock_metrics()}
        for metric in self._registry.collect():
            if metric.name not in workers and metric.name not in _NOT_OTHERS:
                yield metric
        yield from workers.values()


def _stock_metrics() -> Iterable[ClientMetric]:
    """Return the metrics of prometheus_client that workers have written to files."""
    stock: list[str] = []
    with suppress(OSError), os.scandir(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")) as found:
        stock = [file.path for file in found if file.name.endswith(".db") and "_claw-" not in file.name]
    metrics: Iterable[ClientMetric] = MultiProcessCollector.merge(stock)  # type: ignore[no-untyped-call]  # it has no types
    return metrics


_LIBRARY: Final = [spec for spec in CATALOG if spec.home == "library"]
_NOT_OTHERS: Final = OF_ONE_PROCESS | {family_name(spec) for spec in _LIBRARY}


def _client_metric(spec: Metric) -> ClientMetric:
    return ClientMetric(family_name(spec), spec.help, spec.type, family_unit(spec))


def _add_scalars(metric: ClientMetric, spec: Metric, series: Collection[tuple[Labels, Child]]) -> None:
    for labels, child in series:
        metric.add_sample(spec.name, dict(zip(spec.labels, labels, strict=True)), float(child[0]))


def _add_histogram(metric: ClientMetric, spec: Histogram, series: Collection[tuple[Labels, Child]]) -> None:
    bounds = [go_float(bound) for bound in (*spec.buckets, float("inf"))]
    for values, child in series:
        labels, count = dict(zip(spec.labels, values, strict=True)), 0.0
        exemplars = child.exemplars if isinstance(child, Exemplified) else {}
        for index, bound in enumerate(bounds):
            count += child[index]
            metric.add_sample(
                f"{spec.name}_bucket", {**labels, "le": bound}, count, exemplar=exemplars.get(index)
            )
        metric.add_sample(f"{spec.name}_count", labels, count)
        metric.add_sample(f"{spec.name}_sum", labels, float(child[-1]))


def _added(snapshots: Iterable[list[Snapshot]]) -> list[Snapshot]:
    metrics: dict[str, tuple[Metric, dict[Labels, Child]]] = {}
    for snapshot in _alike(list(snapshots)):
        for spec, series in snapshot:
            known = metrics.setdefault(spec.name, (spec, {}))[1]
            # An *_info gauge says that something is so: saying it twice does not make it 2.
            add = max if spec.name.endswith("_info") else sum
            for labels, child in series:
                numbers = known.get(labels)
                known[labels] = child if numbers is None else list(map(add, zip(numbers, child, strict=True)))
    return [(spec, list(series.items())) for spec, series in metrics.values()]


def _alike(snapshots: list[list[Snapshot]]) -> list[list[Snapshot]]:
    """Give a metric the same labels in each snapshot, where a store has some that others do not."""
    names: dict[str, Labels] = {}
    for snapshot in snapshots:
        for spec, _ in snapshot:
            known = names.get(spec.name, spec.labels)
            names[spec.name] = known + tuple(name for name in spec.labels if name not in known)
    return [
        [
            (spec, series) if spec.labels == names[spec.name] else _relabelled(spec, series, names[spec.name])
            for spec, series in snapshot
        ]
        for snapshot in snapshots
    ]


def _relabelled(spec: Metric, series: Collection[tuple[Labels, Child]], names: Labels) -> Snapshot:
    return replace(spec, labels=names), [
        (tuple(dict(zip(spec.labels, labels, strict=True)).get(name, "") for name in names), child)
        for labels, child in series
    ]
