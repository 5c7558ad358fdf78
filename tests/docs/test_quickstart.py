"""The quickstart does what it says: its blocks are run as they stand, in order, in an empty directory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_native.testing import Stack

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "MONITORING_QUICKSTART.md"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DRIVE_ANSWERS = """
import asyncio
from answers import answer, remember
from claw_exporter import metrics
async def main():
    assert [part async for part in answer("a b c d")] == ["a", "b", "c", "d"]
    await remember(None, "hello")
asyncio.run(main())
print(metrics.render().decode())
"""


def script() -> str:
    """One shell script of the page's blocks, in their order; a block with a file name writes that file."""
    parts = ["set -euo pipefail"]
    for language, file, text in BLOCK.findall(PAGE.read_text()):
        if file:
            parts.append(f"cat > {file} <<'END-OF-FILE'\n{text}END-OF-FILE")
        elif language == "bash":
            parts.append(text)
    return "\n".join(parts)


@pytest.fixture
def empty_directory(tmp_path: Path) -> Iterator[Path]:
    """An empty directory; an app that a failed run left behind there is stopped."""
    yield tmp_path
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((tmp_path / "shop.pid").read_text()), signal.SIGKILL)


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_the_quickstart_runs_as_it_stands(
    stack: Stack, tools: Path, empty_directory: Path, free_port: Callable[[], int]
) -> None:
    path = f"{os.environ['PATH']}:{tools}"  # a bare machine has no curl of its own
    own = {"PATH": path, "CLAW": str(ROOT), "SHOP_PORT": str(free_port())}
    environment = os.environ | stack.environment | own

    run = subprocess.run(
        ["bash", "-c", script()],
        cwd=empty_directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    promised = next(text for language, _, text in BLOCK.findall(PAGE.read_text()) if language == "text")
    assert [line for line in promised.splitlines() if line not in run.stdout] == []
    answer = json.loads(next(line for line in run.stdout.splitlines() if line.startswith('{"status"')))
    requests = {each["metric"]["endpoint"]: float(each["value"][1]) for each in answer["data"]["result"]}
    assert requests["/products/{product_id}"] >= 5

    answers = subprocess.run(
        [empty_directory / ".venv/bin/python", "-c", DRIVE_ANSWERS],
        cwd=empty_directory,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'claw_ai_ai_tokens_total{model="glm-4",type="input"} 12.0' in answers
    assert 'claw_ai_messages_total{role="user"} 1.0' in answers
