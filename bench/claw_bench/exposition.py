"""Time of rendering the metrics, beside prometheus_client's ``generate_latest`` for the same numbers.

Each library renders in a process of its own (the garbage collector walks through everything a process holds),
in turn. Both texts are compared in the run: a faster text that says something else would be worth nothing.
In multiprocess mode four living workers have written the files, and prometheus_client's
``MultiProcessCollector`` reads the same ones.

``python -m claw_bench.exposition render LIBRARY KIND FORM LINES`` is a process that renders,
``python -m claw_bench.exposition work CHILDREN`` a worker.
"""

from __future__ import annotations

import gc
import hashlib
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
    parser.add_argument("--rounds", type=int, default=7, help="of each text (default: %(default)s)")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the table."""
    sizes = options.lines or [1_000, 10_000, 100_000]
    rows = [
        ["milliseconds of a text", *(f"{lines:,} lines" for lines in sizes)],
        ["---", *("---:" for _ in sizes)],
    ]
    notes = []
    for title, kind, form in _TEXTS:
        cells, ratios = [], []
        for lines in sizes:
            try:
                ours, theirs = _times(kind, form, lines, options.rounds)
            except ExpositionError as error:
                cells.append(f"not measured ({error})")
            else:
                cells.append(f"{ours:,.2f} / {theirs:,.2f}, {theirs / ours:.1f}×")  # noqa: RUF001  # times
                ratios.append(theirs / ours)
        rows.append([title, *cells])
        if ratios:
            text = ", ".join(f"{ratio:.1f}" for ratio in ratios)
            notes.append(verdict(f"{title}: at least {TIMES} times as fast", f"{text}", min(ratios) >= TIMES))
    about = "Each cell: ours, prometheus_client's, their ratio. The texts of each pair were equal."
    return f"{table(rows)}\n\n{about}\n\n" + "\n".join(notes)


def _times(kind: str, form: str, lines: int, rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of our text and of prometheus_client's."""
    with ExitStack() as stack:
        environment = _workers(stack, lines) if kind == "workers" else dict(os.environ)
        libraries = [
            stack.enter_context(_start("render", library, kind, form, lines, environment=environment))
            for library in ("ours", "client")
        ]
        for process in libraries:
            stack.callback(_end, process)
        if len({_answer(process) for process in libraries}) != 1:
            raise ExpositionError("the two texts differ")
        taken: list[list[float]] = [[], []]
        for number in range(rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                _ask(libraries[place])
                taken[place].append(float(_answer(libraries[place])))
    return median(taken[0]), median(taken[1])


def _workers(stack: ExitStack, lines: int) -> dict[str, str]:
    """Start the workers, and return the environment in which their numbers can be read."""
    folder = stack.enter_context(TemporaryDirectory())
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": folder}
    for _ in range(_WORKERS):
        worker = stack.enter_context(_start("work", lines // _LINES_OF_A_HISTOGRAM, environment=environment))
        stack.callback(_end, worker)
        _answer(worker)
    if not list(Path(folder).glob("*.db")):
        raise ExpositionError("the library writes no multiprocess files")
    return environment


def _start(*words: object, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "claw_bench.exposition", *map(str, words)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _ask(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    print(file=process.stdin, flush=True)


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ExpositionError("the process ended")
    return line


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


# -- The process that renders --------------------------------------------------------------------------------


def _render(library: str, kind: str, form: str, lines: int) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be twice the lines
    openmetrics = form == "openmetrics"
    make: Render = _RENDERS[library, kind](lines, openmetrics)
    text = make()
    same = _samples(text) if kind == "workers" else text
    print(hashlib.sha256(same).hexdigest(), flush=True)
    gc.collect()
    for _ in sys.stdin:
        started = process_time_ns()
        make()
        print((process_time_ns() - started) / 1e6, flush=True)


def _samples(text: bytes) -> bytes:
    """Return the lines of our benchmark's own metric, sorted: each side may add metrics about itself."""
    lines = sorted(line for line in text.splitlines() if line.startswith(SPEC.name.encode()))
    if not lines:
        raise ExpositionError("the workers' numbers are not in the text")
    return b"\n".join(lines)


def _value(number: int, place: int) -> int:
    """Return what a bucket has counted: small and large numbers, some with more than six digits."""
    return (number * 7 + place * 13) % 1000 * (1 if number % 10 else 1000)


def _our_counters(lines: int, openmetrics: bool) -> Render:  # noqa: FBT001  # a row of the table
    store = Store(max_series=_PLENTY)
    family = store.counter(_COUNTER)
    for number in range(lines):
        family.inc(*labels(number), by=_value(number, 0))
    return lambda: render(store, openmetrics=openmetrics)


def _their_counters(lines: int, openmetrics: bool) -> Render:  # noqa: FBT001
    registry = CollectorRegistry()
    family = ClientCounter("bench_requests", _COUNTER.help, _COUNTER.labels, registry=registry)
    for number in range(lines):
        family.labels(*labels(number)).inc(_value(number, 0))
    return _generate(registry, openmetrics=openmetrics)


def _our_histograms(lines: int, openmetrics: bool) -> Render:  # noqa: FBT001
    store = Store(max_series=_PLENTY)
    _fill(store, lines // _LINES_OF_A_HISTOGRAM)
    return lambda: render(store, openmetrics=openmetrics)


def _their_histograms(lines: int, openmetrics: bool) -> Render:  # noqa: FBT001
    registry = CollectorRegistry()
    family = ClientHistogram(SPEC.name, SPEC.help, SPEC.labels, buckets=BOUNDS, registry=registry)
    for number in range(lines // _LINES_OF_A_HISTOGRAM):
        child = family.labels(*labels(number))
        for place, bucket in enumerate(child._buckets):  # noqa: SLF001  # observe() would take minutes
            bucket.inc(_value(number, place))
        child._sum.inc(number / 7)  # noqa: SLF001
    return _generate(registry, openmetrics=openmetrics)


def _our_scrape(_lines: int, openmetrics: bool) -> Render:  # noqa: FBT001
    served = Metrics(registry=CollectorRegistry(), max_series=_PLENTY).asgi_app()
    return lambda: served.body(openmetrics=openmetrics, compressed=False)


def _their_scrape(_lines: int, openmetrics: bool) -> Render:  # noqa: FBT001
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return _generate(registry, openmetrics=openmetrics)


def _generate(registry: CollectorRegistry, *, openmetrics: bool) -> Render:
    generate: Callable[[CollectorRegistry], bytes] = generate_openmetrics if openmetrics else generate_latest
    return lambda: generate(registry)


_RENDERS: Final = {
    ("ours", "counters"): _our_counters,
    ("client", "counters"): _their_counters,
    ("ours", "histograms"): _our_histograms,
    ("client", "histograms"): _their_histograms,
    ("ours", "workers"): _our_scrape,
    ("client", "workers"): _their_scrape,
}
_TEXTS: Final = (
    ("counters, text 0.0.4", "counters", "text"),
    ("counters, OpenMetrics", "counters", "openmetrics"),
    ("histograms, text 0.0.4", "histograms", "text"),
    ("histograms, OpenMetrics", "histograms", "openmetrics"),
    (f"scrape of {_WORKERS} workers' histograms, text 0.0.4", "workers", "text"),
)


# -- A worker ------------------------------------------------------------------------------------------------


def _work(children: int) -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=_PLENTY)
    _fill(metrics.store, children)
    print("ready", flush=True)
    sys.stdin.read()  # the files of a process that has ended are read in another way


def _fill(store: Store, children: int) -> None:
    family = store.histogram(SPEC)
    for number in range(children):
        child = family.child(*labels(number))
        for place in range(len(BOUNDS) + 1):
            child[place] += _value(number, place)
        child[-1] += number / 7


def main(words: Sequence[str]) -> None:
    """Be a process that renders, or a worker."""
    match list(words):
        case ["work", children]:
            _work(int(children))
        case ["render", library, kind, form, lines]:
            _render(library, kind, form, int(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
