"""Runs the behaviour suite of the middleware on every version in ``versions.txt``, or on those named.

Each version has a virtual environment of its own under ``.run/matrix``, made from its hashed requirements
and kept until they change. The library is not installed there: it is imported from its sources.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple, TextIO

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
ENVIRONMENTS: Final = ROOT / ".run" / "matrix"
TESTS: Final = ROOT / "tests" / "exporter"
SUITE: Final = TESTS / "behaviour"
TIMEOUT_SECONDS: Final = 180
# The suite brings its own configuration: the repository's names plugins that these environments do not have.
PYTEST: Final = ("-c", os.devnull, "--rootdir", TESTS, "--confcutdir", TESTS, "--import-mode=importlib", "-q")
STRICT: Final = ("-W", "error", "--strict-markers", "-p", "no:cacheprovider", "-o", "anyio_mode=auto")


class Outcome(NamedTuple):
    """What one version showed."""

    name: str
    versions: str
    passed: int
    seconds: float
    problem: str

    @property
    def line(self) -> str:
        """One row of the table."""
        verdict = self.problem.splitlines()[0] if self.problem else "ok"
        return (
            f"{self.name:<18} {self.versions:<34} {self.passed:>4} passed {self.seconds:>6.1f} s   {verdict}"
        )


def say(*lines: str, file: TextIO = sys.stdout) -> None:
    """Print what a person at a terminal waits for."""
    print(*lines, sep="\n", file=file, flush=True)


def names() -> list[str]:
    """Return the names in ``versions.txt``, oldest first in each framework."""
    lines = (HERE / "versions.txt").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def requirements(name: str) -> Path:
    """Return the hashed requirements file of a version."""
    return HERE / "requirements" / f"{name}.txt"


def pinned(name: str) -> str:
    """Return the versions of the frameworks in a requirements file."""
    text = requirements(name).read_text(encoding="utf-8")
    found = re.findall(r"^(fastapi|starlette)==([^ ;\\]+)", text, re.MULTILINE)
    return " ".join(f"{package} {version}" for package, version in found)


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says; one that hangs ends with code 124."""
    given = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV"))}
    try:
        return subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=given | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(error.cmd, 124, f"no answer in {TIMEOUT_SECONDS} s")


def prepare(name: str) -> str:
    """Make the environment of a version where it is missing or old; return what went wrong, or nothing."""
    folder = ENVIRONMENTS / name
    stamp = folder / ".ready"
    want = f"{sys.version} {hashlib.sha256(requirements(name).read_bytes()).hexdigest()}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == want:
        return ""
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    install: list[str | Path] = ["install", "--no-compile", "--require-hashes", "-r", requirements(name)]
    commands: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "venv", "--clear", "--without-pip", folder],
        [*pip, "--python", folder / "bin" / "python", *install],
    )
    for command in commands:
        done = run(*command)
        if done.returncode:
            return f"no environment (exit code {done.returncode})\n{done.stdout}"
    stamp.write_text(want, encoding="utf-8")
    return ""


def prove(name: str) -> Outcome:
    """Run the suite on a version."""
    started = time.monotonic()
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    passed = 0
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:  # two commands at once make one environment
        fcntl.flock(lock, fcntl.LOCK_EX)
        problem = prepare(name)
    if not problem:
        python = ENVIRONMENTS / name / "bin" / "python"
        done = run(python, "-m", "pytest", *PYTEST, *STRICT, SUITE, PYTHONPATH=str(ROOT / "exporter" / "src"))
        count = re.search(r"(\d+) passed", done.stdout)
        passed = int(count[1]) if count else 0
        if done.returncode:
            problem = f"pytest: exit code {done.returncode}\n{done.stdout}"
    return Outcome(name, pinned(name), passed, time.monotonic() - started, problem)


def main(asked: list[str]) -> int:
    """Print a line for each version as it ends, then what failed and the table; 1 if anything failed."""
    unknown = [name for name in asked if name not in names()]
    if unknown:
        say(f"matrix: no version {', '.join(unknown)}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    outcomes = []
    for name in asked or names():
        say(f"==> {name} ({pinned(name)})")
        outcomes.append(prove(name))
    failed = [outcome for outcome in outcomes if outcome.problem]
    for outcome in failed:
        say(f"\n{outcome.name}: {outcome.problem}")
    say("", *(outcome.line for outcome in outcomes))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
