"""What a metric is: frozen descriptions, no behaviour.

``catalog`` lists every metric of Claw in these terms. The live instruments, ``exporter/metrics.json``,
``docs/MONITORING_METRICS.md`` and the Jsonnet build are derived from that list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

Unit = Literal["", "seconds", "bytes", "ratio", "usd"]
Home = Literal["library", "process", "commands"]
Workers = Literal["sum", "max", "each"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What is true of every metric, whatever its type.

    Attributes:
        name: Full name, as Prometheus stores it (counters end in ``_total``).
        help: One sentence, shown on ``/metrics`` and in dashboards.
        unit: Base unit of the value; empty for a count.
        labels: Label names, in the order that recording functions take their values.
        home: ``library`` where a user's application exposes it, ``process`` where only the exporter does,
            ``commands`` where a command of the production stack writes it for the node exporter.
        values: For labels with a closed list of values, those values (label name -> values).
    """

    name: str
    help: str
    unit: Unit = ""
    labels: tuple[str, ...] = ()
    home: Home = "library"
    values: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    type: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter(Metric):
    """A number that only grows, and starts at 0 with the process."""

    type: ClassVar[str] = "counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge(Metric):
    """A number that goes up and down.

    Attributes:
        workers: What several worker processes of one application make of it: the ``sum`` of those that live,
            their ``max``, or ``each`` by itself, told apart by a label ``pid``.
    """

    workers: Workers = "sum"
    type: ClassVar[str] = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Metric):
    """Observations counted in buckets.

    Attributes:
        buckets: Upper bounds (inclusive), ascending, in ``unit``; ``+Inf`` is implied.
    """

    buckets: tuple[float, ...]
    type: ClassVar[str] = "histogram"


class Slot(NamedTuple):
    """One number of a child, as a foreign reader of a worker's files has to know it.

    Attributes:
        spec: The metric that it belongs to.
        sample: The sample's name, such as ``<metric>_bucket`` or ``<metric>_sum`` of a histogram.
        labels: Names and values, ``le`` among them where it is a bucket.
    """

    spec: Metric
    sample: str
    labels: tuple[tuple[str, str], ...]
