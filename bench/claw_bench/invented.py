"""Invents the series that panels read: a busy application of many endpoints, and what is around it.

Every name that a panel reads gets series of all its labels (the catalogue knows them); every value that a
query asks for by name is among a label's values, so that no query is quick because it finds nothing.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import promql_parser as promql
import yaml

import expressions
import trees
from catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Invented", "Sizes", "invent", "text"]

JOB: Final = "claw-ai-backend"
MANY: Final = {"model": 8, "operation": 12, "tool": 12, "agent": 5, "error_type": 6, "index": 4}
FEW: Final = 3
VENDOR_SERIES: Final = 60
"""Series that one metric of an exporter has, of an instance, at most."""
VARIANTS: Final = 7
"""Texts of a moment that follow one another: values that never change would be stored in no space."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the application is."""

    endpoints: int
    instances: int


@dataclass(frozen=True, kw_only=True)
class Invented:
    """Series by how long they are kept: `name{labels}` without values.

    Attributes:
        recorded: Recording rules, a value a minute for as long as data is kept.
        raw: What is scraped.
    """

    recorded: Sequence[str]
    raw: Sequence[str]


def invent(root: Path, sizes: Sizes) -> Invented:
    """Return the series of every metric that a dashboard of the repository reads."""
    catalogue = Catalogue.load(root / "exporter/metrics.json", root / "jsonnet/vendor-metrics.json")
    files = sorted((root / "prometheus/rules").glob("*.yml"))
    rules = {f"prometheus/rules/{file.name}": yaml.safe_load(file.read_text()) for file in files}
    expressions.check(expressions.find(rules), catalogue)  # which learns the recordings
    known = _Known(root, catalogue, sizes)
    recorded: list[str] = []
    raw: list[str] = []
    for name in known.names:
        (recorded if ":" in name else raw).extend(known.series(name))
    return Invented(recorded=recorded, raw=raw)


class _Known:
    """What the repository says about metrics and the values of their labels."""

    def __init__(self, root: Path, catalogue: Catalogue, sizes: Sizes) -> None:
        self._catalogue, self._sizes = catalogue, sizes
        self._metrics: dict[str, Any] = json.loads((root / "jsonnet/vendor-metrics.json").read_text())
        self._metrics |= json.loads((root / "exporter/metrics.json").read_text())
        trees_of_panels = list(_trees(root))
        self.names = sorted({name for tree in trees_of_panels for name in trees.names(tree)})
        self._asked = _asked(trees_of_panels)

    def series(self, name: str) -> Iterator[str]:
        """Yield the series of one name."""
        found = self._catalogue.get(name)
        labels = sorted(found.labels or ()) if found else []
        metric = self._of(name)
        source = self._source(name, metric)
        axes = [(label, self._values(name, label, metric)) for label in labels if label not in TARGET]
        providers: list[str] = []
        if {"model", "provider"} <= set(labels):  # a model is that of one provider
            providers = self._values(name, "provider", metric)
            axes = [axis for axis in axes if axis[0] != "provider"]
        several = "instance" in labels
        most = None if metric.get("home") == "library" or ":" in name else VENDOR_SERIES
        if name.endswith("_info"):
            most = 1  # or nothing could be joined with it
        places = self._places(source) if several else [{}]
        for place, chosen in itertools.product(places, _combinations(axes, most)):
            pairs = ({"job": source} if "job" in labels else {}) | place | dict(chosen)
            if providers:
                pairs["provider"] = providers[crc32(pairs["model"].encode()) % len(providers)]
            written = ",".join(f'{label}="{value}"' for label, value in pairs.items())
            yield f"{name}{{{written}}}"

    def _of(self, name: str) -> Mapping[str, Any]:
        """Return the catalogue entry of a name, of the histogram it is a part of, or of what it records."""
        stem = name.partition(":")[2].partition(":")[0] or name
        for candidate in (stem, stem + "_total", *(stem.removesuffix(part) for part in PARTS)):
            if candidate in self._metrics:
                return dict(self._metrics[candidate])
        return {}

    def _source(self, name: str, metric: Mapping[str, Any]) -> str:
        """Return the job that has a metric."""
        ours = metric.get("home") == "library" or ":" in name or metric.get("source") in (None, "several")
        return JOB if ours else str(metric["source"])

    def _places(self, source: str) -> list[dict[str, str]]:
        if source != JOB:
            return [{"instance": f"{source}:9000", "host": "claw-1"}]
        count = self._sizes.instances
        return [{"instance": f"10.0.0.{one}:8000", "host": f"claw-{one % 5 + 1}"} for one in range(count)]

    def _values(self, name: str, label: str, metric: Mapping[str, Any]) -> list[str]:
        """Return the values that a label has."""
        if label == "endpoint":
            every = [f"/api/v1/things/{{id}}/parts/{number}" for number in range(self._sizes.endpoints)]
            return every[: max(1, len(every) // 10)] if any(word in name for word in STREAMS) else every
        if label == "le":
            bounds = metric.get("buckets", USUAL)  # of vendors' histograms nobody asks for bounds
            return [f"{bound:.1f}" if bound == int(bound) else f"{bound:g}" for bound in bounds] + ["+Inf"]
        if label in OF_HTTP and "http_" in name:
            return OF_HTTP[label]
        if closed := metric.get("values", {}).get(label):
            return list(closed)
        asked = self._asked.get(label, [])
        return [*asked, *(f"{label}-{number}" for number in range(MANY.get(label, FEW)))]


USUAL: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OF_HTTP: Final = {
    "method": ["GET"],  # an endpoint mostly has one
    "status": ["200", "404", "500"],
    "status_class": ["2xx", "5xx"],
}
STREAMS: Final = ("websocket", "time_to_first_byte")
"""Words in metrics that one in ten endpoints has."""
TARGET: Final = ("job", "instance", "host")
PARTS: Final = ("_bucket", "_sum", "_count")


def _combinations(
    axes: Sequence[tuple[str, list[str]]], most: int | None
) -> list[tuple[tuple[str, str], ...]]:
    """Return every combination of labels, or `most` of them, the same in every run."""
    labels = [label for label, _ in axes]
    every = itertools.product(*(values for _, values in axes))
    if most is None:
        return [tuple(zip(labels, values, strict=True)) for values in every]
    some = list(itertools.islice(every, 100_000))
    if len(some) > most:
        some = random.Random(1).sample(some, most)  # noqa: S311  # nothing secret
    return [tuple(zip(labels, values, strict=True)) for values in some]


def _trees(root: Path) -> Iterator[Any]:
    """Yield the tree of every expression of every dashboard."""
    files = sorted((root / "grafana/dashboards").glob("*.json"))
    documents = {f"grafana/dashboards/{file.name}": json.loads(file.read_text()) for file in files}
    for use in expressions.find(documents):
        if not use.of_logs:
            yield promql.parse(expressions.substitute(use.expression))


def _asked(found: list[Any]) -> dict[str, list[str]]:
    """Return the values that queries ask for by name: label -> values."""
    asked: dict[str, dict[str, None]] = {}
    for tree in found:
        for node in trees.nodes(tree):
            if not isinstance(node, promql.VectorSelector):
                continue
            for matcher in node.matchers.matchers:
                plain = [
                    value for value in matcher.value.split("|") if value and value.replace("_", "a").isalnum()
                ]
                if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.Re) and plain != ["1"]:
                    asked.setdefault(matcher.name, {}).update(dict.fromkeys(plain))
    return {label: list(values) for label, values in asked.items()}


def text(series: Sequence[str], *, start: int, end: int, step: int, rising: bool) -> Iterator[bytes]:
    """Yield OpenMetrics, a moment at a time: every series from `start` to before `end`, in seconds.

    Args:
        series: `name{labels}` of each.
        start: First moment.
        end: Where it stops.
        step: Seconds between two values.
        rising: Values grow as counters do; otherwise they go up and down.
    """
    pick = random.Random(2)  # noqa: S311  # nothing secret
    paces = [pick.choice((0.0, 0.1, 1.0, 3.0)) + pick.random() for _ in series]
    if not rising:
        variants = [_lines(series, [pace * (1 + pick.random()) for pace in paces]) for _ in range(VARIANTS)]
        for number, moment in enumerate(range(start, end, step)):
            yield variants[number % VARIANTS].replace(b"@", b"%d" % moment)
    else:
        for number, moment in enumerate(range(start, end, step)):
            values = [int(pace * number * step) for pace in paces]
            yield _lines(series, values).replace(b"@", b"%d" % moment)
    yield b"# EOF\n"


def _lines(series: Sequence[str], values: Sequence[float]) -> bytes:
    pairs = zip(series, values, strict=True)
    return "".join(f"{one} {value:.7g} @\n" for one, value in pairs).encode()
