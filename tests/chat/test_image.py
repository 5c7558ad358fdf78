"""The Dockerfile: what can be said of it without building it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "examples" / "chat" / "Dockerfile").read_text(encoding="utf-8")


def copied() -> list[str]:
    """Return what is copied from the root of the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()]


def test_everything_that_is_copied_exists_and_is_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied()
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert [source for source in copied() if source not in let_in] == []


def test_it_does_not_run_as_root_and_is_pinned() -> None:
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^ARG PYTHON=\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.count("--require-hashes") == 2


def test_every_dependency_is_locked_with_a_hash() -> None:
    project = tomllib.loads((ROOT / "examples" / "chat" / "pyproject.toml").read_text())["project"]
    locked = (ROOT / "examples" / "chat" / "requirements.txt").read_text()
    names = [re.split(r"[><=~!]", wanted)[0] for wanted in project["dependencies"]]
    missing = [name for name in names if not re.search(rf"^{name}==\S+", locked, re.MULTILINE)]
    assert missing == ["claw-exporter"]  # it is built from this repository
    assert locked.count("==") <= locked.count("--hash=sha256:")
