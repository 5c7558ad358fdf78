"""`make drills`: starts a stack of its own, or takes the one that an earlier run kept, and drills it."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import httpx

from claw_native.demo import Running
from claw_native.drills.faults import FAULTS
from claw_native.drills.means import Site
from claw_native.drills.runner import Drills, Outcome
from claw_native.drills.shrink import Shrink
from claw_native.errors import NativeError
from claw_native.settings import read_settings
from claw_native.tables import lined_up
from claw_native.testing import stack_environment, start_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from claw_native.drills.fault import Fault
    from claw_native.settings import Settings

FASTER: Final = 20.0
# Rates need a full window before they mean anything; alerts with guards more than that.
WARM_UP_SECONDS: Final = 15 * 60.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How drills are run.

    Attributes:
        only: Names of the faults to drill; all by default.
        faster: Every duration is divided by this.
        keep: Leave the stack running at the end, for the next run to take.
        result: The outcomes are written there as JSON.
    """

    only: Sequence[str] = ()
    faster: float = FASTER
    keep: bool = False
    result: Path | None = None


def drills(settings: Settings, options: Options, *, say: Callable[[str], None] = print) -> int:
    """Runs drills; returns 0 when every fault showed what is declared.

    Raises:
        NativeError: There is no such fault, or the stack does not start.
    """
    chosen = choose(options.only)
    shrink = Shrink(options.faster)
    started = time.monotonic()
    with drilled_stack(settings, options, say) as site:
        runner = Drills(site, shrink, say)
        say(f"Waiting {shrink.seconds(WARM_UP_SECONDS):.0f} s for rates to fill")
        time.sleep(shrink.seconds(WARM_UP_SECONDS))
        outcomes: list[Outcome] = []
        for outcome in runner.run(fault for fault in chosen if _possible(fault, say)):
            outcomes.append(outcome)
            write_result(options.result or settings.run_dir / "drills.json", outcomes, faster=options.faster)
    say("\n" + table(outcomes))
    wrong = [outcome for outcome in outcomes if outcome.faults]
    for outcome in wrong:
        say("\n".join([f"\n{outcome.fault}:", *(f"  {fault}" for fault in outcome.faults)]))
    taken = time.monotonic() - started
    verdict = f"FAILED, {len(wrong)} of" if wrong else "All as declared:"
    say(f"\n{verdict} {len(outcomes)} drills, {taken / 60:.1f} min, time {options.faster:g} times faster")
    return 1 if wrong else 0


def choose(names: Sequence[str]) -> list[Fault]:
    """Returns the faults with these names, in the order of the table; all when none is named.

    Raises:
        NativeError: There is no such fault.
    """
    known = {fault.name for fault in FAULTS}
    if unknown := sorted(set(names) - known):
        raise NativeError(f"no fault is named {', '.join(unknown)}; 'claw-native drills --list' shows all")
    return [fault for fault in FAULTS if not names or fault.name in names]


def listing() -> str:
    """Returns the table of faults."""
    rows = [("FAULT", "BREAKS", "MUST", "MAY")]
    rows += [
        (
            fault.name,
            fault.breaks,
            ", ".join(map(str, fault.must)),
            ", ".join(map(str, fault.may)),
        )
        for fault in FAULTS
    ]
    return lined_up(rows, indent="")


def _possible(fault: Fault, say: Callable[[str], None]) -> bool:
    if fault.needs_root and os.geteuid() != 0:
        say(f"{fault.name}: left out, only root can do it")
        return False
    return True


@contextmanager
def drilled_stack(settings: Settings, options: Options, say: Callable[[str], None]) -> Iterator[Site]:
    """Lends a running stack with less time in it.

    Raises:
        NativeError: It does not start.
    """
    run_dir = settings.run_dir / "drills"
    run_dir.mkdir(parents=True, exist_ok=True)
    place = replace(settings, run_dir=run_dir)
    running = Running.read(place)
    with httpx.Client(trust_env=False, timeout=5) as http:
        if running is not None:
            say(f"Taking the stack that runs in {run_dir} (process {running.pid})")
            yield Site(replace(place, ports=dict(running.ports)), http)
            return
        for folder in (place.data_dir, place.log_dir):
            shutil.rmtree(folder, ignore_errors=True)  # what earlier drills left would be compared with
        environment = stack_environment(run_dir, settings.tools_dir)
        say(f"Starting a stack in {run_dir}")
        command = ("claw_native.drills.stack", "--faster", f"{options.faster:g}")
        stack = start_stack(environment, run_dir / "stack.log", command=command)
        try:
            yield Site(read_settings(environment, repository=settings.repository), http)
        finally:
            if options.keep:
                say(f"Kept running: process {stack.process.pid}, in {run_dir}; SIGTERM ends it")
            else:
                stack.stop()


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns what a person reads at the end: times in seconds."""
    rows = [("FAULT", "RESULT", "DETECTED", "NOTIFIED", "RESOLVED", "CAME")]
    rows += [
        (
            outcome.fault,
            outcome.result,
            _seconds(outcome.detection_seconds),
            _seconds(outcome.notification_seconds),
            _seconds(outcome.resolution_seconds),
            ", ".join(outcome.came),
        )
        for outcome in outcomes
    ]
    return lined_up(rows, indent="")


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"


def write_result(path: Path, outcomes: Sequence[Outcome], *, faster: float) -> None:
    """Keeps what was seen, for machines."""
    document = {"faster": faster, "drills": [asdict(outcome) for outcome in outcomes]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
