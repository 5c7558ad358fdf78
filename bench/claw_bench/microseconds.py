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
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Difference", "measure"]


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
    def __init__(self, app: str, variant: str, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "claw_bench.worker", app, variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
        )
        self.error: str = self._answer().get("error", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes its input, which ends it, and waits
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


def measure(
    app: str, variants: Iterable[str], *, repetitions: int, requests: int, starts: int
) -> dict[str, Difference]:
    """Measure variants on one application.

    Args:
        app: Name of the application.
        variants: Names of the variants.
        repetitions: Pairs of each start of the processes.
        requests: Requests of each part of a pair, of which there are four.
        starts: How often the processes are started.
    """
    results = {name: Difference() for name in variants}
    for seed in range(1, starts + 1):
        with ExitStack() as stack:
            workers = {name: stack.enter_context(_Worker(app, name, seed)) for name in results}
            for name, worker in workers.items():
                results[name].error = worker.error
            works = [(worker, results[name]) for name, worker in workers.items() if not worker.error]
            for _ in range(repetitions):
                for worker, into in works:
                    worker.measure(requests, into)
    return results
