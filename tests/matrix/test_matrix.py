"""The oldest and the newest frameworks, each in an environment of its own; `make matrix` runs all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSIONS = {
    line.split()[0]: line.split()[1:]
    for line in (HERE / "versions.txt").read_text().splitlines()
    if not line.startswith("#")
}


def matrix(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "matrix.py"), *names]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_oldest_and_the_newest_behave_alike() -> None:
    done = matrix("fastapi-0.115", "fastapi-newest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"[1-9]\d* passed .* ok$", done.stdout, re.MULTILINE)) == 2


def test_a_version_that_is_not_there_is_named() -> None:
    done = matrix("django-9")
    assert done.returncode == 2
    assert "no version django-9; there are starlette-0.38, " in done.stderr


def test_every_version_has_a_requirements_file() -> None:
    assert {path.stem for path in (HERE / "requirements").iterdir()} == set(VERSIONS)


def test_the_oldest_one_is_what_the_library_asks_for() -> None:
    asked = (HERE.parents[1] / "exporter" / "pyproject.toml").read_text()
    assert '"starlette>=0.38"' in asked
    assert VERSIONS["fastapi-0.115"] == ["fastapi==0.115.0", "starlette==0.38.6"]
