"""Added instructions per request, counted by valgrind's callgrind: they do not depend on the machine's load.

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
from typing import Final

__all__ = ["CountError", "Instructions", "count", "missing"]

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


def missing() -> str:
    """Return why instructions cannot be counted on this machine, or nothing."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: instructions per request are not counted"
    return ""


def count(app: str, variant: str, *, requests: int = 100) -> Instructions:
    """Count the instructions that one request costs, from runs of ``requests`` and three times as many.

    Raises:
        CountError: The variant does not work with the application, or valgrind not with the interpreter.
    """
    with TemporaryDirectory() as folder:
        command = [
            *_VALGRIND,
            f"--callgrind-out-file={folder}/%p",
            sys.executable,
            "-m",
            "claw_bench.counted",
            app,
            variant,
            str(requests),
        ]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
        costs = {
            name: (_total(Path(folder, str(more))) - _total(Path(folder, str(few)))) // (2 * requests)
            for name, (few, more) in _answer(done).items()
        }
    return Instructions(bare=costs["bare"], measured=costs["measured"])


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
