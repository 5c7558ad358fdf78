"""The compose file as docker-compose understands it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compose_config(tools: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call it with an environment file and options: `docker-compose ... config` of the production file."""

    def run(env_file: Path, *options: str, profile: str | None = "*") -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [
            tools / "docker-compose",
            "--env-file",
            env_file,
            "-f",
            ROOT / "docker-compose.prod.yml",
        ]
        return subprocess.run(
            [*command, *(["--profile", profile] if profile else []), "config", *options],
            # Nothing of the environment that runs the tests gets in.
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def compose(compose_config: Callable[..., subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    """The whole production file, every profile, with the settings of the example."""
    done = compose_config(ROOT / ".env.prod.example", "--format", "json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found
