"""What the environment may say, and what is said about its mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from claw_hub.cli import main
from claw_hub.errors import SettingsError
from claw_hub.settings import VARIABLES, read_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "secret"
    secret.write_text("s" * 64 + "\n")
    return {
        "CLAW_HUB_DATABASE_URL": "postgresql://claw:database-password@localhost:5432/claw",
        "CLAW_HUB_REDIS_URL": "redis://:redis-password@localhost:6379/0",
        "CLAW_HUB_TOKEN_SECRET_FILE": str(secret),
    }


def test_three_variables_are_enough(environment: dict[str, str]) -> None:
    settings = read_settings(environment)
    assert (settings.host, settings.port) == ("127.0.0.1", 8100)
    assert settings.warehouse_url == "http://127.0.0.1:18123"
    assert settings.token_secret == b"s" * 64
    assert settings.warehouse_directory is None
    assert settings.spool_directory is None


def test_the_repr_and_the_log_show_no_password(environment: dict[str, str]) -> None:
    settings = read_settings(environment)
    assert settings.secrets() == ["database-password", "redis-password"]
    assert "password@" not in repr(settings)
    assert "ssss" not in repr(settings)


def test_every_mistake_is_told_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("123")
    wrong = environment | {
        "CLAW_HUB_PORT": "http",
        "CLAW_HUB_DATABASE_URL": "mysql://somebody:database-password@localhost/x",
        "CLAW_HUB_REDIS_URL": "",
        "CLAW_HUB_TOKEN_SECRET_FILE": str(short),
        "CLAW_HUB_WAREHOUSE_URL": "http://clickhouse:8123",
        "CLAW_HUB_WAREHOUSE_DIRECTORY": "warehouse",
        "CLAW_HUB_MAX_BODY_BYTES": "0",
        "CLAW_HUB_LOG_LEVEL": "loud",
    }
    with pytest.raises(SettingsError) as raised:
        read_settings(wrong)
    text = str(raised.value)
    for words in (
        "CLAW_HUB_PORT is 'http': it has to be a number from 1 to 65535",
        "CLAW_HUB_DATABASE_URL begins with 'mysql', not with postgresql://",
        "CLAW_HUB_REDIS_URL is not set",
        "which holds 3 bytes, not at least 32",
        "CLAW_HUB_WAREHOUSE_URL and CLAW_HUB_WAREHOUSE_DIRECTORY are both set",
        "CLAW_HUB_MAX_BODY_BYTES is '0'",
        "CLAW_HUB_LOG_LEVEL is 'loud': it has to be one of debug, info, warning, error",
    ):
        assert words in text
    assert len(raised.value.mistakes) == 7
    assert "database-password" not in text


def test_a_secret_that_cannot_be_read_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SettingsError, match="which cannot be read \\(No such file or directory\\)"):
        read_settings(environment | {"CLAW_HUB_TOKEN_SECRET_FILE": str(missing)})


def test_check_says_that_there_are_no_mistakes(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"], environment) == 0
    assert capsys.readouterr().out == "no mistakes\n"


def test_wrong_settings_end_the_program_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all"], {}) == 2
    assert "CLAW_HUB_DATABASE_URL is not set" in capsys.readouterr().err


def test_the_help_names_every_variable() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "claw_hub.cli", "--help"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in VARIABLES:
        assert name in done.stdout
