"""Runs of agents: how they end, the steps inside of them, the tool calls that they repeat."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import AgentRun, ArgumentError, Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"claw_ai_agent_{name}", labels)


def outcomes(metrics: Metrics, agent: str = "planner") -> dict[str, float]:
    """Return the outcomes that happened."""
    kinds = ("ok", "error", "cancelled", "max_steps")
    counts = {kind: value(metrics, "runs_total", agent=agent, outcome=kind) or 0 for kind in kinds}
    return {kind: count for kind, count in counts.items() if count}


def steps(metrics: Metrics, agent: str = "planner") -> tuple[float | None, float | None]:
    """Return how many runs have ended and how many steps they took together."""
    return value(metrics, "run_steps_count", agent=agent), value(metrics, "run_steps_sum", agent=agent)


def repeated(metrics: Metrics, agent: str = "planner") -> float | None:
    return value(metrics, "repeated_tool_calls_total", agent=agent)


# -- How a run ends ------------------------------------------------------------------------------------------
def test_a_run_has_an_outcome_a_duration_and_a_number_of_steps(metrics: Metrics) -> None:
    with metrics.track_agent_run("planner") as run:
        assert metrics.current_agent_run() is run
        for kind in ("think", "act", "observe", "response"):
            with metrics.track_agent_step("planner", kind):
                assert metrics.current_agent_run() is run
    assert outcomes(metrics) == {"ok": 1}
    assert steps(metrics) == (1, 4)
    assert value(metrics, "run_duration_seconds_count", agent="planner") == 1
    assert value(metrics, "steps_total", agent="planner", step_type="think", status="ok") == 1


def test_every_outcome_and_the_repeated_calls_exist_while_the_first_run_goes_on(metrics: Metrics) -> None:
    with metrics.track_agent_run("planner"):
        assert value(metrics, "runs_total", agent="planner", outcome="max_steps") == 0
        assert repeated(metrics) == 0


def test_an_exception_is_an_error_and_passes_through(metrics: Metrics) -> None:
    with pytest.raises(KeyError), metrics.track_agent_run("planner"):
        raise KeyError
    assert outcomes(metrics) == {"error": 1}


async def test_a_cancelled_run_is_no_error(metrics: Metrics) -> None:
    @metrics.track_agent_run("planner")
    async def run() -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(metrics) == {"cancelled": 1}


async def test_a_run_that_says_it_was_stopped_at_its_limit_has_that_outcome(metrics: Metrics) -> None:
    @metrics.track_agent_run("planner")
    async def run() -> None:
        metrics.current_agent_run().stopped_at_limit()
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await run()
    assert outcomes(metrics) == {"max_steps": 1}


@pytest.mark.parametrize(("taken", "outcome"), [(2, "ok"), (3, "max_steps"), (4, "max_steps")])
def test_a_run_that_takes_all_the_steps_it_may_was_stopped(
    metrics: Metrics, taken: int, outcome: str
) -> None:
    with metrics.track_agent_run("planner", max_steps=3):
        for _ in range(taken):
            with metrics.track_agent_step("planner", "act"):
                pass
    assert outcomes(metrics) == {outcome: 1}


def test_an_exception_in_the_last_step_is_an_error(metrics: Metrics) -> None:
    with (
        pytest.raises(KeyError),
        metrics.track_agent_run("planner", max_steps=1),
        metrics.track_agent_step("planner", "act"),
    ):
        raise KeyError
    assert outcomes(metrics) == {"error": 1}
    assert steps(metrics) == (1, 1)


@pytest.mark.parametrize("name", ["MaxTurnsExceeded", "GraphRecursionError"])
def test_what_agent_frameworks_raise_at_their_limit_is_understood(metrics: Metrics, name: str) -> None:
    error = type(name, (Exception,), {})
    with pytest.raises(error), metrics.track_agent_run("planner"):
        raise error
    assert outcomes(metrics) == {"max_steps": 1}


def test_a_returned_value_may_say_how_the_run_ended(metrics: Metrics) -> None:
    @metrics.track_agent_run("planner", result=lambda said: said)
    def run(said: str | None) -> str | None:
        return said

    run(None)
    run("no_answer")
    run("max_steps")
    assert outcomes(metrics) == {"ok": 1, "error": 1, "max_steps": 1}


@pytest.mark.parametrize("number", [0, -1, 2.5, "many"])
def test_a_limit_is_a_whole_number_of_steps(metrics: Metrics, number: Any) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError, match=f"max_steps is {number!r}: pass a whole number above 0"):
        metrics.track_agent_run("planner", max_steps=number)


# -- Which steps count ---------------------------------------------------------------------------------------
async def test_steps_in_tasks_count_in_the_run_that_began_them(metrics: Metrics) -> None:
    @metrics.track_agent_step("planner", "act")
    async def act(seconds: float) -> None:
        await asyncio.sleep(seconds)

    @metrics.track_agent_run("planner")
    async def run(number: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(act(0.001))
            group.create_task(act(0.002))
        await asyncio.gather(*(act(0.001) for _ in range(number)))

    await asyncio.gather(run(1), run(2), run(3))
    assert steps(metrics) == (3, 12)
    assert value(metrics, "run_steps_bucket", agent="planner", le="3.0") == 1
    assert value(metrics, "run_steps_bucket", agent="planner", le="5.0") == 3


async def test_steps_in_threads_count_where_they_have_the_context(metrics: Metrics) -> None:
    def act() -> None:
        with metrics.track_agent_step("planner", "act"):
            pass

    async with metrics.track_agent_run("planner"):
        await asyncio.gather(*(asyncio.to_thread(act) for _ in range(8)))
        context = contextvars.copy_context()
        threads = [threading.Thread(target=context.run, args=(act,)), threading.Thread(target=act)]
        for thread in threads:
            thread.start()
            thread.join()
    assert steps(metrics) == (1, 9)


async def test_a_run_inside_of_a_run_counts_its_own_steps(metrics: Metrics) -> None:
    @metrics.track_agent_run("searcher")
    async def search() -> None:
        for _ in range(3):
            async with metrics.track_agent_step("searcher", "act"):
                await asyncio.sleep(0)

    async with metrics.track_agent_run("planner"):
        with metrics.track_agent_step("planner", "think"):
            await asyncio.gather(search(), search())
    assert steps(metrics) == (1, 1)
    assert steps(metrics, "searcher") == (2, 6)


def test_steps_after_the_run_or_without_one_count_in_none(metrics: Metrics) -> None:
    context = contextvars.copy_context()
    with metrics.track_agent_run("planner"):
        inside = contextvars.copy_context()

    def act() -> None:
        with metrics.track_agent_step("planner", "act"):
            pass

    context.run(act)
    inside.run(act)
    assert steps(metrics) == (1, 0)
    assert value(metrics, "steps_total", agent="planner", step_type="act", status="ok") == 2


async def test_a_run_may_be_a_generator_and_its_reader_is_not_inside(metrics: Metrics) -> None:
    @metrics.track_agent_run("planner")
    async def run() -> AsyncIterator[str]:
        for text in ("one", "two"):
            with metrics.track_agent_step("planner", "response"):
                await asyncio.sleep(0)
            yield text

    async for _ in run():
        with metrics.track_agent_step("reader", "observe"):
            pass
    assert steps(metrics) == (1, 2)


def test_a_synchronous_generator_is_a_run_too(metrics: Metrics) -> None:
    @metrics.track_agent_run("planner", max_steps=1)
    def run() -> Iterator[str]:
        with metrics.track_agent_step("planner", "response"):
            pass
        yield "one"

    assert list(run()) == ["one"]
    assert outcomes(metrics) == {"max_steps": 1}


# -- Repeated tool calls -------------------------------------------------------------------------------------
def test_a_decorated_tool_called_again_with_equal_arguments_is_a_repeated_call(metrics: Metrics) -> None:
    @metrics.track_tool("search")
    def search(query: str, *, limit: int = 3) -> str:
        return query * limit

    @metrics.track_tool("fetch")
    def fetch(query: str) -> str:
        return query

    search("a")  # outside of any run
    with metrics.track_agent_run("planner"):
        search("a")
        search("b")
        search("a", limit=4)
        fetch("a")
        assert repeated(metrics) == 0
        search("a")
        search("a", limit=4)
        search("a")
        assert repeated(metrics) == 3
    with metrics.track_agent_run("planner"):
        search("a")
    assert repeated(metrics) == 3
    assert (
        metrics.registry.get_sample_value("claw_ai_tool_calls_total", {"tool": "search", "status": "ok"}) == 8
    )


async def test_the_object_of_a_method_is_no_argument(metrics: Metrics) -> None:
    class Tools:
        def __init__(self) -> None:
            self.calls = 0

        @metrics.track_tool("clock")
        async def clock(self) -> int:
            self.calls += 1
            return self.calls

        @classmethod
        @metrics.track_tool("zone")
        def zone(cls) -> str:
            return "UTC"

        def __repr__(self) -> str:
            return f"{self.calls} calls"

    tools = Tools()
    async with metrics.track_agent_run("planner"):
        assert [await tools.clock(), await tools.clock(), await Tools().clock()] == [1, 2, 1]
        assert Tools.zone() == Tools.zone() == "UTC"
    assert repeated(metrics) == 3


def test_around_a_block_only_the_run_can_say_what_is_called(metrics: Metrics) -> None:
    with metrics.track_agent_run("planner") as run:
        for arguments in ('{"query": "a"}', '{"query": "b"}', '{"query": "a"}'):
            run.tool_call("search", arguments)
            with metrics.track_tool("search"):
                pass
        run.tool_call("clock")
        run.tool_call("clock")
    assert repeated(metrics) == 2
    run.tool_call("clock")  # it is over
    assert repeated(metrics) == 2


def test_a_function_without_a_signature_is_a_tool_too(metrics: Metrics) -> None:
    largest = metrics.track_tool("max")(max)
    with metrics.track_agent_run("planner"):
        assert largest(1, 2) == largest(1, 2) == 2
    assert repeated(metrics) == 1


def test_tools_of_every_kind_are_compared(metrics: Metrics) -> None:
    @metrics.track_tool("rows")
    def rows(number: int) -> Iterator[int]:
        yield from range(number)

    @metrics.track_tool("judged", result=lambda said: None if said else "empty")
    def judged(said: str) -> str:
        return said

    with metrics.track_agent_run("planner"):
        assert [*rows(2), *rows(2)] == [0, 1, 0, 1]
        assert judged("") == judged("") == ""
    assert repeated(metrics) == 2


def test_each_run_counts_the_repeated_calls_of_its_own(metrics: Metrics) -> None:
    @metrics.track_tool("search")
    def search(query: str) -> str:
        return query

    with metrics.track_agent_run("planner"):
        search("a")
        with metrics.track_agent_run("searcher"):
            search("a")
            search("a")
    assert (repeated(metrics), repeated(metrics, "searcher")) == (0, 1)


def test_an_argument_that_cannot_be_looked_at_is_counted_and_kept_away(metrics: Metrics) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    @metrics.track_tool("search")
    def search(query: object) -> object:
        return query

    broken = Broken()
    with metrics.track_agent_run("planner") as run:
        assert search(broken) is search(broken) is broken
        run.tool_call("search", [broken])
    assert outcomes(metrics) == {"ok": 1}
    assert repeated(metrics) == 0
    faults = metrics.registry.get_sample_value(
        "claw_ai_exporter_internal_errors_total", {"where": "track_agent_run.tool_call"}
    )
    assert faults == 3


def test_a_run_remembers_some_thousand_calls(metrics: Metrics) -> None:
    with metrics.track_agent_run("planner") as run:
        for number in range(10_000):
            run.tool_call("search", number)
        assert len(run._calls) == 4096
        run.tool_call("search", 4095)
        run.tool_call("search", 4096)
    assert repeated(metrics) == 1


# -- Bounds and accidents ------------------------------------------------------------------------------------
def test_outside_of_any_run_there_is_one_that_records_nothing(metrics: Metrics) -> None:
    run = metrics.current_agent_run()
    run.tool_call("search", "a")
    run.tool_call("search", "a")
    run.stopped_at_limit()
    assert isinstance(run, AgentRun)
    assert metrics.render() == b""


def test_agents_and_tools_without_end_are_folded() -> None:
    small = Metrics(registry=CollectorRegistry(), max_series=8)
    small.register()
    for number in range(1000):
        with small.track_agent_run(f"agent {number}") as run:
            run.tool_call("a")
            run.tool_call("a")
            with small.track_agent_step(f"agent {number}", "act"), small.track_tool(f"tool {number}"):
                pass
    series = {spec.name: len(found) for spec, found in small.store.snapshot()}
    assert max(series.values()) <= 8 + 4  # the outcomes of the overflow series
    assert len(small._agents._prepared) == 8
    everybody = value(small, "runs_total", agent="__overflow__", outcome="ok")
    assert everybody is not None
    assert everybody >= 990
    folded = repeated(small, "__overflow__")
    assert folded is not None
    assert folded >= 990


def test_a_name_that_cannot_be_written_is_counted_and_kept_away(metrics: Metrics) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no name")

    name: Any = Broken()
    with metrics.track_agent_run(name) as run:
        run.tool_call("a")
        run.tool_call("a")
        with metrics.track_agent_step(name, "act"):
            pass
    assert run.steps == 1
    where = {
        labels[0]: numbers[0]
        for spec, found in metrics.store.snapshot()
        if spec.name == "claw_ai_exporter_internal_errors_total"
        for labels, numbers in found
    }
    assert where == {"track_agent_run": 2, "track_agent_run.tool_call": 1, "track_agent_step": 1}
