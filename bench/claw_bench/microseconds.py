"""Added processor time per request, from interleaved pairs.

Every variant has a process of its own, and in it the application without and with the variant. One process
works at a time: each repetition goes round all of them, and each sends the same requests to its two
applications, A B B A or B A A B in turn. So whatever else the machine does meets all variants alike, and what
counts is the difference within a pair. The processes are started anew a few times, with other hashes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from claw_bench.apps import APPS, TITLES
from claw_bench.report import microseconds_table, verdict
from claw_bench.variants import OURS, VARIANTS, chosen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

__all__ = ["Case", "Difference", "arguments", "measure", "report"]

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
# Every peer that records a histogram of durations costs at least so many times ours.
TIMES: Final = 10


class Case(NamedTuple):
    """One thing to measure.

    Attributes:
        variant: Name of the variant.
        multiprocess: With ``PROMETHEUS_MULTIPROC_DIR`` set.
    """

    variant: str
    multiprocess: bool = False


@dataclass(slots=True)
class Difference:
    """What one variant adds to one application, in microseconds per request.

    Attributes:
        bare: Times without the variant.
        added: Time with it minus time without it, for each repetition.
        error: Why the variant could not be measured, or nothing.
    """

    bare: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float:
        """The median of the differences."""
        return median(self.added)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and third quartile of the differences."""
        first, _, third = quantiles(self.added, n=4)
        return first, third


class _Worker:
    def __init__(self, app: str, case: Case, seed: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name != _DIRECTORY}
        self._folder = TemporaryDirectory()
        if case.multiprocess:
            environment[_DIRECTORY] = self._folder.name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "claw_bench.worker", app, case.variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | {"PYTHONHASHSEED": str(seed)},
        )
        self.error: str = self._answer().get("error", "")
        if case.multiprocess and not self.error and not list(Path(self._folder.name).glob("*.db")):
            self.error = "it writes no multiprocess files"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._folder, self._process:  # closes its input, which ends it, and waits
            pass

    def measure(self, requests: int, into: Difference) -> None:
        """Add one repetition."""
        assert self._process.stdin is not None
        print(requests, file=self._process.stdin, flush=True)
        times = self._answer()
        into.bare.append(times["bare"])
        into.added.append(times["measured"] - times["bare"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(
            self._process.stdout.readline() or '{"error": "the process ended"}'
        )
        return answer


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--app", action="append", choices=APPS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="the same")
    add_sizes(parser)


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Declare how much is measured."""
    parser.add_argument("--requests", type=int, default=60, help="requests of a run (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=50, help="pairs of a start (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=4, help="of the processes (default: %(default)s)")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the table."""
    results = {}
    for app in options.app or APPS:
        found = measure(
            app,
            [Case(name) for name in chosen(options.variant, app)],
            repetitions=options.repetitions,
            requests=options.requests,
            starts=options.starts,
        )
        results[app] = {case.variant: difference for case, difference in found.items()}
    return f"{microseconds_table(results)}\n\n{_verdict(results)}"


def _verdict(results: Mapping[str, Mapping[str, Difference]]) -> str:
    ratios = []
    for app, found in results.items():
        ours = found.get(OURS)
        if ours is None or not ours.added or ours.median <= 0:
            continue
        ratios += [
            (difference.median / ours.median, f"{VARIANTS[name].title}, {TITLES[app]}")
            for name, difference in found.items()
            if VARIANTS[name].histogram and name != OURS and difference.added
        ]
    if not ratios:
        return ""
    least, where = min(ratios)
    wanted = f"at most 1/{TIMES} of each peer that records a duration histogram"
    return verdict(wanted, f"1/{least:.1f} of the nearest ({where})", least >= TIMES)


def measure(
    app: str, cases: Iterable[Case], *, repetitions: int, requests: int, starts: int
) -> dict[Case, Difference]:
    """Measure variants on one application.

    Args:
        app: Name of the application.
        cases: What is measured.
        repetitions: Pairs of each start of the processes.
        requests: Requests of each part of a pair, of which there are four.
        starts: How often the processes are started.
    """
    results = {case: Difference() for case in cases}
    for seed in range(1, starts + 1):
        with ExitStack() as stack:
            workers = {case: stack.enter_context(_Worker(app, case, seed)) for case in results}
            for case, worker in workers.items():
                results[case].error = worker.error
            works = [(worker, results[case]) for case, worker in workers.items() if not worker.error]
            for _ in range(repetitions):
                for worker, into in works:
                    worker.measure(requests, into)
    return results
