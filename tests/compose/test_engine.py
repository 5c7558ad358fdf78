"""Docker and Compose are called with the settings, and their failures are told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_compose.engine import Stack
from claw_compose.errors import CommandError, ComposeError

if TYPE_CHECKING:
    from tests.compose.conftest import Clone


def test_every_call_of_compose_passes_the_settings_and_the_file(clone: Clone) -> None:
    clone.answer("compose .* ps")
    clone.stack.compose("ps", profiles=["*"])

    options = f"--env-file {clone.folder}/.env.prod -f {clone.folder}/docker-compose.prod.yml"
    assert clone.asked[-1] == f"compose {options} --profile * ps"


@pytest.mark.parametrize("folder", ["path", "tools"])
def test_a_compose_without_the_plugin_is_found(clone: Clone, tmp_path: Path, folder: str) -> None:
    clone.answer("^compose", code=1)
    place = tmp_path / "bin" if folder == "path" else clone.folder / ".run" / "tools" / "bin"
    place.mkdir(parents=True)
    program = place / "docker-compose"
    program.write_text("#!/bin/sh\necho 2.40.3\n")
    program.chmod(0o755)
    # Nothing else that is called docker-compose.
    for name in ("python3", "env"):
        (clone.folder.parent / "fake" / name).symlink_to(shutil.which(name) or "")
    clone.environ["PATH"] = f"{clone.folder.parent / 'fake'}:{tmp_path / 'bin'}"

    assert clone.stack.compose_program == [str(program)]
    assert clone.stack.compose_version == "2.40.3"


def test_no_compose_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Docker Compose is missing"):
        Stack(tmp_path, Path(".env.prod"), {"PATH": str(tmp_path)}).compose("ps")


def test_a_failure_carries_what_the_program_said(clone: Clone) -> None:
    clone.answer("compose .* up", err="no such image\n", code=18)

    with pytest.raises(CommandError, match=r"compose up failed \(18\): no such image"):
        clone.stack.compose("up")


def test_a_failure_may_be_looked_at_instead(clone: Clone) -> None:
    clone.answer("^info", err="no daemon", code=1)

    assert clone.stack.docker("info", check=False).stderr == "no daemon"


def test_a_program_that_hangs_is_told(clone: Clone) -> None:
    program = clone.folder.parent / "fake" / "docker"
    program.write_text("#!/bin/sh\nexec sleep 60\n")

    with pytest.raises(CommandError, match=r"took more than 0\.2 s"):
        clone.stack.docker("info", timeout_seconds=0.2)


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="docker cannot be started: No such file"):
        Stack(tmp_path, Path(".env.prod"), {"PATH": str(tmp_path)}).docker("info")


def test_what_a_program_writes_can_go_into_a_file_byte_for_byte(clone: Clone, tmp_path: Path) -> None:
    (clone.folder.parent / "fake" / "docker").write_text("#!/bin/sh\ncat; printf '\\377\\0'\n")
    (tmp_path / "in").write_bytes(b"\xfe")
    with (tmp_path / "in").open("rb") as given, (tmp_path / "out").open("wb") as taken:
        clone.stack.docker("cp", stdin=given, stdout=taken)

    assert (tmp_path / "out").read_bytes() == b"\xfe\xff\x00"


def test_a_container_is_found_by_its_service(clone: Clone) -> None:
    clone.answer("compose .* ps --quiet prometheus", "abc\n")
    clone.answer("compose .* ps --quiet loki")

    assert clone.stack.container("prometheus") == "abc"
    with pytest.raises(ComposeError, match="loki does not run; start it first:  make up"):
        clone.stack.container("loki")


def test_the_address_of_a_service_is_the_port_that_the_file_publishes(clone: Clone) -> None:
    clone.set(CLAW_PROMETHEUS_PORT="19090", CLAW_NGINX_PORT="8080")

    assert clone.stack.url("prometheus", "/-/ready") == "http://127.0.0.1:19090/-/ready"
    assert clone.stack.url("nginx") == "http://127.0.0.1:8080/"
    with pytest.raises(ComposeError, match="postgres publishes no port"):
        clone.stack.url("postgres")


def test_the_project_is_named_by_the_file_or_by_the_terminal(clone: Clone) -> None:
    assert clone.stack.project == "claw"
    clone.environ["COMPOSE_PROJECT_NAME"] = "other"
    assert clone.stack.project == "other"


@pytest.mark.parametrize(
    ("address", "local"), [("", True), ("unix:///run/docker.sock", True), ("ssh://host", False)]
)
def test_docker_on_another_machine_is_known_by_its_address(
    clone: Clone, address: str, *, local: bool
) -> None:
    clone.environ["DOCKER_HOST"] = address

    assert clone.stack.is_local is local


def test_the_tests_do_not_need_this_terminals_docker(clone: Clone) -> None:
    assert "DOCKER_HOST" not in clone.environ
    assert clone.environ["PATH"].endswith(os.environ["PATH"])
