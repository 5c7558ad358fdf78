"""Which metrics exist, and which labels each of them has.

Three sources: ``exporter/metrics.json`` and ``relay/metrics.json`` (ours), ``jsonnet/vendor-metrics.json``
(captured from the exporters beside ours) and what Prometheus makes itself (``up``, ``ALERTS``, ``scrape_*``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Labels = frozenset[str] | None
"""Label names of a series; ``None`` where they cannot be known."""

TARGET_LABELS: Final = frozenset({"job", "instance", "host"})
"""What every scrape target carries (``prometheus/targets``)."""

SOURCE_LABELS: Final[Mapping[str, frozenset[str]]] = {
    "blackbox-exporter": frozenset({"module", "target"}),
}
"""Labels that a scrape job adds by relabelling to whatever it scrapes."""

SYNTHETIC: Final = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
OPEN: Final = ("ALERTS", "ALERTS_FOR_STATE")
"""Series whose labels are those of other series."""

PARTS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "histogram": {"_bucket": frozenset({"le"}), "_sum": frozenset(), "_count": frozenset()},
    "summary": {"": frozenset({"quantile"}), "_sum": frozenset(), "_count": frozenset()},
}
"""Series names that one histogram or summary stands for: suffix -> labels it adds."""


@dataclass(frozen=True, slots=True)
class Series:
    """One name that may stand in an expression.

    Attributes:
        type: counter, gauge, untyped or recorded; the parts of a histogram are counters.
        labels: Label names, those of the scrape target included.
        values: Closed lists of label values (label name -> values).
    """

    type: str
    labels: Labels
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Catalogue:
    """Every series name that an expression may use."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self._series = dict(series)

    @classmethod
    def load(cls, *files: Path) -> Catalogue:
        """Read the files; a missing or malformed one raises ``OSError`` or ``ValueError``."""
        series = {name: Series("gauge", TARGET_LABELS) for name in SYNTHETIC}
        series |= {name: Series("gauge", None) for name in OPEN}
        for path in files:
            for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
                series |= dict(_expand(name, entry))
        return cls(series)

    def add(self, name: str, labels: Labels) -> None:
        """Learn a recording rule."""
        self._series[name] = Series("recorded", labels)

    def get(self, name: str) -> Series | None:
        """Return the series of that name, or nothing."""
        return self._series.get(name)

    def matching(self, pattern: str) -> list[str]:
        """Return the names that a ``__name__=~`` matcher selects."""
        compiled = re.compile(pattern)
        return [name for name in self._series if compiled.fullmatch(name)]

    def nearest(self, name: str) -> str:
        """Return words that point to the most similar name, empty where none is similar."""
        return did_you_mean(name, self._series)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the most similar known word, empty where none is similar."""
    close = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _expand(name: str, entry: Mapping[str, object]) -> Iterable[tuple[str, Series]]:
    """Turn one catalogue entry into the series it stands for."""
    kind = str(entry["type"])
    labels = frozenset(_strings(entry["labels"])) | TARGET_LABELS
    labels |= SOURCE_LABELS.get(str(entry.get("source", "")), frozenset())
    values = entry.get("values", {})
    if not isinstance(values, dict):
        raise TypeError(f"values of {name} must be an object, not {values!r}")
    closed = {label: frozenset(_strings(allowed)) for label, allowed in values.items()}
    if kind not in PARTS:
        yield name, Series(kind, labels, closed)
        return
    for suffix, added in PARTS[kind].items():
        yield name + suffix, Series("counter" if suffix else "gauge", labels | added, closed)


def _strings(value: object) -> list[str]:
    """Return a list of strings as such."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"expected a list of strings, not {value!r}")
    return value
