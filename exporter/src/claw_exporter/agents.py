"""Runs of agents, the steps they take, and the tools they call."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from claw_exporter.arguments import fingerprint
from claw_exporter.catalog import (
    AGENT_REPEATED_TOOL_CALLS,
    AGENT_RUN_DURATION,
    AGENT_RUN_STEPS,
    AGENT_RUNS,
    AGENT_STEP_DURATION,
    AGENT_STEPS,
    TOOL_CALL_DURATION,
    TOOL_CALLS,
)
from claw_exporter.counted import Counted
from claw_exporter.errors import ArgumentError
from claw_exporter.operations import Operation
from claw_exporter.store import label_text
from claw_exporter.tracking import Measurement, Tracker, innermost

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

    Judge = Callable[[Any], str | None] | None

__all__ = ["AgentRun", "Agents"]

F = TypeVar("F", bound="Callable[..., Any]")

MAX_STEPS: Final = "max_steps"
_REMEMBERED_CALLS: Final = 4096
# What agent frameworks raise when the limit of steps is reached; names, because none of them is imported.
_LIMIT_ERRORS: Final = frozenset(
    ("AgentMaxStepsError", "GraphRecursionError", "MaxIterationsError", "MaxTurnsExceeded", "max_steps")
)


class AgentRun(Measurement):
    """One run of an agent, while it lasts.

    Attributes:
        agent: The agent's name.
        steps: Steps that have ended, those of runs inside of this one not included.
    """

    __slots__ = ("_agents", "_calls", "_lock", "_max_steps", "_stopped", "agent", "steps")

    def __init__(self, tracker: object, agents: Agents, agent: object, max_steps: int | None) -> None:
        self.agent = agent
        self.steps = 0
        self._agents = agents
        self._max_steps = max_steps
        self._stopped = False
        self._calls: set[int] = set()
        self._lock = RLock()  # steps may end in several threads
        super().__init__(tracker)

    def stopped_at_limit(self) -> None:
        """Say that a limit of steps stopped the run: its outcome is ``max_steps``."""
        self._stopped = True

    def tool_call(self, name: str, arguments: object = None) -> None:
        """Say that the run calls a tool; a call like an earlier one of this run counts as repeated.

        Functions decorated with `Metrics.track_tool` say it by themselves: do not call this for them.

        Args:
            name: The tool's name.
            arguments: As the model gave them: JSON text, a dictionary, anything.
        """
        self.note_call("said", name, arguments)

    def note_call(self, *call: object) -> None:
        """Remember a call by what it looks like, and count it where it is known. It never raises."""
        if self.open:
            try:
                number = fingerprint(*call)
            except Exception:  # noqa: BLE001  # the repr of an argument raised
                self._agents.fault("track_agent_run.tool_call")
                return
            with self._lock:
                repeated = number in self._calls
                if not repeated and len(self._calls) < _REMEMBERED_CALLS:
                    self._calls.add(number)
            if repeated:
                self._agents.count_repeated(self.agent)

    def count_step(self) -> None:
        """Count a step that has ended."""
        with self._lock:
            self.steps += 1

    def record(self, status: str, seconds: float) -> None:
        """Record the end."""
        self._agents.record(self, self._outcome(status), seconds)

    def _outcome(self, status: str) -> str:
        reached = self._max_steps is not None and self.steps >= self._max_steps and status == "ok"
        return MAX_STEPS if self._stopped or reached or self.error_type in _LIMIT_ERRORS else status


class Agents:
    """Where runs, steps and tool calls are recorded.

    Args:
        store: Where the numbers go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs = store.counter(AGENT_RUNS)
        self._run_seconds = store.histogram(AGENT_RUN_DURATION)
        self._run_steps = store.histogram(AGENT_RUN_STEPS)
        self._repeated = store.counter(AGENT_REPEATED_TOOL_CALLS)
        self._steps = Counted(
            store, AGENT_STEPS, AGENT_STEP_DURATION, where="track_agent_step", ended=self._count_step
        )
        self._calls = Counted(store, TOOL_CALLS, TOOL_CALL_DURATION, where="track_tool")
        self._prepared: set[str] = set()
        self._open = 0

    def run_tracker(self, agent: str, max_steps: int | None, judge: Judge) -> Tracker[AgentRun]:
        """Return a tracker of an agent's runs.

        Raises:
            ArgumentError: ``max_steps`` is not a whole number above 0.
        """
        if max_steps is not None and (not isinstance(max_steps, int) or max_steps < 1):
            raise ArgumentError(f"max_steps is {max_steps!r}: pass a whole number above 0, or None")

        def make(tracker: object, _args: object, _kwargs: object) -> AgentRun:
            self._prepare(agent)
            self._note_open(1)
            return AgentRun(tracker, self, agent, max_steps)

        return Tracker(self._store, "track_agent_run", make, judge)

    def step_tracker(self, agent: str, step_type: str, judge: Judge) -> Tracker[Operation]:
        """Return a tracker of an agent's steps of a kind; they count in the run around them."""
        return self._steps.tracker(agent, step_type, judge=judge)

    def tool_tracker(self, tool: str, judge: Judge) -> Tracker[Operation]:
        """Return a tracker of calls of a tool."""

        def for_function(skipped: int) -> Tracker[Operation]:
            def called(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                run = self.current()
                if run is not None:
                    run.note_call("called", tool, args[skipped:], kwargs)

            return self._calls.tracker(tool, judge=judge, called=called)

        return _ToolTracker(self._calls, tool, for_function)

    def detached(self) -> AgentRun:
        """Return a run that records nothing."""
        run = AgentRun(None, self, "unknown", None)
        run.open = False
        return run

    def record(self, run: AgentRun, outcome: str, seconds: float) -> None:
        """Record the end of a run."""
        self._note_open(-1)
        self._runs.inc(run.agent, outcome)
        self._run_seconds.observe(seconds, run.agent)
        self._run_steps.observe(run.steps, run.agent)

    def current(self) -> AgentRun | None:
        """Return the innermost open run of this task or thread; quickly where there is none anywhere."""
        return innermost(AgentRun) if self._open else None

    def _note_open(self, change: int) -> None:
        with self._store.lock or nullcontext():
            self._open += change

    def _count_step(self) -> None:
        run = self.current()
        if run is not None:
            run.count_step()

    def count_repeated(self, agent: object) -> None:
        """Count a repeated tool call."""
        try:
            self._repeated.inc(agent)
        except Exception:  # noqa: BLE001  # a name whose str() raises must not reach the run
            self.fault("track_agent_run.tool_call")

    def fault(self, where: str) -> None:
        """Count an error of this library."""
        self._store.fault(where)

    def _prepare(self, agent: object) -> None:
        """Let an agent's counters exist from its first run on: ``increase`` then sees their first event."""
        try:
            name = label_text(agent)
            if name not in self._prepared and len(self._prepared) < self._store.max_series:
                self._prepared.add(name)
                self._runs.child(name, "ok")
                self._repeated.child(name)
        except Exception:  # noqa: BLE001  # a name whose str() raises must not reach the run
            self.fault("track_agent_run")


class _ToolTracker(Tracker[Operation]):
    """Tells the run around it of each call of a decorated function: only there are its arguments known."""

    __slots__ = ("_for_function",)

    def __init__(self, calls: Counted, tool: str, for_function: Callable[[int], Tracker[Operation]]) -> None:
        record = calls.recorder(tool)
        super().__init__(calls.store, calls.where, lambda tracker, *_: Operation(tracker, record))
        self._for_function = for_function

    def __call__(self, function: F) -> F:
        """Measure every call of a function; see `Tracker`."""
        return self._for_function(_bound_parameters(function))(function)


def _bound_parameters(function: Callable[..., Any]) -> int:
    """Return how many leading parameters are no arguments: the object or class that a method belongs to."""
    try:
        first = next(iter(inspect.signature(function).parameters), "")
    except (TypeError, ValueError):  # some functions of C do not tell
        return 0
    return int(first in ("self", "cls"))
