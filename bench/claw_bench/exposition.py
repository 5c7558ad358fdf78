"""Time of rendering the metrics, beside prometheus_client's ``generate_latest`` for the same numbers.

Both texts are compared in the run: a faster text that says something else would be worth nothing. In
multiprocess mode four living workers have written the files, and prometheus_client's ``MultiProcessCollector``
reads the same ones. ``python -m claw_bench.exposition work CHILDREN`` is such a worker, ``scrape LINES ROUNDS``
the process that reads them.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time_ns
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client import Counter as ClientCounter
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from claw_bench.memory import BOUNDS, SPEC, labels
from claw_bench.report import table, verdict
from claw_exporter import Metrics
from claw_exporter.exposition import render
from claw_exporter.spec import Counter
from claw_exporter.store import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    Render = Callable[[], bytes]

__all__ = ["arguments", "report"]

TIMES: Final = 10
_WORKERS: Final = 4
_PLENTY: Final = 1_000_000
_LINES_OF_A_HISTOGRAM: Final = len(BOUNDS) + 3  # +Inf, _count, _sum
_COUNTER: Final = Counter(
    name="bench_requests_total", help="Requests.", labels=("method", "endpoint", "status_class")
)


class ExpositionError(Exception):
    """The two texts differ, or one of them cannot be had."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--lines", type=int, action="append", help="lines of a text; may be repeated (1000, 10000, 100000)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of each text (default: %(default)s)")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the table."""
    sizes = options.lines or [1_000, 10_000, 100_000]
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be twice the lines
    rows = [
        ["milliseconds of a text", *(f"{lines:,} lines" for lines in sizes)],
        ["---", *("---:" for _ in sizes)],
    ]
    ratios = []
    for title, fill in (("counters", _counters), ("histograms", _histograms)):
        for form, openmetrics in (("text 0.0.4", False), ("OpenMetrics", True)):
            cells = []
            for lines in sizes:
                ours, theirs = _times(*fill(lines, openmetrics=openmetrics), rounds=options.rounds)
                ratios.append(theirs / ours)
                cells.append(_cell(ours, theirs))
            rows.append([f"{title}, {form}", *cells])
    lines = [verdict(f"at least {TIMES} times as fast", f"{min(ratios):.1f} times at the least", min(ratios) >= TIMES)]
    cells = []
    for size in sizes:
        try:
            ours, theirs = _multiprocess(size, options.rounds)
        except ExpositionError as error:
            cells.append("not measured")
            lines.append(f"- Several workers, {size:,} lines: not measured, {error}.")
        else:
            cells.append(_cell(ours, theirs))
            lines.append(
                verdict(
                    f"a scrape of {_WORKERS} workers at least {TIMES} times as fast, {size:,} lines",
                    f"{theirs / ours:.1f} times",
                    theirs / ours >= TIMES,
                )
            )
    rows.append([f"histograms of {_WORKERS} workers, text 0.0.4", *cells])
    about = "Each cell: ours, prometheus_client's, how many times ours that is. The texts of each pair were equal."
    return f"{table(rows)}\n\n{about}\n\n" + "\n".join(lines)


def _cell(ours: float, theirs: float) -> str:
    return f"{ours:,.2f} / {theirs:,.2f}, {theirs / ours:.1f}×"  # noqa: RUF001  # times


def _times(ours: Render, theirs: Render, *, rounds: int, same: Callable[[bytes], object] = bytes) -> tuple[float, float]:
    """Return the median milliseconds of both; raises ExpositionError where the texts differ."""
    if same(ours()) != same(theirs()):
        raise ExpositionError("the two texts differ")
    gc.collect()
    taken: dict[Render, list[int]] = {ours: [], theirs: []}
    for number in range(rounds):
        for render_once in (ours, theirs) if number % 2 else (theirs, ours):
            started = process_time_ns()
            render_once()
            taken[render_once].append(process_time_ns() - started)
    return median(taken[ours]) / 1e6, median(taken[theirs]) / 1e6


def _value(number: int, place: int) -> int:
    """Return what a bucket has counted: small and large numbers, some with more than six digits."""
    return (number * 7 + place * 13) % 1000 * (1 if number % 10 else 1000)


def _counters(lines: int, *, openmetrics: bool) -> tuple[Render, Render]:
    store, registry = Store(max_series=_PLENTY), CollectorRegistry()
    ours = store.counter(_COUNTER)
    theirs = ClientCounter("bench_requests", _COUNTER.help, _COUNTER.labels, registry=registry)
    for number in range(lines):
        ours.inc(*labels(number), by=_value(number, 0))
        theirs.labels(*labels(number)).inc(_value(number, 0))
    return _renders(store, registry, openmetrics=openmetrics)


def _histograms(lines: int, *, openmetrics: bool) -> tuple[Render, Render]:
    store, registry = Store(max_series=_PLENTY), CollectorRegistry()
    _fill(store, lines // _LINES_OF_A_HISTOGRAM)
    theirs = ClientHistogram(SPEC.name, SPEC.help, SPEC.labels, buckets=BOUNDS, registry=registry)
    for number in range(lines // _LINES_OF_A_HISTOGRAM):
        child = theirs.labels(*labels(number))
        for place, bucket in enumerate(child._buckets):  # noqa: SLF001  # observe() would take minutes
            bucket.inc(_value(number, place))
        child._sum.inc(number / 7)  # noqa: SLF001
    return _renders(store, registry, openmetrics=openmetrics)


def _fill(store: Store, children: int) -> None:
    family = store.histogram(SPEC)
    for number in range(children):
        child = family.child(*labels(number))
        for place in range(len(BOUNDS) + 1):
            child[place] += _value(number, place)
        child[-1] += number / 7


def _renders(store: Store, registry: CollectorRegistry, *, openmetrics: bool) -> tuple[Render, Render]:
    generate = generate_openmetrics if openmetrics else generate_latest
    return lambda: render(store, openmetrics=openmetrics), lambda: generate(registry)


# -- Several workers -----------------------------------------------------------------------------------------


def _multiprocess(lines: int, rounds: int) -> tuple[float, float]:
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": folder}
        for _ in range(_WORKERS):
            worker = stack.enter_context(_start("work", lines // _LINES_OF_A_HISTOGRAM, environment=environment))
            stack.callback(_end, worker)
            assert worker.stdout is not None
            worker.stdout.readline()
        if not list(Path(folder).glob("*.db")):
            raise ExpositionError("the library writes no multiprocess files")
        with _start("scrape", lines, rounds, environment=environment) as reader:
            out, _ = reader.communicate()
        if reader.returncode:
            raise ExpositionError("the reading process failed")
    answer = json.loads(out)
    if "error" in answer:
        raise ExpositionError(answer["error"])
    return answer["ours"], answer["theirs"]


def _start(*words: object, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "claw_bench.exposition", *map(str, words)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _end(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.close()


def _work(children: int) -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=_PLENTY)
    _fill(metrics.store, children)
    print("ready", flush=True)
    sys.stdin.read()  # a worker whose process has ended is read in another way


def _scrape(rounds: int) -> None:
    theirs = CollectorRegistry()
    MultiProcessCollector(theirs)  # type: ignore[no-untyped-call]
    served = Metrics(registry=CollectorRegistry(), max_series=_PLENTY).asgi_app()
    try:
        times = _times(
            lambda: served.body(openmetrics=False, compressed=False),
            lambda: generate_latest(theirs),
            rounds=rounds,
            same=_samples,
        )
    except ExpositionError as error:
        print(json.dumps({"error": str(error)}))
        return
    print(json.dumps({"ours": times[0], "theirs": times[1]}))


def _samples(text: bytes) -> list[bytes]:
    """Return the lines of our benchmark's own metric: each side may add metrics about itself, in any order."""
    return sorted(line for line in text.splitlines() if line.startswith(SPEC.name.encode()))


def main(words: Sequence[str]) -> None:
    """Be a worker, or the process that reads what the workers wrote."""
    match list(words):
        case ["work", children]:
            _work(int(children))
        case ["scrape", _, rounds]:
            _scrape(int(rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
