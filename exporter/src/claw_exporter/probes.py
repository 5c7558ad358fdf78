"""Runs collectors in the background, and serves what they last read.

A probe is a collector with its schedule and its state. A scrape reads only that state: no target can slow it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from claw_exporter import catalog
from claw_exporter.collectors.base import Collector, Labels, ProbeError, Report, classify

if TYPE_CHECKING:
    from claw_exporter.spec import Metric
    from claw_exporter.store import Child, Store

# A run that was cut off gets this long to clean up after itself; then the next one starts without it.
GRACE_SECONDS: Final = 1.0

_log: Final = logging.getLogger("claw_exporter.probes")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a probe; replaced as a whole, so that a scrape (another thread) never sees half.

    Attributes:
        runs: Ended runs, also those that failed.
        error_type: Why the last run failed; empty where it did not, None before the first.
        duration_seconds: Of the last run.
        report: What the last successful run read.
        succeeded_at: When that was, by the probe's clock.
        changed_at: Since when ``error_type`` is what it is.
    """

    runs: int = 0
    error_type: str | None = None
    duration_seconds: float = math.nan
    report: Report | None = None
    succeeded_at: float = -math.inf
    changed_at: float = -math.inf


class Probe:
    """A collector, its schedule and its state.

    Args:
        collector: What to run.
        stale_after_seconds: Numbers older than the interval and this are not served any more.
        clock: Seconds, steadily growing.
    """

    def __init__(
        self, collector: Collector, *, stale_after_seconds: float, clock: Clock = time.monotonic
    ) -> None:
        self.collector: Final = collector
        self.schedule: Final = collector.schedule
        self.state = State()
        self.errors: Final[Counter[str]] = Counter()
        self.dropped_rows = 0
        self.stale_after_seconds = stale_after_seconds
        self._clock = clock
        self._busy = False
        self._retired = False
        self._started_at = clock()
        self._unfinished: asyncio.Task[Report] | None = None

    @property
    def age_seconds(self) -> float:
        """Age of the served numbers; infinite where none ever came."""
        return self._clock() - self.state.succeeded_at

    @property
    def settled(self) -> bool:
        """Whether the probe ran once, or had time to."""
        return self.state.runs > 0 or self._clock() - self._started_at > self.schedule.timeout_seconds

    def series(self, metric: str) -> Iterable[tuple[Labels, float]]:
        """Give the numbers of a metric, as long as they are not too old."""
        report = self.state.report
        if report is None or self.age_seconds > self.schedule.interval_seconds + self.stale_after_seconds:
            return ()
        return report.series.get(metric, {}).items()

    async def run_for_ever(self) -> None:
        """Run at the interval; after a failure to connect, sooner."""
        while not self._retired:
            started = self._clock()
            await self.run()
            pause = self.schedule.interval_seconds - (self._clock() - started)
            if self.state.error_type:
                pause = min(pause, self.collector.retry_seconds() or pause)
            await asyncio.sleep(0.0 if self._retired else max(0.0, pause))

    def retire(self) -> bool:
        """Start no further run; tell whether one is under way, which may end."""
        self._retired = True
        return self._busy

    async def run(self) -> None:
        """Run once, with the deadline, and note how it went. Does not raise."""
        async with self.collector.turn:
            self._busy = True
            started = self._clock()
            try:
                report = await self._collect()
            except Exception as error:  # noqa: BLE001 - the process's edge: counted, and logged when new
                self.collector.abort()
                self._failed(error, started)
            else:
                self._succeeded(report, started)
            finally:
                self._busy = False

    async def _collect(self) -> Report:
        if self._unfinished is not None and not self._unfinished.done():
            raise ProbeError("timeout", "an earlier run was cut off and still has not ended")
        task = self._unfinished = asyncio.create_task(self.collector.collect())
        try:
            done, _ = await asyncio.wait({task}, timeout=self.schedule.timeout_seconds)
            if done:
                return task.result()
        finally:
            if not task.done():
                await self._cut_off(task)
        raise ProbeError("timeout", f"no answer within {self.schedule.timeout_seconds:g} s")

    async def _cut_off(self, task: asyncio.Task[Report]) -> None:
        # Drivers talk to the target even while they are cancelled; without a connection they cannot wait.
        self.collector.abort()
        task.cancel()
        task.add_done_callback(_forget_outcome)
        await asyncio.wait({task}, timeout=GRACE_SECONDS)

    def _succeeded(self, report: Report, started: float) -> None:
        now, before = self._clock(), self.state
        self.dropped_rows += report.dropped_rows
        changed_at = now if before.error_type != "" else before.changed_at
        self.state = State(before.runs + 1, "", now - started, report, now, changed_at)
        if before.error_type:
            fields = {"probe": self.schedule.name, "failed_for_seconds": round(now - before.changed_at, 1)}
            _log.info("probe recovered", extra={"fields": fields})

    def _failed(self, error: Exception, started: float) -> None:
        now, before = self._clock(), self.state
        error_type = classify(error, self.collector.errors)
        self.errors[error_type] += 1
        changed_at = before.changed_at if before.error_type else now
        self.state = State(
            before.runs + 1, error_type, now - started, before.report, before.succeeded_at, changed_at
        )
        if error_type != before.error_type:
            fields = {"probe": self.schedule.name, "error_type": error_type, "error": one_line(error)}
            _log.warning(
                "probe failed", extra={"fields": fields}, exc_info=error if error_type == "internal" else None
            )


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the probes of a process; names, in their order.

    Attributes:
        kept: They are as they were: connection, numbers and counts.
        started: They are new, or are made from other settings than before.
        ended: They are gone, or started anew.
    """

    kept: tuple[str, ...]
    started: tuple[str, ...]
    ended: tuple[str, ...]


class Probes:
    """All probes of a process.

    Args:
        collectors: What to run.
        stale_after_seconds: See `Probe`.
        clock: Seconds, steadily growing.

    Attributes:
        all: They, in the order of the settings.
    """

    def __init__(
        self, collectors: Iterable[Collector], *, stale_after_seconds: float, clock: Clock = time.monotonic
    ) -> None:
        self.all: tuple[Probe, ...] = ()
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Probe, asyncio.Task[None]] = {}
        self.replace(collectors, stale_after_seconds=stale_after_seconds)

    @property
    def ready(self) -> bool:
        """Whether every probe ran once, or had time to."""
        return all(probe.settled for probe in self.all)

    def replace(self, collectors: Iterable[Collector], *, stale_after_seconds: float) -> Change:
        """Have these collectors and no others; a probe whose collector has an equal origin goes on."""
        before = {probe.collector.origin: probe for probe in self.all}
        self.all = tuple(
            before.get(collector.origin)
            or Probe(collector, stale_after_seconds=stale_after_seconds, clock=self._clock)
            for collector in collectors
        )
        known = set(before.values())
        for probe in self.all:
            probe.stale_after_seconds = stale_after_seconds
        kept = [probe for probe in self.all if probe in known]
        started = [probe for probe in self.all if probe not in known]
        ended = [probe for probe in before.values() if probe not in set(self.all)]
        links = {probe.collector.link for probe in self.all}
        for probe in ended:
            self._end(probe, shared=probe.collector.link in links)
        if self._group is not None:
            self._start(self._group, started)
        return Change(_names(kept), _names(started), _names(ended))

    async def run(self) -> None:
        """Run every probe until cancelled; then let go of every target."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start(group, self.all)
                await asyncio.Event().wait()  # until cancelled, also where there is no probe
        finally:
            self._group = None
            for probe in self.all:
                probe.collector.abort()
            await asyncio.sleep(0)  # what abort() put off to the event loop

    def _start(self, group: asyncio.TaskGroup, probes: Iterable[Probe]) -> None:
        for probe in probes:
            task = group.create_task(probe.run_for_ever(), name=probe.schedule.name)
            self._tasks[probe] = task
            task.add_done_callback(partial(self._forget, probe))

    def _forget(self, probe: Probe, _: object) -> None:
        del self._tasks[probe]

    def _end(self, probe: Probe, *, shared: bool) -> None:
        """End a probe; its last run may end by itself where the connection is needed further."""
        task = self._tasks.get(probe)
        under_way = probe.retire()
        if task is not None and not (shared and under_way):
            task.cancel()
        if not shared:
            probe.collector.abort()

    def register(self, store: Store) -> None:
        """Let ``store`` show what the probes of now read, and the probes themselves."""
        probes = self.all
        for metric, value in _ABOUT_PROBES.items():
            store.derive(metric, _reader(probes, value))
        store.derive(catalog.PROBE_ERRORS, _error_series(probes))
        for metric in dict.fromkeys(metric for probe in probes for metric in probe.collector.metrics):
            store.derive(metric, _collected(probes, metric.name))
        for up in dict.fromkeys(probe.collector.up for probe in probes):
            if up is not None:
                store.derive(up, _of_targets([probe for probe in probes if probe.collector.up is up], _is_up))
        for took in dict.fromkeys(probe.collector.took for probe in probes):
            if took is not None:
                store.derive(
                    took, _of_targets([probe for probe in probes if probe.collector.took is took], _duration)
                )


def _names(probes: Iterable[Probe]) -> tuple[str, ...]:
    return tuple(probe.schedule.name for probe in probes)


def _is_up(probe: Probe) -> float:
    return float(probe.state.error_type == "")


def _duration(probe: Probe) -> float:
    return probe.state.duration_seconds


_Series = Callable[[], list[tuple[Labels, "Child"]]]


def _collected(probes: Sequence[Probe], metric: str) -> _Series:
    return lambda: [(labels, [value]) for probe in probes for labels, value in probe.series(metric)]


def _of_targets(probes: Sequence[Probe], value: Callable[[Probe], float]) -> _Series:
    return lambda: [(probe.collector.up_labels, [value(probe)]) for probe in probes if probe.state.runs]


def _error_series(probes: Sequence[Probe]) -> _Series:
    # All types from the start, at 0: increase() does not see a counter that appears with its first error.
    return lambda: [
        ((probe.schedule.name, error_type), [float(probe.errors[error_type])])
        for probe in probes
        for error_type in probe.collector.error_types
    ]


_ABOUT_PROBES: Final[dict[Metric, Callable[[Probe], float]]] = {
    catalog.PROBE_SUCCESS: _is_up,
    catalog.PROBE_DURATION: _duration,
    catalog.PROBE_AGE: lambda probe: probe.age_seconds,
    catalog.PROBE_INTERVAL: lambda probe: probe.schedule.interval_seconds,
    catalog.PROBE_DROPPED_ROWS: lambda probe: float(probe.dropped_rows),
}


def _reader(probes: Sequence[Probe], value: Callable[[Probe], float]) -> _Series:
    return lambda: [
        ((probe.schedule.name,), [number]) for probe in probes if not math.isnan(number := value(probe))
    ]


def _forget_outcome(task: asyncio.Task[Report]) -> None:
    # Read here, so that asyncio does not complain about an exception that nobody asked for.
    with suppress(asyncio.CancelledError, Exception):
        task.exception()


def one_line(error: BaseException) -> str:
    """Give an exception in one line."""
    words = " ".join(str(error).split())
    if isinstance(error, ProbeError):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
