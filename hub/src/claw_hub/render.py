"""Writes what is derived from tables in the code: ``hub/metrics.json`` and the tables of docs/HUB.md.

A tool of this repository, ``python -m claw_hub.render [--check] [ROOT]``.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from claw_exporter.render import metrics_json
from claw_hub import errors
from claw_hub.catalog import CATALOG
from claw_hub.settings import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main", "page"]

METRICS_JSON: Final = Path("hub/metrics.json")
PAGE: Final = Path("docs/HUB.md")
_TABLE: Final = re.compile(r"<!-- table (\w+)[^>]*-->\n(?:.*?\n)??<!-- end table -->", re.DOTALL)


def page(text: str) -> str:
    """Returns the page with its tables written anew."""
    tables = {"settings": _settings, "errors": _errors, "metrics": _metrics}

    def written(found: re.Match[str]) -> str:
        name = found[1]
        opening = f"<!-- table {name}: written by `make generate` from hub/src/claw_hub -->"
        return "\n".join([opening, *tables[name](), "<!-- end table -->"])

    return _TABLE.sub(written, text)


def _settings() -> Iterator[str]:
    yield from ("| variable | what it is for (default) |", "|---|---|")
    for name, about in VARIABLES.items():
        yield f"| `{name}` | {about} |"


def _errors() -> Iterator[str]:
    yield from ("| id | status | meaning |", "|---|---|---|")
    kinds = [getattr(errors, name) for name in errors.__all__]
    for kind in sorted(kinds, key=lambda one: (one.status, one.error_id)):
        if kind is not errors.SettingsError:
            meaning = (kind.__doc__ or "").partition("\n")[0]
            meaning = "The hub itself is wrong; its log says how." if kind is errors.HubError else meaning
            yield f"| `{kind.error_id}` | {kind.status} | {meaning} |"


def _metrics() -> Iterator[str]:
    yield from ("| metric | type | labels | meaning |", "|---|---|---|---|")
    for metric in CATALOG:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or with ``--check`` names those that differ; 1 where one does."""
    parser = argparse.ArgumentParser(prog="python -m claw_hub.render", description=__doc__)
    parser.add_argument("root", nargs="?", default=".", help="root of the repository")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    options = parser.parse_args(arguments)
    root = Path(options.root)
    before = {path: _text(root / path) for path in (METRICS_JSON, PAGE)}
    wanted = {METRICS_JSON: metrics_json(CATALOG), PAGE: page(before[PAGE])}
    stale = [path for path, text in wanted.items() if before[path] != text]
    for path in stale:
        if options.check:
            sys.stderr.write(f"{path} is not what the code says: run `make generate`\n")
        else:
            (root / path).write_text(wanted[path], encoding="utf-8")
    return 1 if stale and options.check else 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
