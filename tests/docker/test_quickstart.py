"""The quickstart's first part, typed as it stands into a fresh clone.

Grafana and Loki have no program here: `SERVICES` names the others, and their two checks find nobody.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_compose.engine import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.stack import ComposeStack

PAGE = Path(__file__).resolve().parents[2] / "docs" / "MONITORING_QUICKSTART.md"
BLOCK = re.compile(r"^```bash compose\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CONNECTION_REFUSED = 7
NOBODY_THERE = ("curl http://localhost:3000/", "curl http://localhost:3100/")
# It says that Grafana and the others do not run: its exit code is 1, which make turns into 2.
NEEDS_ATTENTION = {"make status": 2}


def lines() -> list[str]:
    return [line for block in BLOCK.findall(PAGE.read_text()) for line in block.splitlines()]


def typed(stack: Stack, line: str) -> subprocess.CompletedProcess[str]:
    """A line, as a shell in the clone runs it."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=stack.repository,
        env=stack.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def clone(compose_stack: ComposeStack, tmp_path: Path) -> Iterator[Stack]:
    """A clone without settings, secrets and data, where nothing else runs."""
    compose_stack.down()
    left_behind = shutil.ignore_patterns(".env.test", "backups")
    folder = shutil.copytree(compose_stack.repository, tmp_path / "claw", ignore=left_behind)
    # Our images are there, built from these very files; a second time, as a user's first, is not needed.
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    shutil.rmtree(folder / "secrets")
    (folder / "secrets").mkdir(mode=0o755)
    environ = {name: text for name, text in compose_stack.environ.items() if name != "COMPOSE_PROJECT_NAME"}
    environ["CLAW_DOCKER_SOCKET"] = str(compose_stack.engine.socket)
    environ["SERVICES"] = " ".join(compose_stack.services)
    stack = Stack(folder, Path(".env.prod"), environ)
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout=5", profiles=["*"], check=False)
        compose_stack.up()


def test_the_first_part_of_the_quickstart_runs_as_it_stands(clone: Stack) -> None:
    said = {}
    for line in lines():
        done = typed(clone, line)
        wanted = CONNECTION_REFUSED if line.startswith(NOBODY_THERE) else NEEDS_ATTENTION.get(line, 0)
        assert done.returncode == wanted, f"{line}\n{done.stdout}{done.stderr}"
        said[line.partition(" #")[0].rstrip()] = done.stdout

    assert said["curl http://localhost:9090/-/healthy"] == "Prometheus Server is Healthy.\n"
    assert len(said["cat secrets/grafana_admin_password"].strip()) >= 20
    assert "prometheus" in said["make status"]
    assert clone.compose("ps", "--quiet", profiles=["*"]).stdout == ""
