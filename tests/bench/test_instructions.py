"""The middleware's cost in instructions: a limit that no load of the machine moves."""

from __future__ import annotations

import platform
import sys
from functools import cache

import pytest

from claw_bench.instructions import CountError, count, missing

MOST_ADDED_INSTRUCTIONS = 20_000
MOST_TIMES_WITH_SEVERAL_WORKERS = 1.5
# The limit is for this interpreter: others need other numbers of instructions for the same code.
INTERPRETER = ("CPython", (3, 11), "x86_64")

needs_valgrind = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
needs_the_interpreter = pytest.mark.skipif(
    (platform.python_implementation(), sys.version_info[:2], platform.machine()) != INTERPRETER,
    reason=f"the limit is for {INTERPRETER}",
)


@cache
def added(*, multiprocess: bool) -> int:
    return count("starlette", "claw", requests=40, multiprocess=multiprocess).added


@needs_valgrind
@needs_the_interpreter
def test_the_middleware_adds_at_most_20000_instructions_to_a_request() -> None:
    assert 0 < added(multiprocess=False) <= MOST_ADDED_INSTRUCTIONS


@needs_valgrind
def test_several_worker_processes_cost_at_most_half_as_much_again() -> None:
    ratio = added(multiprocess=True) / added(multiprocess=False)

    assert 0 < ratio <= MOST_TIMES_WITH_SEVERAL_WORKERS


def test_a_machine_without_valgrind_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert "valgrind is not installed" in missing()


def test_what_valgrind_cannot_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("claw_bench.instructions._VALGRIND", ("false",))

    with pytest.raises(CountError, match="ended with 1"):
        count("starlette", "claw")
