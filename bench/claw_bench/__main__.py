"""The command line: ``python -m claw_bench [microseconds | instructions]``, which prints Markdown."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from claw_bench.apps import APPS
from claw_bench.instructions import CountError, Instructions, count, missing
from claw_bench.microseconds import Difference, measure
from claw_bench.report import instructions_table, microseconds_table, surroundings
from claw_bench.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def _chosen(names: Sequence[str] | None, app: str) -> list[str]:
    return [name for name, variant in VARIANTS.items() if app in variant.apps and name in (names or VARIANTS)]


def _microseconds(options: argparse.Namespace) -> None:
    before, results = surroundings(), dict[str, dict[str, Difference]]()
    for app in options.app or APPS:
        results[app] = measure(
            app,
            _chosen(options.variant, app),
            repetitions=options.repetitions,
            requests=options.requests,
            starts=options.starts,
        )
    print(f"Before: {before}\nAfter: {surroundings()}\n\n{microseconds_table(results)}")


def _instructions(options: argparse.Namespace) -> None:
    if reason := missing():
        print(reason, file=sys.stderr)
        return
    for app in options.app or ("starlette",):
        counts: dict[str, Instructions | CountError] = {}
        for name in _chosen(options.variant, app):
            try:
                counts[name] = count(app, name, requests=options.requests)
            except CountError as error:
                counts[name] = error
        print(f"{app}. {surroundings()}\n\n{instructions_table(counts)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="claw_bench", description="What metrics middleware adds to a request."
    )
    parser.add_argument("what", choices=("microseconds", "instructions"))
    parser.add_argument("--app", action="append", choices=APPS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="the same")
    parser.add_argument("--requests", type=int, default=60, help="requests of a run (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=50, help="pairs of a start (default: %(default)s)")
    parser.add_argument(
        "--starts", type=int, default=4, help="starts of the processes (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    {"microseconds": _microseconds, "instructions": _instructions}[options.what](options)


if __name__ == "__main__":
    main()
