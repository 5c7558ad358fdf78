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
        self._clock = clock
        self._keep_seconds = self.schedule.interval_seconds + stale_after_seconds
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
        if report is None or self.age_seconds > self._keep_seconds:
            return ()
        return report.series.get(metric, {}).items()

    async def run_for_ever(self) -> None:
        """Run at the interval; after a failure to connect, sooner."""
        while True:
            started = self._clock()
            await self.run()
            pause = self.schedule.interval_seconds - (self._clock() - started)
            if self.state.error_type:
                pause = min(pause, self.collector.retry_seconds() or pause)
            await asyncio.sleep(max(0.0, pause))

    async def run(self) -> None:
        """Run once, with the deadline, and note how it went. Does not raise."""
        async with self.collector.turn:
            started = self._clock()
            try:
                report = await self._collect()
            except Exception as error:  # noqa: BLE001 - the process's edge: counted, and logged when new
                self.collector.abort()
                self._failed(error, started)
            else:
                self._succeeded(report, started)

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


class Probes:
    """All probes of a process.

    Args:
        collectors: What to run.
        stale_after_seconds: See `Probe`.
        clock: Seconds, steadily growing.
    """

    def __init__(
        self, collectors: Iterable[Collector], *, stale_after_seconds: float, clock: Clock = time.monotonic
    ) -> None:
        self.all: Final = tuple(
            Probe(collector, stale_after_seconds=stale_after_seconds, clock=clock) for collector in collectors
        )

    @property
    def ready(self) -> bool:
        """Whether every probe ran once, or had time to."""
        return all(probe.settled for probe in self.all)

    async def run(self) -> None:
        """Run every probe until cancelled; then let go of every target."""
        try:
            async with asyncio.TaskGroup() as group:
                for probe in self.all:
                    group.create_task(probe.run_for_ever(), name=probe.schedule.name)
                await asyncio.Event().wait()  # until cancelled, also where there is no probe
        finally:
            for probe in self.all:
                probe.collector.abort()
            await asyncio.sleep(0)  # what abort() put off to the event loop

    def register(self, store: Store) -> None:
        """Let ``store`` show what the probes read, and the probes themselves."""
        for metric, value in _ABOUT_PROBES.items():
            store.derive(metric, _reader(self.all, value))
        store.derive(catalog.PROBE_ERRORS, self._error_series)
        for metric in dict.fromkeys(metric for probe in self.all for metric in probe.collector.metrics):
            store.derive(metric, self._collected(metric.name))
        for up in dict.fromkeys(probe.collector.up for probe in self.all):
            if up is not None:
                store.derive(up, self._ups(up))

    def _collected(self, metric: str) -> Callable[[], list[tuple[Labels, Child]]]:
        return lambda: [(labels, [value]) for probe in self.all for labels, value in probe.series(metric)]

    def _ups(self, up: Metric) -> Callable[[], list[tuple[Labels, Child]]]:
        probes = [probe for probe in self.all if probe.collector.up is up]
        return lambda: [
            (probe.collector.up_labels, [float(probe.state.error_type == "")])
            for probe in probes
            if probe.state.runs
        ]

    def _error_series(self) -> list[tuple[Labels, Child]]:
        # All types from the start, at 0: increase() does not see a counter that appears with its first error.
        return [
            ((probe.schedule.name, error_type), [float(probe.errors[error_type])])
            for probe in self.all
            for error_type in catalog.PROBE_ERROR_TYPES
        ]


_ABOUT_PROBES: Final[dict[Metric, Callable[[Probe], float]]] = {
    catalog.PROBE_SUCCESS: lambda probe: float(probe.state.error_type == ""),
    catalog.PROBE_DURATION: lambda probe: probe.state.duration_seconds,
    catalog.PROBE_AGE: lambda probe: probe.age_seconds,
    catalog.PROBE_INTERVAL: lambda probe: probe.schedule.interval_seconds,
    catalog.PROBE_DROPPED_ROWS: lambda probe: float(probe.dropped_rows),
}


def _reader(
    probes: Sequence[Probe], value: Callable[[Probe], float]
) -> Callable[[], list[tuple[Labels, Child]]]:
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
