"""Bytes of one child of a histogram with 14 bounds and three labels, ours and prometheus_client's.

Each number comes from a process of its own, ``python -m claw_bench.memory LIBRARY METER OBSERVED CHILDREN``:
tracemalloc counts what Python asked for, the resident set what the machine gave. Observed children have
counted 300 values in every bucket: numbers above 256 in a list are objects of their own in Python.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as ClientHistogram

from claw_bench.report import table, verdict
from claw_exporter.spec import Histogram
from claw_exporter.store import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    # Takes the label values of a new child and how often each of its buckets counts.
    Make = Callable[[tuple[str, str, str], int], None]

__all__ = ["BOUNDS", "SPEC", "arguments", "labels", "report"]

LIMIT: Final = 600
_OBSERVED: Final = 300
_TIMES: Final = 10
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SPEC: Final = Histogram(
    name="bench_request_duration_seconds",
    help="Duration of a request.",
    labels=("method", "endpoint", "status_class"),
    buckets=BOUNDS,
)
_PAGE: Final = os.sysconf("SC_PAGESIZE")


def labels(number: int) -> tuple[str, str, str]:
    """Return the label values of one child: a hundred endpoints of one resource after the other."""
    return (("GET", "POST")[number % 2], f"/api/resource-{number // 10}/items", f"{number % 10}xx")


def _ours() -> Make:
    family = Store(max_series=1_000_000).histogram(SPEC)

    def make(values: tuple[str, str, str], observed: int) -> None:
        child = family.child(*values)
        for place in range(len(child) - 1):
            child[place] += observed
        child[-1] += float(observed)

    return make


def _client() -> Make:
    family = ClientHistogram(SPEC.name, SPEC.help, SPEC.labels, buckets=BOUNDS, registry=CollectorRegistry())

    def make(values: tuple[str, str, str], observed: int) -> None:
        child = family.labels(*values)
        if observed:
            for bucket in child._buckets:  # noqa: SLF001  # 300 times observe() would take minutes
                bucket.inc(observed)
            child._sum.inc(observed)  # noqa: SLF001

    return make


_LIBRARIES: Final[dict[str, Callable[[], Make]]] = {"ours": _ours, "client": _client}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


_METERS: Final[dict[str, Callable[[], int]]] = {"tracemalloc": _traced, "rss": _resident}


def _measure_here(library: str, meter: str, observed: int, children: int) -> float:
    make, read = _LIBRARIES[library](), _METERS[meter]
    for number in range(_TIMES):  # what the first child brings with it is not the others'
        make(("-", "-", str(number)), observed)
    gc.collect()
    if meter == "tracemalloc":
        tracemalloc.start()
    before = read()
    for number in range(children):
        make(labels(number), observed)
    gc.collect()
    return (read() - before) / children


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--children", type=int, default=20_000, help="made (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=3, help="processes per number (default: %(default)s)")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the table."""
    rows = [
        ["bytes of a histogram child (14 bounds, 3 labels)", "ours", "prometheus_client", "ratio"],
        ["---", "---:", "---:", "---:"],
    ]
    worst = 0.0
    for observed, state in ((0, "nothing counted yet"), (_OBSERVED, f"{_OBSERVED} in every bucket")):
        for meter, title in (("tracemalloc", "asked for (tracemalloc)"), ("rss", "resident (RSS)")):
            ours, client = (
                median(_ask(library, meter, observed, options.children) for _ in range(options.starts))
                for library in _LIBRARIES
            )
            rows.append([f"{title}, {state}", f"{ours:,.0f}", f"{client:,.0f}", f"{client / ours:.1f}"])
            worst = max(worst, ours)
    wanted = f"at most {LIMIT} bytes a histogram child, whatever it has counted"
    return f"{table(rows)}\n\n{verdict(wanted, f'{worst:,.0f} at the most', worst <= LIMIT)}"


def _ask(library: str, meter: str, observed: int, children: int) -> float:
    words = [sys.executable, "-m", "claw_bench.memory", library, meter, str(observed), str(children)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout))


def main(words: Sequence[str]) -> None:
    """Be the measuring process."""
    library, meter, observed, children = words
    print(json.dumps(_measure_here(library, meter, int(observed), int(children))))


if __name__ == "__main__":
    main(sys.argv[1:])
