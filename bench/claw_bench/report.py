"""Measurements as Markdown: tables, where they were measured, and whether they keep what is promised."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
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

__all__ = [
    "instructions_table",
    "load",
    "microseconds_table",
    "surroundings",
    "table",
    "titled",
    "verdict",
]


def surroundings() -> str:
    """Say what is measured and where: date, commit, interpreter, machine, packages, priority."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("starlette", "fastapi", "prometheus-client"))
    niceness = os.nice(0)
    priority = f"at a lowered priority (niceness {niceness})" if niceness else "at normal priority"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} {priority}, commit {_commit()}; "
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} processors; {packages}."
    )


def load() -> str:
    """Say how busy the machine is: its load averages of one, five and fifteen minutes."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # on PATH
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def table(rows: list[list[str]]) -> str:
    """Return a Markdown table; the second row tells how the columns are aligned."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def titled(title: str, package: str) -> str:
    """Return a row's title with the version of its package, where that is known."""
    if not package or package == "fastapi":
        return title
    try:
        return f"{title} {version(package)}"
    except PackageNotFoundError:  # ours, read from its sources
        return title


def verdict(limit: str, found: str, kept: bool) -> str:  # noqa: FBT001  # the last word of a sentence
    """Return a line that tells a limit, what was found, and whether it is kept."""
    return f"- {'Kept' if kept else '**Missed**'}: {limit}; measured {found}."


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
        rows.append([titled(VARIANTS[name].title, VARIANTS[name].package), *cells, VARIANTS[name].records])
    return table(rows)


def instructions_table(counts: Counts) -> str:
    """Return one row per variant: added instructions, and the ratio to ours."""
    ours = counts.get(OURS)
    rows = [["variant", "added instructions per request", "ratio to ours"], ["---", "---:", "---:"]]
    for name, found in counts.items():
        if isinstance(found, Exception):
            rows.append([titled(VARIANTS[name].title, VARIANTS[name].package), f"fails: {found}", ""])
            continue
        ratio = "" if ours is None or isinstance(ours, Exception) else f"{found.added / ours.added:.1f}"
        rows.append([titled(VARIANTS[name].title, VARIANTS[name].package), f"{found.added:,}", ratio])
    return table(rows)


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
