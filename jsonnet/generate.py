"""Write every file that is derived from Jsonnet: rules, alerts, routes, dashboards.

``python jsonnet/generate.py`` writes them and removes the ones it once wrote that nothing asks for any more;
``--check`` writes nothing and fails on any difference. Exit codes: 0 all well, 1 the files on disk differ,
2 the sources are broken.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import _jsonnet

import documents
import expressions
from catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OUTPUTS: Final = (
    "prometheus/rules",
    "alertmanager",
    "alertmanager/templates",
    "grafana/dashboards",
    "relay",
)
"""Folders that generated files are written to, and where orphans are looked for."""
CATALOGUES: Final = ("jsonnet/vendor-metrics.json", "exporter/metrics.json", "relay/metrics.json")
"""Files that say which metrics exist."""
FRAME: Final = re.compile(r"(?P<file>[^\s:()]+\.(?:lib)?j?sonnet|[^\s:()]+\.json):\(?(?P<line>\d+)")
UP_AGAIN: Final = re.compile(r"[^/\s]+/\.\./")
"""A folder that a path enters only to leave it, as Jsonnet's imports do."""
UNKNOWN: Final = re.compile(r"unknown metric (?P<name>\w+)")
INTERNALS: Final = ("jsonnet/lib/", "jsonnet/metrics.libsonnet", "jsonnet/mixin.libsonnet")
"""Files whose place in a trace says little about where the mistake is."""


class BuildError(Exception):
    """The sources are broken; the message has one line per mistake."""


@dataclass(frozen=True, slots=True)
class Build:
    """What an evaluation came to.

    Attributes:
        files: Path below the root -> text.
        expressions: How many expressions were checked.
    """

    files: Mapping[str, str]
    expressions: int


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit code is in the module's docstring."""
    options = _options(arguments)
    started = time.perf_counter()
    try:
        built = build(options.root)
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    lines = list(compare(options.root, built.files)) if options.check else write(options.root, built.files)
    seconds = time.perf_counter() - started
    verdict = "all up to date"
    if lines:
        verdict = f"{len(lines)} differ, run make generate" if options.check else f"{len(lines)} changed"
    summary = f"{len(built.files)} files, {built.expressions} expressions, {seconds:.1f} s: {verdict}"
    sys.stdout.write(f"jsonnet: {summary}\n")
    (sys.stderr if options.check else sys.stdout).writelines(f"  {line}\n" for line in lines)
    return 1 if options.check and lines else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="generate.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail on any difference")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parent.parent, help="root of the repository"
    )
    return parser.parse_args(arguments)


def build(root: Path) -> Build:
    """Evaluate ``jsonnet/main.jsonnet`` and check every expression in what it returns.

    Args:
        root: The repository.

    Raises:
        BuildError: The Jsonnet does not evaluate, or an expression uses something that does not exist.
    """
    outputs = evaluate(root)
    uses = expressions.find({path: output["document"] for path, output in outputs.items()})
    problems = expressions.check(uses, load_catalogue(root))
    if problems:
        raise BuildError("\n".join(dict.fromkeys(problems)))
    files = {path: documents.render(path, **output) for path, output in outputs.items()}
    return Build(files, len(uses))


def load_catalogue(root: Path) -> Catalogue:
    """Return the metrics that exist."""
    try:
        return Catalogue.load(*(root / name for name in CATALOGUES))
    except (OSError, TypeError, ValueError) as error:
        raise BuildError(f"the metric catalogue cannot be read: {error}; make generate writes it") from error


def evaluate(root: Path) -> dict[str, Any]:
    """Return what ``jsonnet/main.jsonnet`` evaluates to: path -> source and document."""
    main_file = root / "jsonnet/main.jsonnet"
    try:
        text = _jsonnet.evaluate_file(str(main_file))
    except RuntimeError as error:
        raise BuildError(_with_nearest(explain(str(error), root), root)) from None
    outputs = json.loads(text)
    for path in outputs:
        if not path.startswith(tuple(f"{folder}/" for folder in OUTPUTS)):
            raise BuildError(f"jsonnet/main.jsonnet: {path} is outside of {', '.join(OUTPUTS)}: write there")
    return dict(sorted(outputs.items()))


def explain(trace: str, root: Path) -> str:
    """Turn Jsonnet's error and its stack into one line: place, what, and what to do.

    Args:
        trace: ``RUNTIME ERROR: what`` followed by stack frames, or ``STATIC ERROR: place: what``.
        root: The repository; paths are shown relative to it.
    """
    flat = trace.replace(f"{root}/", "")
    while (shorter := UP_AGAIN.sub("", flat)) != flat:
        flat = shorter
    what, _, stack = flat.partition("\n")
    kind, _, message = what.partition(": ")
    frames = [(match["file"], match["line"]) for match in FRAME.finditer(stack)]
    own = [frame for frame in frames if frame[0].startswith("jsonnet/") or "/jsonnet/" in frame[0]]
    if kind == "STATIC ERROR":
        place, _, message = message.partition(": ")
        return f"{place}: {message}; correct the syntax there, then make generate"
    outer = [frame for frame in own if not frame[0].startswith(INTERNALS)]
    chosen = (outer or own or frames or [("jsonnet/main.jsonnet", "1")])[0]
    return f"{chosen[0]}:{chosen[1]}: {message}; correct it there, then make generate"


def _with_nearest(message: str, root: Path) -> str:
    """Add the most similar metric to a message about an unknown one; Jsonnet itself cannot look for it."""
    return UNKNOWN.sub(lambda found: f"{found[0]}{load_catalogue(root).nearest(found['name'])}", message)


def orphans(root: Path, files: Iterable[str]) -> list[str]:
    """Return the generated files on disk that nothing asks for any more."""
    wanted = set(files)
    found = [path for folder in OUTPUTS for path in sorted((root / folder).glob("*")) if path.is_file()]
    names = [
        (str(path.relative_to(root)), path) for path in found if path.suffix in (".json", ".tmpl", ".yml")
    ]
    return [name for name, path in names if name not in wanted and _marked(path)]


def _marked(path: Path) -> bool:
    """Return whether a file on disk says that it is generated; a file of someone else's may be anything."""
    try:
        return documents.is_generated(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return False


def write(root: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files that differ, remove orphans, and return one line per change."""
    changes = []
    for name, text in files.items():
        path = root / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changes.append(f"wrote {name}")
    for name in orphans(root, files):
        (root / name).unlink()
        changes.append(f"removed {name}")
    return changes


def compare(root: Path, files: Mapping[str, str]) -> Iterable[str]:
    """Yield one line per difference between the files and what is on disk and in git."""
    for name, text in files.items():
        path = root / name
        if not path.exists():
            yield f"{name}: missing"
        elif path.read_text(encoding="utf-8") != text:
            yield f"{name}: differs from its Jsonnet source"
    for name in orphans(root, files):
        yield f"{name}: generated once, but nothing generates it any more"
    for name in untracked(root):
        if name in files and (root / name).exists():
            yield f"{name}: not in git; commit it with its source"


def untracked(root: Path) -> list[str]:
    """Return the files in the output folders that git does not know; nothing outside of a repository."""
    command = ["git", "-C", str(root), "ls-files", "--others", "--exclude-standard", "--", *OUTPUTS]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
    return listing.stdout.splitlines() if listing.returncode == 0 else []


if __name__ == "__main__":
    raise SystemExit(main())
