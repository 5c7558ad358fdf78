"""Added instructions, counted by valgrind's callgrind: they do not depend on the machine's load.

They do depend on the interpreter: a limit names its version.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from claw_bench.apps import APPS
from claw_bench.report import instructions_table, verdict
from claw_bench.variants import OURS, VARIANTS, chosen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["CountError", "Instructions", "arguments", "count", "count_runs", "missing", "report"]

LIMIT: Final = 20_000
_VALGRIND: Final = ("valgrind", "--tool=callgrind")


class CountError(Exception):
    """Instructions could not be counted; the text says why."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of one request.

    Attributes:
        bare: Without the variant.
        measured: With it.
    """

    bare: int
    measured: int

    @property
    def added(self) -> int:
        """What the variant adds."""
        return self.measured - self.bare


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--app", action="append", choices=APPS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="the same")
    parser.add_argument("--requests", type=int, default=100, help="requests of a run (default: %(default)s)")


def report(options: argparse.Namespace) -> str:
    """Count, and return a table for each application."""
    if reason := missing():
        return f"Skipped: {reason}."
    parts = []
    for app in options.app or ("starlette",):
        counts: dict[str, Instructions | CountError] = {}
        for name in chosen(options.variant, app):
            try:
                counts[name] = count(app, name, requests=options.requests)
            except CountError as error:
                counts[name] = error
        parts.append(f"{app}:\n\n{instructions_table(counts)}")
        ours = counts.get(OURS)
        if app == "starlette" and isinstance(ours, Instructions):
            parts.append(
                verdict(f"at most {LIMIT:,} added instructions", f"{ours.added:,}", ours.added <= LIMIT)
            )
    return "\n\n".join(parts)


def missing() -> str:
    """Return why instructions cannot be counted on this machine, or nothing."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: instructions are not counted"
    return ""


def count(app: str, variant: str, *, requests: int = 100, multiprocess: bool = False) -> Instructions:
    """Count the instructions that one request costs, from runs of ``requests`` and three times as many.

    Args:
        app: Name of the application.
        variant: Name of the variant.
        requests: At least one for each of the application's routes.
        multiprocess: With ``PROMETHEUS_MULTIPROC_DIR`` set.

    Raises:
        CountError: The variant does not work with the application, or valgrind not with the interpreter.
    """
    with TemporaryDirectory() as folder:
        more = {"PROMETHEUS_MULTIPROC_DIR": folder} if multiprocess else {}
        costs = count_runs(["claw_bench.counted", app, variant, str(requests)], requests, **more)
        if multiprocess and not list(Path(folder).glob("*.db")):
            raise CountError("it writes no multiprocess files")
    return Instructions(bare=costs["bare"], measured=costs["measured"])


def count_runs(module: Sequence[str], number: int, **environment: str) -> dict[str, int]:
    """Run a module that forks a process for a run of ``number`` and one of three times as many of something.

    Args:
        module: The module's name and its arguments. It prints the processes' ids: name -> (few, many).
        number: How many the shorter run has.
        environment: More variables.

    Returns:
        Instructions of one, by name.

    Raises:
        CountError: The module tells an error, or valgrind does not work with the interpreter.
    """
    with TemporaryDirectory() as folder:
        command = [*_VALGRIND, f"--callgrind-out-file={folder}/%p", sys.executable, "-m", *module]
        done = subprocess.run(
            command, env=_environment() | environment, capture_output=True, text=True, check=False
        )
        return {
            name: (_total(Path(folder, str(many))) - _total(Path(folder, str(few)))) // (2 * number)
            for name, (few, many) in _answer(done).items()
        }


def _environment() -> dict[str, str]:
    """Return an environment in which every run takes the same way, unwatched (by coverage, say)."""
    own = {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | own


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, list[int]]:
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise CountError(f"valgrind ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    answer: dict[str, list[int]] = json.loads(lines[-1])
    if "error" in answer:
        raise CountError(str(answer["error"]))
    return answer


def _total(file: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE)
    if found is None:
        raise CountError(f"callgrind's file for process {file.name} has no total")
    return int(found[1])
