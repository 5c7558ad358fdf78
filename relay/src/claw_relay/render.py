"""Writes what is derived from the catalogue: ``relay/metrics.json`` and the table in docs/NOTIFICATIONS.md.

A tool of this repository, ``python -m claw_relay.render [--check] [ROOT]``.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from claw_exporter.render import metrics_json
from claw_relay.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "page"]

METRICS_JSON: Final = Path("relay/metrics.json")
PAGE: Final = Path("docs/NOTIFICATIONS.md")
_TABLE: Final = re.compile(r"<!-- table relay[^>]*-->\n(?:.*?\n)??<!-- end table -->", re.DOTALL)


def page(text: str) -> str:
    """Returns the page with its table written anew."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in CATALOG:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    opening = "<!-- table relay: written by `make generate` from relay/src/claw_relay/catalog.py -->"
    block = "\n".join([opening, *lines, "<!-- end table -->"])
    return _TABLE.sub(lambda _: block, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or with ``--check`` names those that differ; 1 where one does."""
    parser = argparse.ArgumentParser(prog="python -m claw_relay.render", description=__doc__)
    parser.add_argument("root", nargs="?", default=".", help="root of the repository")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    options = parser.parse_args(arguments)
    root = Path(options.root)
    before = {path: _text(root / path) for path in (METRICS_JSON, PAGE)}
    wanted = {METRICS_JSON: metrics_json(CATALOG), PAGE: page(before[PAGE])}
    stale = [path for path, text in wanted.items() if before[path] != text]
    for path in stale:
        if options.check:
            sys.stderr.write(f"{path} is not what the catalogue says: run `make generate`\n")
        else:
            (root / path).write_text(wanted[path], encoding="utf-8")
    return 1 if stale and options.check else 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
