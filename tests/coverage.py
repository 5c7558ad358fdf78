"""Fails where the tests reach too little of our code; run from the repository's root after ``pytest --cov``.

The library in users' applications: every line and branch of every module. Every other package: 90 % in total.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
EXPORTER: Final = ROOT / "exporter" / "src" / "claw_exporter"
# Modules of the exporter process; all others of the package are the library.
PROCESS: Final = {
    "app.py",
    "cli.py",
    "collectors",
    "document.py",
    "logs.py",
    "probes.py",
    "reload.py",
    "settings.py",
}
OTHERS: Final = {
    "claw_chat": ROOT / "examples" / "chat" / "src" / "claw_chat",
    "claw_compose": ROOT / "compose" / "src" / "claw_compose",
    "claw_hub": ROOT / "hub" / "src" / "claw_hub",
    "claw_native": ROOT / "native" / "src" / "claw_native",
    "claw_preview": ROOT / "preview" / "src" / "claw_preview",
    "claw_relay": ROOT / "relay" / "src" / "claw_relay",
    "jsonnet": ROOT / "jsonnet",
}
LEAST_PERCENT: Final = 90.0

Report = dict[str, dict[str, Any]]


def read_report() -> Report:
    """Return what coverage measured, by path."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        # In another process: in this one `import coverage` would find this very file.
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(path)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            sys.exit("coverage: no measurements; run `pytest --cov` first")
        files: Report = json.loads(path.read_text(encoding="utf-8"))["files"]
    return {str(ROOT / name): entry for name, entry in files.items()}


def incomplete(paths: list[Path], report: Report) -> list[str]:
    """Return one line for each file that is not covered wholly."""
    lines = []
    for path in paths:
        entry = report.get(str(path))
        name = path.relative_to(ROOT)
        if entry is None:
            lines.append(f"{name}: no test imports it")
        elif entry["missing_lines"] or entry["missing_branches"]:
            branches = (f"{a}->{b if b > 0 else 'exit'}" for a, b in entry["missing_branches"])
            missing = [*map(str, entry["missing_lines"]), *branches]
            lines.append(f"{name}: {', '.join(missing)} not covered, but the library needs 100 %")
    return lines


def too_little(name: str, paths: list[Path], report: Report) -> list[str]:
    """Return nothing, or that a package is covered too little, and which of its files are."""
    lines, covered, possible = [], 0, 0
    for path in paths:
        entry = report.get(str(path))
        if entry is None:
            lines.append(f"  {path.relative_to(ROOT)}: no test imports it")
            possible += len(path.read_text(encoding="utf-8").splitlines())
            continue
        summary = entry["summary"]
        covered += summary["covered_lines"] + summary["covered_branches"]
        possible += summary["num_statements"] + summary["num_branches"]
        if summary["percent_covered"] < LEAST_PERCENT:
            lines.append(f"  {path.relative_to(ROOT)}: {summary['percent_covered']:.1f} %")
    percent = 100.0 * covered / possible if possible else 100.0
    if percent >= LEAST_PERCENT:
        return []
    return [f"{name}: {percent:.1f} % covered, but at least {LEAST_PERCENT:g} % are needed", *lines]


def sources(folder: Path) -> list[Path]:
    """Return the Python files of a package."""
    return sorted(folder.rglob("*.py"))


def main() -> int:
    """Print what is covered too little; 1 if anything is."""
    report = read_report()
    exporter = sources(EXPORTER)
    process = [path for path in exporter if path.relative_to(EXPORTER).parts[0] in PROCESS]
    problems = incomplete([path for path in exporter if path not in process], report)
    problems += too_little("the exporter process", process, report)
    for name, folder in OTHERS.items():
        problems += too_little(name, sources(folder), report)
    print(*problems or ["coverage: the library wholly, every other package enough"], sep="\n")  # noqa: T201  # a command's answer
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
