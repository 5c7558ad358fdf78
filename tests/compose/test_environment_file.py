"""The environment file is read as Compose reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_compose import environment
from claw_compose.engine import Stack
from claw_compose.errors import SettingsError

if TYPE_CHECKING:
    from tests.compose.conftest import Clone

FILE = """
# a comment
PLAIN=value
export EXPORTED=yes
  SPACED = with spaces inside   # and a comment
QUOTED="a # b" # c
SINGLE='$literal'
HASH=a#b
EMPTY=
NO_VALUE
ESCAPED="say \\"hi\\""
TWICE=first
TWICE=second
"""


def test_values_are_those_that_compose_reads(clone: Clone) -> None:
    # The real Compose fills them into a file; ours must agree.
    names = ["PLAIN", "EXPORTED", "SPACED", "QUOTED", "SINGLE", "HASH", "EMPTY", "TWICE"]
    (clone.folder / ".env.prod").write_text(FILE)
    labels = {name: f"${{{name}}}" for name in names}
    (clone.folder / "docker-compose.prod.yml").write_text(
        json.dumps({"services": {"a": {"image": "x", "labels": labels}}})
    )

    read = environment.read(clone.folder / ".env.prod")

    shown = clone.stack.config()["services"]["a"]["labels"]
    # Its output can be read as a compose file again, where a dollar is written twice.
    assert {name: read[name] for name in names} == {
        name: value.replace("$$", "$") for name, value in shown.items()
    }


def test_a_missing_file_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cp \.env\.prod\.example \.env\.prod"):
        environment.read(tmp_path / ".env.prod")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match="cannot be read"):
        environment.read(tmp_path / "env")


def test_a_variable_of_the_terminal_wins(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("CLAW_NGINX_PORT=80\nOTHER=file\n")
    environ = {"CLAW_NGINX_PORT": "8080", "CLAW_LOKI_PORT": "3101", "OTHER": "terminal"}

    settings = Stack(tmp_path, Path("env"), environ).settings

    assert settings == {"CLAW_NGINX_PORT": "8080", "CLAW_LOKI_PORT": "3101", "OTHER": "file"}
