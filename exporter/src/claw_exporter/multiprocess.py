"""What all worker processes of an application have counted, read from the files of each.

`Reader` adds the workers up: counters and histograms of all that ever were in this run of the application,
gauges of those that live. A key is parsed once per file; a scrape then only fetches numbers.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from dataclasses import dataclass, replace
from operator import add, attrgetter, itemgetter
from typing import TYPE_CHECKING, Final

from claw_exporter.catalog import CATALOG, WORKERS
from claw_exporter.spec import Counter, Gauge, Histogram, Metric, Workers
from claw_exporter.workerfiles import FORGOTTEN, HEADER_BYTES, LOCK_NAME, Holder, entries, living

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from os import DirEntry

__all__ = ["Reader"]

_MODES: Final[dict[str, Workers]] = {"livesum": "sum", "livemax": "max", "liveall": "each"}
_OURS: Final = "_claw-"
_HEADER: Final = struct.Struct("i4x")
_IN_ORDER: Final = {spec.name: place for place, spec in enumerate(CATALOG)}

Numbers = list[float]
Series = dict[tuple[str, ...], Numbers]


@dataclass(slots=True)
class _Row:
    """One series in one file.

    Attributes:
        name: Of its metric.
        labels: Names and values.
        help: Of its metric, where this series carries it.
        bounds: Of a histogram, its buckets' upper ones.
        flag: At which double of the file stands whether it is forgotten.
        fetch: Picks its numbers from the file's doubles.
        spec: What it was shown as the last time; from that follow the two below.
        key: Its labels' values.
        wanted: The buckets that its numbers have to be put into, where they are others.
    """

    name: str
    labels: dict[str, str]
    help: str
    bounds: tuple[float, ...]
    flag: int
    fetch: Callable[[Sequence[float]], tuple[float, ...]]
    spec: Metric | None = None
    key: tuple[str, ...] = ()
    wanted: tuple[float, ...] | None = None

    def show_as(self, spec: Metric, pid: str) -> None:
        """Derive what depends on how the metric is shown."""
        self.spec = spec
        labels = {**self.labels, "pid": pid} if "pid" in spec.labels else self.labels
        self.key = tuple([labels.get(name, "") for name in spec.labels])
        self.wanted = None
        if self.bounds and isinstance(spec, Histogram) and self.bounds != spec.buckets:
            self.wanted = spec.buckets


class _Layout:
    """What one file has, as far as it was parsed.

    Attributes:
        kind: ``counter``, ``histogram`` or ``gauge``.
        mode: What several workers make of a gauge.
        pid: Whose gauge it is.
        rows: Its series.
        end: Up to which byte.
    """

    def __init__(self, name: str) -> None:
        parts = name.split("_")
        self.kind = parts[0]
        self.mode: Workers = _MODES.get(parts[1], "sum")
        self.pid = parts[2].removesuffix(".db") if self.kind == "gauge" else ""
        self.rows: list[_Row] = []
        self.end = HEADER_BYTES

    def extend(self, data: bytes) -> None:
        """Parse what was added since the last time."""
        start, self.end = self.end, len(data)
        buckets: dict[tuple[object, ...], _Buckets] = {}
        for family, sample, labels, help_text, place in entries(data, start, len(data)):
            if self.kind != "histogram":
                self.rows.append(_Row(sample, labels, help_text, (), place + 1, _one(place)))
                continue
            bound = labels.pop("le", None)
            key = (family, *labels.items())
            known = buckets.setdefault(key, _Buckets(family, labels))
            known.help = known.help or help_text
            if known.add(bound, place):
                self.rows.append(buckets.pop(key).row())


class _Buckets:
    """A series of a histogram while its file is parsed; buckets and sum come together, in any order."""

    def __init__(self, name: str, labels: dict[str, str]) -> None:
        self.name = name
        self.help = ""
        self._labels = labels
        self._places: dict[float, int] = {}
        self._sum = -1

    def add(self, bound: str | None, place: int) -> bool:
        """Note where a number stands; return whether that was the last."""
        if bound is None:
            self._sum = place
        else:
            self._places[float(bound)] = place
        return self._sum >= 0 and float("inf") in self._places

    def row(self) -> _Row:
        bounds = sorted(self._places)
        places = [*(self._places[bound] for bound in bounds), self._sum]
        return _Row(
            self.name, self._labels, self.help, tuple(bounds[:-1]), places[0] + 1, itemgetter(*places)
        )


def _one(place: int) -> Callable[[Sequence[float]], tuple[float, ...]]:
    return lambda doubles: (doubles[place],)


class Reader:
    """Reads the files of all workers in a directory; for one thread at a time.

    Args:
        directory: Where they are.
        known: Returns what a metric of a name is, where this process has it.
        fault: Called where a file cannot be read; the others are.
    """

    def __init__(
        self, directory: str, known: Callable[[str], Metric | None], fault: Callable[[], None]
    ) -> None:
        self._directory = directory
        self._known = known
        self._fault = fault
        self._shown: dict[str, Metric] = {}
        self._layouts: dict[tuple[str, int], _Layout] = {}

    def snapshot(self) -> list[tuple[Metric, list[tuple[tuple[str, ...], Numbers]]]]:
        """Return every metric that has series, and how many workers live.

        Raises:
            OSError: The directory cannot be read.
        """
        with os.scandir(self._directory) as found:
            files = sorted(found, key=attrgetter("name"))
        served = _serving(_holders(files))
        total = _Total(self._known, self._shown)
        layouts: dict[tuple[str, int], _Layout] = {}
        for file in files:
            name = file.name
            token = name.rpartition(_OURS)[2].removesuffix(".db")
            if _OURS not in name or (name.startswith("gauge_") and token not in served):
                continue
            try:
                self._add(file, total, layouts)
            except (OSError, ValueError, struct.error):  # the last: cut off in the middle of a number
                self._fault()
        self._layouts = layouts
        workers = {entry.pid for entry in served.values()} - _helpers(served)
        return [*total.snapshot(), (WORKERS, [((), [float(len(workers))])])]

    def _add(self, file: DirEntry[str], total: _Total, layouts: dict[tuple[str, int], _Layout]) -> None:
        read = _read(file)
        if read is not None:
            identity, data = read
            layout = self._layouts.get((file.name, identity))
            if layout is None or layout.end > len(data):  # a name and an inode may both come back
                layout = _Layout(file.name)
            layout.extend(data)
            layouts[file.name, identity] = layout
            total.add(layout, memoryview(data).cast("d"))


class _Total:
    """The workers, added up."""

    def __init__(self, known: Callable[[str], Metric | None], shown: dict[str, Metric]) -> None:
        self._known = known
        self._shown = shown
        self._metrics: dict[str, tuple[Metric, Series]] = {}

    def add(self, layout: _Layout, doubles: Sequence[float]) -> None:
        combine = max if layout.kind == "gauge" and layout.mode == "max" else add
        for row in layout.rows:
            if doubles[row.flag] == FORGOTTEN:
                continue
            spec, series = self._metrics.get(row.name) or self._begin(layout, row)
            if row.spec is not spec:
                row.show_as(spec, layout.pid)
            numbers = row.fetch(doubles)
            if row.wanted is not None:
                numbers = _rebinned(row.bounds, numbers, row.wanted)
            before = series.get(row.key)
            series[row.key] = list(numbers) if before is None else list(map(combine, before, numbers))

    def snapshot(self) -> list[tuple[Metric, list[tuple[tuple[str, ...], Numbers]]]]:
        found = sorted(self._metrics.values(), key=lambda entry: _IN_ORDER.get(entry[0].name, len(_IN_ORDER)))
        return [(spec, list(series.items())) for spec, series in found]

    def _begin(self, layout: _Layout, row: _Row) -> tuple[Metric, Series]:
        spec = self._known(row.name)
        if spec is None or spec.type != layout.kind or not set(spec.labels) >= set(row.labels):
            spec = _described(layout, row)
        if isinstance(spec, Gauge) and spec.workers == "each":
            spec = replace(spec, labels=(*spec.labels, "pid"))
        # The same object as the last time: so a row sees at a glance that what it has derived still holds.
        if spec != self._shown.get(row.name):
            self._shown[row.name] = spec
        self._metrics[row.name] = self._shown[row.name], {}
        return self._metrics[row.name]


def _described(layout: _Layout, row: _Row) -> Metric:
    """Describe a metric that only another worker has, from what its file says."""
    labels = tuple(row.labels)
    if layout.kind == "histogram":
        return Histogram(name=row.name, help=row.help, labels=labels, buckets=row.bounds)
    if layout.kind == "gauge":
        return Gauge(name=row.name, help=row.help, labels=labels, workers=layout.mode)
    return Counter(name=row.name, help=row.help, labels=labels)


def _rebinned(
    bounds: Sequence[float], numbers: Sequence[float], wanted: Sequence[float]
) -> tuple[float, ...]:
    """Put a histogram's counts into other buckets: those of workers that run an older release."""
    counts = [0.0] * (len(wanted) + 1)
    for bound, number in zip((*bounds, float("inf")), numbers, strict=False):
        counts[bisect_left(wanted, bound)] += number
    return (*counts, numbers[-1])


def _read(file: DirEntry[str]) -> tuple[int, bytes] | None:
    """Return a file's identity and the used part of it; None where it was removed in the meantime."""
    try:
        number = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        used = _HEADER.unpack(os.pread(number, HEADER_BYTES, 0))[0]
        if used < HEADER_BYTES:
            raise ValueError(f"{file.path} is damaged: it says that {used} bytes of it are used")
        # In one piece: to put two together costs ten times the reading.
        return os.fstat(number).st_ino, os.pread(number, used, 0)
    finally:
        os.close(number)


def _holders(files: Iterable[DirEntry[str]]) -> dict[str, Holder]:
    holders = {}
    for file in files:
        match = LOCK_NAME.fullmatch(file.name)
        if match and (entry := living(file)):
            holders[match[1]] = entry
    return holders


def _serving(living: dict[str, Holder]) -> dict[str, Holder]:
    """Leave out what only started the others: gunicorn with ``--preload``, ``uvicorn.run(workers=...)``."""
    parents = {entry.parent for entry in living.values()}
    return {token: entry for token, entry in living.items() if entry.serving or entry.pid not in parents}


def _helpers(living: dict[str, Holder]) -> set[int]:
    """Return processes that a worker has started for itself."""
    serving = {entry.pid for entry in living.values() if entry.serving}
    return {entry.pid for entry in living.values() if entry.parent in serving}
