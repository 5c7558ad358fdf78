"""Writes what is derived from the catalogue: ``exporter/metrics.json`` and the tables of the metrics page.

A tool of this repository, `python -m claw_exporter.render [--check] [ROOT]`; the library does not import it.
The page is written by hand around its tables: each stands between ``<!-- table NAME ... -->`` and
``<!-- end table -->``, and NAME is one of `GROUPS`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.catalog import CATALOG
from claw_exporter.exposition import go_float
from claw_exporter.spec import Histogram, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["GROUPS", "example", "group_of", "main", "metrics_json", "page", "table"]

METRICS_JSON: Final = Path("exporter/metrics.json")
PAGE: Final = Path("docs/MONITORING_METRICS.md")

# Table name -> what the names of its metrics begin with; the first group that fits has the metric.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "http": ("claw_ai_http_", "claw_ai_websocket_"),
    "ai": ("claw_ai_ai_", "claw_ai_guardrail_", "claw_ai_retrieval_"),
    "agents": ("claw_ai_agent_", "claw_ai_tool_"),
    "stores": ("claw_ai_vector_db_", "claw_ai_redis_operation_", "claw_ai_db_"),
    "tasks": ("claw_ai_queue_task", "claw_ai_event_loop_"),
    "business": ("claw_ai_conversations_", "claw_ai_messages_"),
    "logs": ("claw_ai_log_",),
    "self": ("claw_ai_build_", "claw_ai_exporter_"),
    "backup": ("claw_ai_backup_",),
    "process": ("claw_ai_",),
}

# End of a metric's name, or its type -> a query; the first that fits.
_EXAMPLES: Final[dict[str, str]] = {
    "_timestamp_seconds": "time() - max by ({by}) ({name})",
    "_info": "count by ({by}) ({name})",
    "_usd_total": "sum by ({by}) (increase({name}[1d]))",
    "counter": "sum by ({by}) (rate({name}[5m]))",
    "histogram": "histogram_quantile(0.95, sum by (le, {by}) (rate({name}_bucket[5m])))",
    "gauge": "max by ({by}) ({name})",
}

_TABLE: Final = re.compile(r"<!-- table (?P<name>\w+)[^>]*-->\n(?:.*?\n)??<!-- end table -->", re.DOTALL)
_UNITS: Final = {"": "count", "usd": "US dollars"}


class RenderError(Exception):
    """The page or the place is not what this tool expects; the message says what to do."""


def metrics_json(catalog: Iterable[Metric] = CATALOG) -> str:
    """Return a catalogue as JSON: metric name -> what it is."""
    entries = {metric.name: _entry(metric) for metric in catalog}
    return json.dumps(entries, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _entry(metric: Metric) -> dict[str, Any]:
    entry = dataclasses.asdict(metric) | {"type": metric.type}
    del entry["name"]
    return entry


def group_of(metric: Metric) -> str:
    """Return the table that has a metric."""
    return next(name for name, prefixes in GROUPS.items() if metric.name.startswith(prefixes))


def table(name: str) -> str:
    """Return one table of the page, and below it the bounds of its histograms and a query for each metric."""
    metrics = [metric for metric in CATALOG if group_of(metric) == name]
    lines = ["| metric | type | unit | labels | meaning |", "|---|---|---|---|---|"]
    lines += [_row(metric) for metric in metrics]
    histograms = [metric for metric in metrics if isinstance(metric, Histogram)]
    if histograms:
        lines += ["", "| histogram | upper bounds of its buckets |", "|---|---|"]
        lines += [f"| `{metric.name}` | {_bounds(metric)} |" for metric in histograms]
    lines += ["", "| metric | a query to start from |", "|---|---|"]
    lines += [f"| `{metric.name}` | `{example(metric)}` |" for metric in metrics]
    return "\n".join(lines)


def example(metric: Metric) -> str:
    """Return a query that shows a metric: a rate, quantile, age or value, by the job and two labels."""
    fitting = (
        query for ending, query in _EXAMPLES.items() if metric.name.endswith(ending) or metric.type == ending
    )
    return next(fitting).format(name=metric.name, by=", ".join(("job", *metric.labels[:2])))


def _row(metric: Metric) -> str:
    labels = ", ".join(_label(metric, label) for label in metric.labels) or "none"
    unit = _UNITS.get(metric.unit, metric.unit)
    meaning = metric.help.replace("|", r"\|")
    return f"| `{metric.name}` | {metric.type} | {unit} | {labels} | {meaning} |"


def _label(metric: Metric, label: str) -> str:
    values = metric.values.get(label)
    return f"`{label}` ({', '.join(values)})" if values else f"`{label}`"


def _bounds(metric: Histogram) -> str:
    return ", ".join(go_float(bound).removesuffix(".0") for bound in metric.buckets)


def page(text: str) -> str:
    """Return the page with its tables written anew.

    Raises:
        RenderError: A table is missing, is there twice, or is unknown.
    """
    names = [match["name"] for match in _TABLE.finditer(text)]
    if sorted(names) != sorted(GROUPS):
        raise RenderError(
            f"{PAGE} has the tables {sorted(names)}, but needs each of {sorted(GROUPS)} once, as "
            "<!-- table NAME --> followed by <!-- end table --> on lines of their own"
        )
    return _TABLE.sub(_table_block, text)


def _table_block(match: re.Match[str]) -> str:
    name = match["name"]
    opening = f"<!-- table {name}: written by `make generate` from exporter/src/claw_exporter/catalog.py -->"
    return f"{opening}\n{table(name)}\n<!-- end table -->"


def _root(given: str | None) -> Path:
    if given is not None:
        return Path(given)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "exporter" / "pyproject.toml").is_file():
            return folder
    raise RenderError(f"{here} is not inside the repository: pass its root as an argument")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` name those that differ.

    Returns:
        0; 1 where ``--check`` found a difference; 2 where nothing could be done.
    """
    parser = argparse.ArgumentParser(prog="python -m claw_exporter.render", description=__doc__)
    parser.add_argument("root", nargs="?", help="root of the repository (found from here where not given)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    options = parser.parse_args(arguments)
    try:
        root = _root(options.root)
        wanted = {METRICS_JSON: metrics_json(), PAGE: page(_text(root / PAGE))}
    except (RenderError, OSError) as error:
        print(f"render: {error}", file=sys.stderr)  # noqa: T201  # a command's message
        return 2
    stale = [path for path, text in wanted.items() if _text(root / path, default="") != text]
    for path in stale:
        if options.check:
            print(f"{path} is not what the catalogue says: run `make generate`", file=sys.stderr)  # noqa: T201  # as above
        else:
            (root / path).write_text(wanted[path], encoding="utf-8")
    return 1 if stale and options.check else 0


def _text(path: Path, default: str | None = None) -> str:
    if default is not None and not path.exists():
        return default
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
