"""Measurements as Markdown tables."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import TYPE_CHECKING

from claw_bench.apps import TITLES
from claw_bench.variants import OURS, VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claw_bench.instructions import CountError, Instructions
    from claw_bench.microseconds import Difference

    Differences = Mapping[str, Difference]
    Counts = Mapping[str, Instructions | CountError]

__all__ = ["instructions_table", "microseconds_table", "surroundings"]


def surroundings() -> str:
    """Say where this is measured, and how busy the machine is."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    packages = ", ".join(f"{name} {version(name)}" for name in ("starlette", "fastapi", "prometheus-client"))
    return (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} processors; {packages}; load average {load}."
    )


def microseconds_table(results: Mapping[str, Differences]) -> str:
    """Return one row per variant and column per application: median, quartiles, ratio to ours."""
    names = list(dict.fromkeys(name for differences in results.values() for name in differences))
    rows = [
        ["added µs per request", *(TITLES[app] for app in results), "records"],
        ["---", *("---:" for _ in results), "---"],
        ["(without: µs per request)", *(_bare(differences) for differences in results.values()), ""],
    ]
    for name in names:
        cells = [_difference(differences, name) for differences in results.values()]
        rows.append([_title(name), *cells, VARIANTS[name].records])
    return _table(rows)


def instructions_table(counts: Counts) -> str:
    """Return one row per variant: added instructions, and the ratio to ours."""
    ours = counts.get(OURS)
    rows = [["variant", "added instructions per request", "ratio to ours"], ["---", "---:", "---:"]]
    for name, found in counts.items():
        if isinstance(found, Exception):
            rows.append([_title(name), f"fails: {found}", ""])
            continue
        ratio = "" if ours is None or isinstance(ours, Exception) else f"{found.added / ours.added:.1f}"
        rows.append([_title(name), f"{found.added:,}", ratio])
    return _table(rows)


def _bare(differences: Differences) -> str:
    times = [time for difference in differences.values() for time in difference.bare]
    return f"{median(times):.1f}" if times else "–"  # noqa: RUF001  # a dash in a table


def _difference(differences: Differences, name: str) -> str:
    difference, ours = differences.get(name), differences.get(OURS)
    if difference is None:
        return "not for it"
    if difference.error:
        return f"fails ({difference.error.partition(':')[0]})"
    first, third = difference.quartiles
    text = f"{difference.median:.2f} ({first:.2f} to {third:.2f})"
    if ours is None or ours.error or ours is difference or ours.median <= 0 or not VARIANTS[name].package:
        return text
    return f"{text}, {difference.median / ours.median:.1f}×"  # noqa: RUF001  # times


def _title(name: str) -> str:
    variant = VARIANTS[name]
    if not variant.package or variant.package == "fastapi":
        return variant.title
    try:
        return f"{variant.title} {version(variant.package)}"
    except PackageNotFoundError:  # ours, read from its sources
        return variant.title


def _table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
