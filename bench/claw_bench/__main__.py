"""The command line: ``python -m claw_bench [PART [OPTIONS]]``, which prints Markdown."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Final

from claw_bench.report import load, surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PARTS", "main"]

# Each is a module with `arguments(parser)` and `report(options)`.
PARTS: Final = {
    "microseconds": "processor time that the middleware and its peers add to a request",
    "instructions": "the same in instructions, which no load changes (needs valgrind)",
    "multiprocess": "processor time with several worker processes, beside a single one",
    "operations": "what a decorator adds to a call and to a streamed chunk",
    "exposition": "rendering the metrics, beside prometheus_client's generate_latest",
    "memory": "bytes of a histogram's child",
    "panels": "time of every query of every dashboard, over a store of a month",
    "server": "requests per second and latency of the example app under uvicorn",
}
# What runs in this process tree alone, without fetching programs.
ALL: Final = tuple(part for part in PARTS if part not in ("panels", "server"))


def main(words: Sequence[str] | None = None) -> None:
    """Measure one part, or all that need no fetched programs, and print tables."""
    parser = _parser()
    options = parser.parse_args(words)
    parts = ALL if options.part == "all" else (options.part,)
    print(surroundings())
    for part in parts:
        chosen = parser.parse_args([part]) if options.part == "all" else options
        before = load()
        report = import_module(f"claw_bench.{part}").report(chosen)
        print(f"\n## {part}\n\n{report}\n\nLoad average {before} before, {load()} after.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claw_bench",
        description="What measuring costs, as Markdown. See docs/PERFORMANCE.md.",
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    parts.add_parser("all", help="every part that needs no fetched programs, each with its defaults")
    for name, about in PARTS.items():
        part = parts.add_parser(name, help=about, description=about)
        import_module(f"claw_bench.{name}").arguments(part)
    return parser


if __name__ == "__main__":
    main()
