"""For tests of applications: read metrics by name and labels, and see what a piece of code changed.

Needs no test framework, and is not imported by ``import claw_exporter``::

    from claw_exporter.testing import changes

    with changes() as seen:
        client.post("/chat", params={"prompt": "hello"})
    assert seen.value("claw_ai_http_requests_total", endpoint="/chat", status=200) == 1
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from claw_exporter.catalog import CATALOG
from claw_exporter.errors import ArgumentError, ClawError
from claw_exporter.instruments import Metrics
from claw_exporter.instruments import metrics as default_metrics
from claw_exporter.spec import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from prometheus_client.core import Metric as ClientMetric

__all__ = ["Changes", "Distribution", "NoSeriesError", "Snapshot", "capture", "changes", "fresh_metrics"]

Source = Metrics | CollectorRegistry | str | bytes
_Labels = tuple[tuple[str, str], ...]
_Samples = dict[str, dict[_Labels, float]]

_SHOWN: Final = 20


class NoSeriesError(ClawError, AssertionError):
    """No series answers the question; the message names those that exist. Test runners call it a failure."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram holds.

    Attributes:
        count: Number of observations.
        sum: Their sum, in the metric's unit.
        buckets: Upper bound -> number of observations up to it (cumulative, as Prometheus has them).
    """

    count: float
    sum: float
    buckets: Mapping[float, float]


class Snapshot:
    """The values of metrics at one moment.

    A question names a metric as Prometheus does, and any of its labels. Where several series have them, their
    sum is the answer. Label values are compared as text: ``status=200`` is ``status="200"``.
    """

    def __init__(self, samples: _Samples, known: Mapping[str, frozenset[str]]) -> None:
        self._samples = samples
        self._known = known

    def value(self, name: str, /, **labels: object) -> float:
        """Return the value of a counter or gauge, or of a histogram's ``_count``, ``_sum`` or ``_bucket``.

        Raises:
            NoSeriesError: There is no such metric, or none of its series has these labels.
            ArgumentError: A ``_bucket`` was asked for without its ``le``.
        """
        if name.endswith("_bucket") and "le" not in labels:
            raise ArgumentError(
                f"{name} needs le=..., a bucket's upper bound: its buckets cannot be added up"
            )
        return sum(self._found(name, labels).values())

    def histogram(self, name: str, /, **labels: object) -> Distribution:
        """Return what a histogram holds.

        Raises:
            NoSeriesError: As :meth:`value`.
        """
        buckets: defaultdict[float, float] = defaultdict(float)
        for key, number in self._found(f"{name}_bucket", labels).items():
            buckets[float(dict(key)["le"])] += number
        return Distribution(
            self.value(f"{name}_count", **labels),
            self.value(f"{name}_sum", **labels),
            dict(sorted(buckets.items())),
        )

    def series(self, name: str, /, **labels: object) -> list[dict[str, str]]:
        """Return the labels of every series of a metric that has ``labels``; an empty list where none has."""
        return [dict(key) for key in self._matching(name, labels)]

    def _found(self, name: str, labels: Mapping[str, object]) -> dict[_Labels, float]:
        found = self._matching(name, labels)
        if not found:
            raise NoSeriesError(self._absence(name, labels))
        return found

    def _matching(self, name: str, labels: Mapping[str, object]) -> dict[_Labels, float]:
        wanted = [(label, _text(label, value)) for label, value in labels.items()]
        series = self._samples.get(name, {})
        return {key: number for key, number in series.items() if all(pair in key for pair in wanted)}

    def _absence(self, name: str, labels: Mapping[str, object]) -> str:
        """Say why there is nothing, and what there is instead."""
        asked = _written(name, [(label, _text(label, value)) for label, value in labels.items()])
        names = self._known.get(name)
        if names is None:
            near = get_close_matches(name, self._known, n=3, cutoff=0.7)
            return f"there is no metric {name}{_perhaps(near)}"
        for label in labels:
            if label not in names:
                near = get_close_matches(label, names, n=1)
                return f"{name} has no label {label!r}{_perhaps(near)}; its labels are {sorted(names)}"
        if wrong := _misspelt(name, labels):
            return f"{name} never has {wrong}"
        series = self._samples.get(name, {})
        if not series:
            return f"{asked} has no series: nothing was recorded yet"
        lines = [f"{_written(name, key)} {number}" for key, number in series.items()]
        near = get_close_matches(asked, lines, n=_SHOWN, cutoff=0)
        more = f"\n  ... and {len(lines) - len(near)} more" if len(lines) > len(near) else ""
        return f"there is no series {asked}; these exist:\n  " + "\n  ".join(near) + more


class Changes(Snapshot):
    """What changed in a ``with`` block: values after it (or now, within it) minus values before it.

    A series that neither existed before nor appeared is 0 here, as long as the metric and the labels' names
    are right, and the labels' values too where the catalogue closes their list.
    """

    def __init__(self, source: Source) -> None:
        if isinstance(source, (str, bytes)):
            raise ArgumentError("changes needs metrics or a registry: a text never changes")
        self._source: Final = source
        self._before: _Samples = {}
        self._running = False
        super().__init__({}, {})

    def __enter__(self) -> Self:
        """Remember the values of now."""
        self._running = False
        self._before = capture(self._source)._samples  # noqa: SLF001  # the same class
        self._running = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Keep the differences."""
        self._look()
        self._running = False

    def _look(self) -> None:
        after = capture(self._source)
        self._known, now = after._known, after._samples  # noqa: SLF001  # the same class
        self._samples = {
            name: _difference(self._before.get(name, {}), now.get(name, {})) for name in self._before | now
        }

    def _matching(self, name: str, labels: Mapping[str, object]) -> dict[_Labels, float]:
        if self._running:
            self._look()
        return super()._matching(name, labels)

    def _found(self, name: str, labels: Mapping[str, object]) -> dict[_Labels, float]:
        found = self._matching(name, labels)
        sensible = name in self._known and labels.keys() <= self._known[name] and not _misspelt(name, labels)
        if not found and not sensible:
            raise NoSeriesError(self._absence(name, labels))
        return found


def capture(source: Source | None = None) -> Snapshot:
    """Return the values of now.

    Args:
        source: Whose: those of a `Metrics` (the default instance if None), of a whole prometheus_client
            registry, or of a page that ``/metrics`` answered, in text format.
    """
    samples: defaultdict[str, dict[_Labels, float]] = defaultdict(dict)
    known = _catalogue()
    for family in _families(default_metrics if source is None else source):
        for sample in family.samples:
            key = tuple(sorted((label, _text(label, value)) for label, value in sample.labels.items()))
            samples[sample.name][key] = sample.value
            known.setdefault(sample.name, frozenset(sample.labels))
    return Snapshot(dict(samples), known)


def changes(source: Metrics | CollectorRegistry | None = None) -> Changes:
    """Return a watch on a block of code, for a ``with`` statement; ask it afterwards what changed.

    Args:
        source: As in `capture`, without the page.
    """
    return Changes(default_metrics if source is None else source)


def fresh_metrics(*, max_series: int = 2000) -> Metrics:
    """Return metrics that nothing else records into, registered in a registry of their own."""
    metrics = Metrics(registry=CollectorRegistry(), max_series=max_series)
    metrics.register()
    return metrics


def _families(source: Source) -> Iterable[ClientMetric]:
    if isinstance(source, CollectorRegistry):
        return source.collect()
    # As a scrape would see it, whatever holds the numbers.
    page = source.render() if isinstance(source, Metrics) else source
    return text_string_to_metric_families(page.decode() if isinstance(page, bytes) else page)


def _catalogue() -> dict[str, frozenset[str]]:
    """Return every sample name that this library may show, with the names of its labels."""
    known: dict[str, frozenset[str]] = {}
    for spec in CATALOG:
        if spec.home == "library":
            labels = frozenset(spec.labels)
            if isinstance(spec, Histogram):
                known |= {f"{spec.name}_{part}": labels for part in ("count", "sum")}
                known[f"{spec.name}_bucket"] = labels | {"le"}
            else:
                known[spec.name] = labels
    return known


def _misspelt(name: str, labels: Mapping[str, object]) -> str:
    """Name a label value that is not in its closed list, with that list; nothing where there is none."""
    base = name.rsplit("_", 1)[0]
    closed = next((spec.values for spec in CATALOG if spec.name in (name, base)), {})
    wrong = (label for label, value in labels.items() if label in closed and str(value) not in closed[label])
    return next((f"{label}={labels[label]!r}, only one of {list(closed[label])}" for label in wrong), "")


def _difference(before: Mapping[_Labels, float], after: Mapping[_Labels, float]) -> dict[_Labels, float]:
    return {key: after.get(key, 0.0) - before.get(key, 0.0) for key in {**before, **after}}


def _text(label: str, value: object) -> str:
    if label != "le":
        return str(value)
    bound = float(str(value))
    return "+Inf" if bound == float("inf") else str(bound)


def _written(name: str, labels: Iterable[tuple[str, str]]) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in sorted(labels))
    return f"{name}{{{pairs}}}" if pairs else name


def _perhaps(near: list[str]) -> str:
    return f" (did you mean {' or '.join(near)}?)" if near else ""
