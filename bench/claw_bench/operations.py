"""What a decorator adds to a call and to a streamed chunk, beside an empty wrapper and code by hand.

The rows of one group are measured in one process, in turn: each round goes through all of them and back, so
that a drift of the machine's speed cancels, and what counts is the difference to the undecorated row of the
same round. ``python -m claw_bench.operations measure ROUNDS CALLS`` and ``count CALLS`` are that process.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from statistics import median, quantiles
from time import perf_counter, process_time_ns
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Histogram

from claw_bench.instructions import CountError, count_runs, missing
from claw_bench.report import table, titled, verdict
from claw_exporter import ArgumentError, Metrics

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence

    Run = Callable[[int], Coroutine[None, None, None]]
    Decorator = Callable[[Any], Any]

__all__ = ["GROUPS", "arguments", "measure", "report"]

_WARM_UP: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to measure the same code.

    Attributes:
        title: How people know it.
        decorate: Puts it around a function; raises ImportError or TypeError where this cannot be had here.
        package: Distribution whose version is told, if any.
        limit: How many times as much as an empty wrapper it may add at the most, if it is ours.
    """

    title: str
    decorate: Decorator
    package: str = ""
    limit: float | None = None


def _undecorated(function: Any) -> Any:  # noqa: ANN401  # any function
    return function


# -- What is measured ----------------------------------------------------------------------------------------


async def _answer(_prompt: str) -> str:
    return "answer"


def _look_up(_prompt: str) -> str:
    return "answer"


async def _chunks(number: int) -> AsyncGenerator[str]:
    for _ in range(number):
        yield "chunk"


def _awaiting(decorated: Any) -> Run:  # noqa: ANN401
    async def run(number: int) -> None:
        for _ in range(number):
            await decorated("prompt")

    return run


def _calling(decorated: Any) -> Run:  # noqa: ANN401
    async def run(number: int) -> None:
        for _ in range(number):
            decorated("prompt")

    return run


def _streaming(decorated: Any) -> Run:  # noqa: ANN401
    async def run(number: int) -> None:
        async for _ in decorated(number):
            pass

    return run


# -- Ways to do it -------------------------------------------------------------------------------------------


def _empty_async(function: Any) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await function(*args, **kwargs)

    return wrapper


def _empty_sync(function: Any) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return function(*args, **kwargs)

    return wrapper


def _empty_stream(function: Any) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:  # noqa: ANN401
        async for part in function(*args, **kwargs):
            yield part

    return wrapper


def _ours() -> Metrics:
    return Metrics(registry=CollectorRegistry())


def _vector_db(function: Any) -> Any:  # noqa: ANN401
    return _ours().track_vector_db("search")(function)


def _ai_response(function: Any) -> Any:  # noqa: ANN401
    return _ours().track_ai_response(model="glm-4", provider="zhipu")(function)


def _each_chunk(function: Any) -> Any:  # noqa: ANN401
    options: dict[str, Any] = {"each_chunk": True}
    return _ours().track_ai_response(model="glm-4", provider="zhipu", **options)(function)


def _histogram() -> Histogram:
    buckets = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    names = ("operation", "status")
    return Histogram("operation_seconds", "By hand.", names, buckets=buckets, registry=CollectorRegistry())


def _client_async(function: Any) -> Any:  # noqa: ANN401
    histogram = _histogram()

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        started, status = perf_counter(), "ok"
        try:
            return await function(*args, **kwargs)
        except BaseException:
            status = "error"
            raise
        finally:
            histogram.labels("search", status).observe(perf_counter() - started)

    return wrapper


def _client_sync(function: Any) -> Any:  # noqa: ANN401
    histogram = _histogram()

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        started, status = perf_counter(), "ok"
        try:
            return function(*args, **kwargs)
        except BaseException:
            status = "error"
            raise
        finally:
            histogram.labels("search", status).observe(perf_counter() - started)

    return wrapper


def _client_stream(function: Any) -> Any:  # noqa: ANN401
    histogram = _histogram()

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:  # noqa: ANN401
        last = perf_counter()
        async for part in function(*args, **kwargs):
            now = perf_counter()
            histogram.labels("stream", "ok").observe(now - last)
            last = now
            yield part

    return wrapper


def _prometheus_async(function: Any) -> Any:  # noqa: ANN401
    from prometheus_async.aio import time

    return time(_histogram().labels("search", "ok"))(function)


def _opentelemetry_record() -> Callable[[float, str], None]:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    meter = MeterProvider(metric_readers=[PrometheusMetricReader()]).get_meter("bench")
    histogram = meter.create_histogram("operation", unit="s")

    def record(seconds: float, status: str) -> None:
        histogram.record(seconds, {"operation": "search", "status": status})

    return record


def _opentelemetry_async(function: Any) -> Any:  # noqa: ANN401
    record = _opentelemetry_record()

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        started, status = perf_counter(), "ok"
        try:
            return await function(*args, **kwargs)
        except BaseException:
            status = "error"
            raise
        finally:
            record(perf_counter() - started, status)

    return wrapper


def _opentelemetry_stream(function: Any) -> Any:  # noqa: ANN401
    record = _opentelemetry_record()

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:  # noqa: ANN401
        last = perf_counter()
        async for part in function(*args, **kwargs):
            now = perf_counter()
            record(now - last, "ok")
            last = now
            yield part

    return wrapper


# The limits were 600 ns for a call, 100 and 400 ns for a chunk, where an empty wrapper costs 77 and 69 ns.
_CALL_LIMIT: Final = 7.8
_CHUNK_LIMIT: Final = 1.45
_EACH_CHUNK_LIMIT: Final = 5.8

_VECTOR_DB: Final = Row(title="**`track_vector_db`**", decorate=_vector_db, limit=_CALL_LIMIT)
_AI_RESPONSE: Final = Row(title="**`track_ai_response`**", decorate=_ai_response, limit=_CALL_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is measured in several ways.

    Attributes:
        title: What one of it is.
        function: The code itself.
        run: Makes a loop around the decorated code.
        rows: Ways; the first one is the undecorated code, the second one the empty wrapper.
    """

    title: str
    function: Any
    run: Callable[[Any], Run]
    rows: dict[str, Row]


GROUPS: Final[dict[str, Group]] = {
    "async": Group(
        title="decorated async call",
        function=_answer,
        run=_awaiting,
        rows={
            "bare": Row(title="(undecorated)", decorate=_undecorated),
            "empty": Row(title="empty wrapper", decorate=_empty_async),
            "track_vector_db": _VECTOR_DB,
            "track_ai_response": _AI_RESPONSE,
            "prometheus_async": Row(
                title="prometheus_async `@time`", decorate=_prometheus_async, package="prometheus-async"
            ),
            "prometheus_client": Row(
                title="prometheus_client `.labels().observe()` by hand",
                decorate=_client_async,
                package="prometheus-client",
            ),
            "opentelemetry": Row(
                title="OpenTelemetry `histogram.record()` by hand",
                decorate=_opentelemetry_async,
                package="opentelemetry-sdk",
            ),
        },
    ),
    "sync": Group(
        title="decorated sync call",
        function=_look_up,
        run=_calling,
        rows={
            "bare": Row(title="(undecorated)", decorate=_undecorated),
            "empty": Row(title="empty wrapper", decorate=_empty_sync),
            "track_vector_db": replace(_VECTOR_DB, limit=None),
            "track_ai_response": replace(_AI_RESPONSE, limit=None),
            "prometheus_client": Row(
                title="prometheus_client `.labels().observe()` by hand",
                decorate=_client_sync,
                package="prometheus-client",
            ),
        },
    ),
    "chunk": Group(
        title="chunk of an async generator",
        function=_chunks,
        run=_streaming,
        rows={
            "bare": Row(title="(undecorated)", decorate=_undecorated),
            "empty": Row(title="empty wrapper (`async for`, `yield`)", decorate=_empty_stream),
            "track_ai_response": Row(
                title="**`track_ai_response`**", decorate=_ai_response, limit=_CHUNK_LIMIT
            ),
            "each_chunk": Row(
                title="**`track_ai_response(each_chunk=True)`**",
                decorate=_each_chunk,
                limit=_EACH_CHUNK_LIMIT,
            ),
            "prometheus_client": Row(
                title="prometheus_client, a histogram of gaps by hand",
                decorate=_client_stream,
                package="prometheus-client",
            ),
            "opentelemetry": Row(
                title="OpenTelemetry, a histogram of gaps by hand",
                decorate=_opentelemetry_stream,
                package="opentelemetry-sdk",
            ),
        },
    ),
}


# -- The measuring process -----------------------------------------------------------------------------------


def _prepare(group: Group) -> tuple[dict[str, Run], dict[str, str]]:
    """Return the loops that can be run here, and why the others cannot."""
    runs, absent = {}, {}
    for name, row in group.rows.items():
        try:
            runs[name] = group.run(row.decorate(group.function))
        except ImportError:
            absent[name] = "not installed"
        except (TypeError, ArgumentError):
            absent[name] = "this version of the library has it not"
    return runs, absent


async def _rounds(runs: dict[str, Run], *, rounds: int, calls: int) -> dict[str, list[float]]:
    for run in runs.values():
        await run(_WARM_UP)
    gc.collect()
    gc.freeze()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        taken = dict.fromkeys(runs, 0)
        for name in (*runs, *reversed(runs)):
            started = process_time_ns()
            await runs[name](calls)
            taken[name] += process_time_ns() - started
        for name, nanoseconds in taken.items():
            times[name].append(nanoseconds / (2 * calls))
    return times


def _measure_here(rounds: int, calls: int) -> None:
    answer = {}
    for name, group in GROUPS.items():
        runs, absent = _prepare(group)
        times = asyncio.run(_rounds(runs, rounds=rounds, calls=calls))
        answer[name] = {"times": times, "absent": absent}
    print(json.dumps(answer))


def _count_here(calls: int) -> None:
    children = {}
    for group_name, group in GROUPS.items():
        runs, _ = _prepare(group)
        for run in runs.values():
            asyncio.run(run(_WARM_UP))
        gc.collect()
        gc.freeze()
        for name, run in runs.items():
            children[f"{group_name} {name}"] = [_in_child(run, number) for number in (calls, 3 * calls)]
    print(json.dumps(children))


def _in_child(run: Run, number: int) -> int:
    child = os.fork()
    if not child:
        asyncio.run(run(number))
        os._exit(0)
    os.waitpid(child, 0)
    return child


# -- The process that asks -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Result:
    """What one row costs.

    Attributes:
        total: Nanoseconds of one, by round.
        added: The same less that of the undecorated code.
        error: Why it was not measured, or nothing.
        instructions: Added instructions, where they were counted.
    """

    total: list[float]
    added: list[float]
    error: str = ""
    instructions: int | None = None


Results = dict[str, dict[str, Result]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rounds", type=int, default=60, help="of each process (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=2000, help="of a half round (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=4, help="of the process (default: %(default)s)")
    parser.add_argument("--no-count", action="store_true", help="do not count instructions")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the tables."""
    results = measure(rounds=options.rounds, calls=options.calls, starts=options.starts)
    notes = []
    if not options.no_count:
        notes.append(missing() or _count(results))
    parts = [_table(GROUPS[name], found) for name, found in results.items()]
    return "\n\n".join(filter(None, (*parts, _verdicts(results), *notes)))


def measure(*, rounds: int, calls: int, starts: int) -> Results:
    """Measure every row of every group, in ``starts`` processes with other hashes."""
    results: Results = {}
    for seed in range(1, starts + 1):
        command = [sys.executable, "-m", "claw_bench.operations", "measure", str(rounds), str(calls)]
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        for name, answer in json.loads(done.stdout).items():
            group = results.setdefault(name, {row: Result([], []) for row in GROUPS[name].rows})
            _add(group, answer)
    return results


def _add(group: dict[str, Result], answer: dict[str, Any]) -> None:
    for row, reason in answer["absent"].items():
        group[row].error = reason
    bare = answer["times"]["bare"]
    for row, times in answer["times"].items():
        group[row].total += times
        group[row].added += [time - without for time, without in zip(times, bare, strict=True)]


def _count(results: Results) -> str:
    try:
        counts = count_runs(["claw_bench.operations", "count", "200"], 200)
    except CountError as error:
        return f"Instructions could not be counted: {error}"
    for key, number in counts.items():
        group, row = key.split()
        results[group][row].instructions = number - counts[f"{group} bare"]
    return ""


def _table(group: Group, found: dict[str, Result]) -> str:
    empty = median(found["empty"].added)
    rows = [
        [group.title, "added ns", "times an empty wrapper", "added instructions", "limit, times"],
        ["---", "---:", "---:", "---:", "---:"],
    ]
    for name, row in group.rows.items():
        result, title = found[name], titled(row.title, row.package)
        if result.error:
            rows.append([title, result.error, "", "", ""])
        elif name == "bare":
            rows.append([title, f"({median(result.total):,.0f} in all)", "", "", ""])
        else:
            first, _, third = quantiles(result.added, n=4)
            added = median(result.added)
            counted = "" if result.instructions is None else f"{result.instructions:,}"
            limit = "" if row.limit is None else f"{row.limit:g}"
            cells = f"{added:,.0f} ({first:,.0f} to {third:,.0f})", f"{added / empty:.2f}", counted, limit
            rows.append([title, *cells])
    return table(rows)


def _verdicts(results: Results) -> str:
    lines = []
    for group, found in results.items():
        for name, row in GROUPS[group].rows.items():
            if row.limit is not None and not found[name].error:
                times = median(found[name].added) / median(found["empty"].added)
                title = f"{GROUPS[group].title}, {row.title.strip('*')}"
                wanted = f"{title}: at most {row.limit:g} times an empty wrapper"
                lines.append(verdict(wanted, f"{times:.2f}", times <= row.limit))
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    """Be the measuring process."""
    match list(words):
        case ["measure", rounds, calls]:
            _measure_here(int(rounds), int(calls))
        case ["count", calls]:
            _count_here(int(calls))


if __name__ == "__main__":
    main(sys.argv[1:])
