"""`make calm`: an hour of the demo in real time, in which nothing may fire but the heartbeats."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import httpx

from claw_native.drills.means import Site
from claw_native.drills.runner import describe
from claw_native.drills.watch import HEARTBEATS, look
from claw_native.errors import ServerError
from claw_native.settings import read_settings
from claw_native.testing import stack_environment, start_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_native.drills.watch import Sight
    from claw_native.settings import Settings

HOUR_SECONDS: Final = 3600.0
POLL_SECONDS: Final = 10.0
PROGRESS_SECONDS: Final = 300.0
# A heartbeat comes every minute; the receiver may be asked just before one.
HEARTBEAT_SECONDS: Final = 150.0


@dataclass(kw_only=True)
class Calm:
    """What an hour showed.

    Attributes:
        fired: Alerts that fired, with the seconds after the start at which each was seen first.
        unseen: How often Prometheus did not answer.
        silent: Seconds of the longest wait for a heartbeat.
    """

    fired: dict[str, float] = field(default_factory=dict)
    unseen: int = 0
    silent: float = 0.0

    @property
    def faults(self) -> list[str]:
        """What was wrong; a line each."""
        found = [f"{alert} fired after {seconds / 60:.0f} min" for alert, seconds in self.fired.items()]
        if self.silent > HEARTBEAT_SECONDS:
            found.append(f"no heartbeat arrived for {self.silent:.0f} s")
        if self.unseen:
            found.append(f"Prometheus did not answer {self.unseen} times")
        return found


def watch_calm(
    see: Callable[[], Sight],
    *,
    seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Calm:
    """Looks until the time is over; returns what was seen."""
    calm, started = Calm(), clock()
    heard, beat, progress = started, "", started + PROGRESS_SECONDS
    while clock() - started < seconds:
        sight = see()
        calm.unseen += sight.firing is None
        for labels in sight.firing or ():
            calm.fired.setdefault(describe(labels), clock() - started)
        beats = [row["at"] for row in sight.notified or () if row["labels"].get("alertname") in HEARTBEATS]
        if beats and beats[0] != beat:
            heard, beat = clock(), beats[0]
        calm.silent = max(calm.silent, clock() - heard)
        if clock() > progress:
            say(f"  {(clock() - started) / 60:3.0f} min: {', '.join(calm.fired) or 'nothing'} fired")
            progress += PROGRESS_SECONDS
        sleep(POLL_SECONDS)
    return calm


def calm(settings: Settings, *, minutes: float = 60, say: Callable[[str], None] = print) -> int:
    """Runs a demo of its own and watches it; returns 0 when nothing fired.

    Raises:
        NativeError: The demo does not start, or ends.
    """
    run_dir = settings.run_dir / "calm"
    place = replace(settings, run_dir=run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    for folder in (place.etc_dir, place.data_dir, place.log_dir):
        shutil.rmtree(folder, ignore_errors=True)
    environment = stack_environment(run_dir, settings.tools_dir)
    say(f"Starting a demo in {run_dir}")
    stack = start_stack(environment, run_dir / "stack.log")
    try:
        with httpx.Client(trust_env=False, timeout=20) as http:
            site = Site(read_settings(environment, repository=settings.repository), http)
            say(f"Watching for {minutes:g} min: nothing but {' and '.join(sorted(HEARTBEATS))} may fire")
            found = watch_calm(lambda: look(site), seconds=60 * minutes, say=say)
        if stack.process.poll() is not None:
            raise ServerError(f"the demo ended by itself; its output is in {stack.output}")
    finally:
        stack.stop()
    say("\n".join(["", *found.faults]) if found.faults else "Calm.")
    return 1 if found.faults else 0
