"""The types of the public surface, as a user's own ``mypy --strict`` sees them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "typed"
SOURCES = Path(__file__).parents[2] / "exporter" / "src"


def mypy(*files: Path) -> str:
    """What mypy says, with nothing of this repository's configuration."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--no-error-summary"]
    environment = {**os.environ, "MYPYPATH": str(SOURCES)}
    cache = ["--cache-dir", str(SOURCES.parents[1] / ".mypy_cache" / "typed")]
    done = subprocess.run(
        [*command, *cache, *map(str, files)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_a_program_with_every_decorator_keeps_its_types() -> None:
    assert mypy(HERE / "program.py") == ""


def test_the_program_runs() -> None:
    subprocess.run([sys.executable, HERE / "program.py"], check=True)


def test_mistakes_are_refused_and_only_they(tmp_path: Path) -> None:
    text = (HERE / "mistakes.py").read_text().replace("# mypy: ignore-errors\n", "#\n")
    (tmp_path / "mistakes.py").write_text(text)
    marked = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# refused")]
    refused = {
        int(number) for number in re.findall(r"mistakes\.py:(\d+): error", mypy(tmp_path / "mistakes.py"))
    }
    assert sorted(refused) == marked
