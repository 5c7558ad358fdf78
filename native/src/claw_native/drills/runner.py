"""Runs drills one after the other: calm, broken, alerts, mended, calm again."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from claw_native.drills.fault import Told
from claw_native.drills.watch import Sight, Watch, look
from claw_native.errors import NativeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from claw_native.drills.fault import Fault
    from claw_native.drills.means import Site
    from claw_native.drills.shrink import Shrink

POLL_SECONDS: Final = 0.4
PROGRESS_SECONDS: Final = 10.0
# The longest window (15 min) with the longest hold (10 min) and half as much again; all of it shrinks.
DETECTION_SECONDS: Final = 40 * 60.0
# The longest window that is drilled (1 h) must pass, and keep_firing_for.
RESOLUTION_SECONDS: Final = 75 * 60.0
NOTIFICATION_SECONDS: Final = 6 * 60.0
# What the programs themselves need, however fast time passes.
GRACE_SECONDS: Final = 30.0


@dataclass(kw_only=True)
class Outcome:
    """What one drill showed.

    Attributes:
        fault: The name of the fault.
        must: Alerts that had to come.
        came: Names of all alerts that came, in their order.
        detection_seconds: From the injection until the last of them fired; None: one did not.
        notification_seconds: The same, until it arrived at the receiver.
        resolution_seconds: From healing until nothing fired any more.
        faults: What was not as declared; a line each.
    """

    fault: str
    must: list[str]
    came: list[str] = field(default_factory=list)
    detection_seconds: float | None = None
    notification_seconds: float | None = None
    resolution_seconds: float | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """What a table shows."""
        return "FAILED" if self.faults else "ok"


@dataclass(frozen=True)
class Drills:
    """Runs drills at one site.

    Args:
        site: The running stack.
        shrink: How much faster time passes there.
        say: Receives progress.
        see: Looks once.
        sleep: Waits.
        clock: Seconds since 1970.
    """

    site: Site
    shrink: Shrink
    say: Callable[[str], None]
    see: Callable[[Site], Sight] = look
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    def run(self, faults: Iterable[Fault]) -> Iterator[Outcome]:
        """Runs all of them; yields what each showed."""
        for fault in faults:
            outcome = self.run_one(fault)
            self.say("\n".join([f"  {outcome.result}", *(f"    {line}" for line in outcome.faults)]))
            yield outcome

    def calm_down(self) -> list[str]:
        """Waits until nothing fires; returns the names of what still does."""
        watch = Watch((), self.clock(), self.clock)
        self._until(watch, lambda: not watch.firing, RESOLUTION_SECONDS, "calm")
        return sorted({labels["alertname"] for labels in watch.firing})

    def run_one(self, fault: Fault) -> Outcome:
        """Breaks, waits, mends, waits."""
        outcome = Outcome(fault=fault.name, must=[str(expected) for expected in fault.must])
        if left := self.calm_down():
            outcome.faults.append(f"not calm before it: {', '.join(left)}")
            return outcome
        self.say(f"{fault.name}: {fault.breaks}")
        watch = Watch(fault.must, self.clock(), self.clock)
        try:
            with ExitStack() as broken:
                for means in fault.means:
                    broken.enter_context(means(self.site))
                self._await_alerts(fault, watch)
        except NativeError as error:
            outcome.faults.append(str(error))
        mended = self.clock()
        self._until(watch, lambda: not watch.firing, RESOLUTION_SECONDS, "resolved")
        if not watch.firing:
            outcome.resolution_seconds = self.clock() - mended
        # What could not be told while it was broken must be told now.
        self._until(watch, lambda: not watch.silent or bool(watch.missing), NOTIFICATION_SECONDS, "notified")
        self._judge(fault, watch, outcome)
        return outcome

    def _await_alerts(self, fault: Fault, watch: Watch) -> None:
        self._until(watch, lambda: not watch.missing, DETECTION_SECONDS, "fired", extra=fault.slow_seconds)

        def told() -> bool:
            return not [expected for expected in watch.silent if expected.told is Told.AT_ONCE]

        if not watch.missing:
            self._until(watch, told, NOTIFICATION_SECONDS, "notified")

    def _until(
        self,
        watch: Watch,
        done: Callable[[], bool],
        seconds: float,
        wanted: str,
        *,
        extra: float = 0,
    ) -> None:
        deadline = self.clock() + self.shrink.seconds(seconds) + GRACE_SECONDS + extra
        progress = self.clock() + PROGRESS_SECONDS
        watch.note(self.see(self.site))
        while not done() and self.clock() < deadline:
            if self.clock() > progress:
                self.say(self._progress(watch, wanted))
                progress = self.clock() + PROGRESS_SECONDS
            self.sleep(POLL_SECONDS)
            watch.note(self.see(self.site))

    def _progress(self, watch: Watch, wanted: str) -> str:
        firing = ", ".join(sorted({labels["alertname"] for labels in watch.firing})) or "nothing"
        missing = ", ".join(str(expected) for expected in watch.missing)
        waits = f"; not yet {missing}" if missing and wanted == "fired" else ""
        return f"  {self.clock() - watch.started:4.0f} s until {wanted}: {firing} fires{waits}"

    def _judge(self, fault: Fault, watch: Watch, outcome: Outcome) -> None:
        outcome.came = watch.names()
        outcome.faults += [f"{expected} did not fire" for expected in watch.missing]
        outcome.faults += [
            f"{expected} was not notified" for expected in watch.silent if expected in watch.fired
        ]
        for labels in watch.came:
            if not fault.expects(dict(labels)):
                outcome.faults.append(f"unexpected {describe(dict(labels))}")
        if watch.firing:
            names = sorted({labels["alertname"] for labels in watch.firing})
            outcome.faults.append(f"still firing: {', '.join(names)}")
        if not watch.missing:
            outcome.detection_seconds = max(watch.fired.values(), default=0.0)
        if not watch.silent:
            outcome.notification_seconds = max(watch.notified.values(), default=0.0)


def describe(labels: Mapping[str, str]) -> str:
    """Returns an alert as PromQL would name it, with the labels that tell it from another of its name."""
    text = ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items()) if key in TELLING)
    return f"{labels['alertname']}{{{text}}}"


# Labels that tell two alerts of one name apart; the others say where it is shown and who answers for it.
TELLING: Final = frozenset(
    {
        "severity",
        "job",
        "window",
        "instance",
        "provider",
        "model",
        "agent",
        "tool",
        "pool",
        "queue",
        "problem",
        "probe",
        "mountpoint",
        "integration",
        "state",
        "guard",
        "from_model",
        "operation",
        "resource",
    }
)
