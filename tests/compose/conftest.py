"""A clone of the repository with settings and secrets, and a fake `docker` that says what a test wants.

Compose itself is the real one (it needs no engine to read a file), and so is openssl.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claw_compose.engine import Stack
from claw_compose.secret_files import make_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
# What the compose file mounts, and what the commands read.
FOLDERS = (
    "alertmanager",
    "blackbox-exporter",
    "docker-proxy",
    "grafana",
    "loki",
    "nginx",
    "postgres",
    "prometheus",
    "promtail",
    "redis",
)
FILES = (
    "docker-compose.prod.yml",
    ".env.prod.example",
    "exporter/exporter.yml",
    "relay/relay.yml",
    "relay/Dockerfile",
    "exporter/Dockerfile",
    "examples/chat/Dockerfile",
)
# Where a test has nothing to say about Compose, the real one is asked without a detour.
FAKE = """#!/bin/sh
if [ "$1" = compose ] && ! grep -q compose {folder}/answers.json; then
  echo "$*" >> {folder}/asked
  shift
  exec "$REAL_COMPOSE" "$@"
fi
exec python3 -I -S {fake} "$@"
"""
INFO = {"ServerVersion": "27.1.0", "MemTotal": 8 * 10**9, "MemoryLimit": True, "DockerRootDir": "/"}


class Clone:
    """A clone of the repository in a folder of its own, and what a command run there said."""

    def __init__(self, folder: Path, compose: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self._answers: list[dict[str, Any]] = []
        self._fake = folder.parent / "fake"
        self._fake.mkdir()
        program = self._fake / "docker"
        program.write_text(FAKE.format(folder=self._fake, fake=Path(__file__).parent / "fake_docker.py"))
        program.chmod(0o755)
        self.environ = {
            "PATH": f"{self._fake}:{os.environ['PATH']}",
            "FAKE_DOCKER": str(self._fake),
            "REAL_COMPOSE": str(compose),
            "HOME": str(folder.parent),
        }
        self.answer("^info ", json.dumps(INFO))
        self.answer("^ps ")

    @property
    def stack(self) -> Stack:
        """A new one for each command, as in life."""
        return Stack(self.folder, Path(".env.prod"), self.environ)

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    @property
    def asked(self) -> list[str]:
        """What docker was asked, in order."""
        path = self._fake / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def say(self, text: str) -> None:
        self.said.append(text)

    def answer(self, asked: str, out: str = "", err: str = "", code: int = 0) -> None:
        """What docker says from now on when what it is asked matches."""
        self._answers.insert(0, {"asked": asked, "out": out, "err": err, "code": code})
        (self._fake / "answers.json").write_text(json.dumps(self._answers))

    def set(self, **settings: str | None) -> None:
        """Writes settings into .env.prod; None takes a line out."""
        path = self.folder / ".env.prod"
        text = path.read_text()
        for name, value in settings.items():
            text = re.sub(rf"^{name}=.*\n", "", text, flags=re.MULTILINE)
            text += "" if value is None else f"{name}={value}\n"
        path.write_text(text)

    def secret(self, name: str) -> Path:
        return self.folder / "secrets" / name

    def runs(self, *containers: dict[str, Any]) -> None:
        """Says that these containers are there."""
        self.answer("^ps -aq", "\n".join(container["Id"] for container in containers))
        self.answer("^inspect ", json.dumps(containers))


def container(
    service: str, image: str, *, health: str = "healthy", state: str = "running", **more: object
) -> dict[str, Any]:
    """What `docker inspect` says about a container."""
    return {
        "Id": f"id-of-{service}",
        "Image": more.get("image_id", f"sha256:{service}"),
        "RestartCount": more.get("restarts", 0),
        "State": {
            "Status": state,
            "ExitCode": more.get("exit_code", 0),
            # After every file of the clone was written.
            "StartedAt": more.get("started", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}789Z"),
            **({"Health": {"Status": health}} if health else {}),
        },
        "Config": {
            "Image": image,
            "Labels": {
                "com.docker.compose.service": service,
                "com.docker.compose.config-hash": more.get("config_hash", "hash"),
                "com.docker.compose.oneoff": more.get("oneoff", "False"),
            },
        },
        "Mounts": [],
    }


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "clone"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / ".env.prod.example", folder / ".env.prod")
    # As `umask 022` leaves them, whatever the umask of the tests.
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def clone(_pristine: Path, tools: Path, tmp_path: Path) -> Clone:
    """The repository as cloned, with the settings of the example."""
    return Clone(Path(shutil.copytree(_pristine, tmp_path / "clone")), tools / "docker-compose")


@pytest.fixture
def docker_socket(tmp_path: Path) -> Iterator[Path]:
    """Something that looks like Docker's socket."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        yield path


@pytest.fixture(scope="session")
def _secrets(_pristine: Path, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets") / "clone"
    clone = Clone(Path(shutil.copytree(_pristine, folder)), tools / "docker-compose")
    make_secrets(clone.stack, say=clone.say)
    return clone.secret("")


@pytest.fixture
def ready(clone: Clone, _secrets: Path, docker_socket: Path, free_port: Callable[[], int]) -> Clone:
    """A clone that may start: secrets made, ports free, only a note or two to make."""
    names = ("PROMETHEUS", "GRAFANA", "LOKI", "ALERTMANAGER", "CLAW_AI_BACKEND", "NGINX", "NGINX_TLS")
    ports = {f"CLAW_{name}_PORT": str(free_port()) for name in names}
    clone.set(CLAW_DOCKER_SOCKET=str(docker_socket), CLAW_NGINX_ADDRESS="127.0.0.1", **ports)
    shutil.copytree(_secrets, clone.secret(""))
    return clone
