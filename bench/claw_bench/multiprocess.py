"""What several worker processes cost: added processor time with and without ``PROMETHEUS_MULTIPROC_DIR``.

The same pairs as in `claw_bench.microseconds`; each library is measured both ways in one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from claw_bench.apps import APPS, TITLES
from claw_bench.instructions import CountError, Instructions, count, missing
from claw_bench.microseconds import Case, Difference, add_sizes, measure
from claw_bench.report import table, titled, verdict
from claw_bench.variants import OURS, VARIANTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    Found = Mapping[Case, Difference]

__all__ = ["arguments", "report"]

TIMES: Final = 1.5
_NAMES: Final = [name for name, variant in VARIANTS.items() if variant.multiprocess]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--app", action="append", choices=APPS, help="only this one; may be repeated")
    parser.add_argument("--variant", action="append", choices=_NAMES, help="the same")
    add_sizes(parser)
    parser.add_argument("--no-count", action="store_true", help="do not count instructions")


def report(options: argparse.Namespace) -> str:
    """Measure, and return the tables."""
    names = options.variant or _NAMES
    cases = [Case(name, multiprocess) for name in names for multiprocess in (False, True)]
    results = {
        app: measure(
            app,
            cases,
            repetitions=options.repetitions,
            requests=options.requests,
            starts=options.starts,
        )
        for app in options.app or APPS
    }
    parts = [_table(results, names)]
    if not options.no_count:
        parts.append(missing() or _instructions(names))
    return "\n\n".join((*parts, _verdict(results)))


def _table(results: Mapping[str, Found], names: list[str]) -> str:
    rows = [
        ["added µs per request", *(TITLES[app] for app in results)],
        ["---", *("---:" for _ in results)],
    ]
    for name in names:
        title = titled(VARIANTS[name].title, VARIANTS[name].package)
        rows.append([f"{title}, one process", *(_cell(found[Case(name)]) for found in results.values())])
        rows.append([f"{title}, multiprocess", *(_both(found, name) for found in results.values())])
    return table(rows)


def _cell(difference: Difference) -> str:
    if difference.error:
        return f"not measured ({difference.error.partition(':')[0]})"
    first, third = difference.quartiles
    return f"{difference.median:.2f} ({first:.2f} to {third:.2f})"


def _both(found: Found, name: str) -> str:
    ratio = _ratio(found, name)
    text = _cell(found[Case(name, multiprocess=True)])
    return text if ratio is None else f"{text}, {ratio:.2f}×"  # noqa: RUF001  # times


def _ratio(found: Found, name: str) -> float | None:
    one, several = found[Case(name)], found[Case(name, multiprocess=True)]
    return several.median / one.median if one.added and several.added and one.median > 0 else None


def _instructions(names: list[str]) -> str:
    rows = [
        ["added instructions per request, Starlette", "one process", "multiprocess", "ratio"],
        ["---", "---:", "---:", "---:"],
    ]
    for name in names:
        title = titled(VARIANTS[name].title, VARIANTS[name].package)
        one, several = (_count(name, multiprocess=multiprocess) for multiprocess in (False, True))
        if isinstance(one, Instructions) and isinstance(several, Instructions):
            rows.append([title, f"{one.added:,}", f"{several.added:,}", f"{several.added / one.added:.2f}"])
        else:
            rows.append([title, *(_counted(each) for each in (one, several)), ""])
    return table(rows)


def _count(name: str, *, multiprocess: bool) -> Instructions | CountError:
    try:
        return count("starlette", name, requests=60, multiprocess=multiprocess)
    except CountError as error:
        return error


def _counted(found: Instructions | CountError) -> str:
    return f"{found.added:,}" if isinstance(found, Instructions) else f"not counted ({found})"


def _verdict(results: Mapping[str, Found]) -> str:
    ratios = {
        app: ratio
        for app, found in results.items()
        if Case(OURS) in found and (ratio := _ratio(found, OURS)) is not None
    }
    if not ratios:
        return "Our multiprocess mode could not be measured."
    text = ", ".join(f"{ratio:.2f} ({TITLES[app]})" for app, ratio in ratios.items())
    wanted = f"multiprocess at most {TIMES} times our single-process cost"
    return verdict(wanted, text, max(ratios.values()) <= TIMES)
