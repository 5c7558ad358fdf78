"""Settings from the environment, and what is said when they are wrong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_chat.cache import Cache
from claw_chat.settings import Settings, SettingsError, masked, variable

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = {
    "CLAW_CHAT_DATABASE_URL": "postgresql://claw:secret@127.0.0.1:15432/claw",
    "CLAW_CHAT_REDIS_URL": "redis://127.0.0.1:16379/0",
    "CLAW_CHAT_MODEL_BASE_URL": "http://127.0.0.1:8001/v1",
}
README = Path(__file__).parents[2] / "examples" / "chat" / "README.md"


def mistakes(**wrong: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(GOOD | {f"CLAW_CHAT_{name}": value for name, value in wrong.items()})
    return caught.value.mistakes


def test_three_variables_are_enough() -> None:
    settings = Settings.from_environment(GOOD)
    assert (settings.port, settings.default_model, settings.log_format) == (8000, "glm-4", "json")


def test_variables_of_other_programs_are_left_alone() -> None:
    assert Settings.from_environment(GOOD | {"CLAW_EXPORTER_PORT": "x", "PATH": "/bin"}).port == 8000


def test_every_missing_variable_is_named_with_an_example() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({})
    assert caught.value.mistakes == [
        "CLAW_CHAT_DATABASE_URL is not set; example postgresql://claw@127.0.0.1:15432/claw",
        "CLAW_CHAT_REDIS_URL is not set; example redis://127.0.0.1:16379/0",
        "CLAW_CHAT_MODEL_BASE_URL is not set; example http://127.0.0.1:8001/v1",
    ]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PORT", "http", "is 'http': not a whole number from 1 to 65535; example 8000"),
        ("PORT", "70000", "is '70000': not a whole number from 1 to 65535; example 8000"),
        ("REDIS_URL", "redis:/x", "is 'redis:/x': not a URL that starts with redis:// or rediss://"),
        ("REDIS_URL", "redis://h:port", "is 'redis://h:port': not a URL that starts with redis:// or"),
        ("MODEL_BASE_URL", "127.0.0.1:8001", "not a URL that starts with http:// or https://"),
        ("REDIS_TIMEOUT_SECONDS", "0", "is '0': not a number of seconds above 0 and up to 60; example 0.5"),
        ("MODEL_TIMEOUT_SECONDS", "nan", "is 'nan': not a number of seconds above 0 and up to 600"),
        ("LOG_FORMAT", "xml", "is 'xml': not one of json, text; example json"),
        ("DEFAULT_MODEL", "glm-5", "is 'glm-5': not one of glm-4, "),
        ("MODEL_API_KEY_FILE", "/nowhere/key", "is '/nowhere/key': not a readable file"),
        ("PROT", "8000", "is not a setting; did you mean CLAW_CHAT_PORT?"),
        ("WHATEVER_THIS_IS", "1", "is not a setting; remove it"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value_and_a_remedy(name: str, value: str, complaint: str) -> None:
    (mistake,) = mistakes(**{name: value})
    assert mistake.startswith(f"CLAW_CHAT_{name} ")
    assert complaint in mistake


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(mistakes(PORT="x", LOG_LEVEL="loud", DATABASE_URL="sqlite://x", PROT="1")) == 4


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-123\n")
    settings = Settings.from_environment(GOOD | {"CLAW_CHAT_MODEL_API_KEY_FILE": str(file)})
    assert settings.model_api_key == "sk-123"


def test_an_empty_secret_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch()
    (mistake,) = mistakes(MODEL_API_KEY_FILE=str(file))
    assert "an empty file; it must hold the secret" in mistake


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-123")
    settings = Settings.from_environment(GOOD | {"CLAW_CHAT_MODEL_API_KEY_FILE": str(file)})
    assert "secret" not in repr(settings)
    assert "sk-123" not in repr(settings)
    assert masked("postgres://claw:secret@host/db") == "postgres://claw:***@host/db"
    (mistake,) = mistakes(DATABASE_URL="mysql://claw:secret@host/db")
    assert "secret" not in mistake


def documented() -> Iterator[tuple[str, str, str]]:
    """Yield variable, default and meaning of each row of the README's table."""
    for line in README.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `CLAW_CHAT_"):
            name, default, about = (cell.strip() for cell in line.strip("|").split("|"))
            yield name.strip("`"), default.strip("`"), about


def test_the_readme_describes_every_setting_as_it_is() -> None:
    expected = [
        (
            variable(entry),
            "required" if entry.metadata["required"] else str(entry.default or ""),
            entry.metadata["about"],
        )
        for entry in fields(Settings)
    ]
    assert list(documented()) == expected


def test_the_program_ends_with_2_and_says_everything_that_is_wrong() -> None:
    environment = GOOD | {"CLAW_CHAT_PORT": "x", "CLAW_CHAT_LOG_LEVEL": "loud"}
    done = subprocess.run(
        [sys.executable, "-m", "claw_chat.app"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "claw-chat: CLAW_CHAT_PORT is 'x': not a whole number from 1 to 65535; example 8000",
        "claw-chat: CLAW_CHAT_LOG_LEVEL is 'loud': not one of debug, info, warning, error; example info",
    ]


def test_passwords_in_files_reach_redis(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush\n")
    settings = Settings.from_environment(GOOD | {"CLAW_CHAT_REDIS_PASSWORD_FILE": str(file)})
    pool = Cache(settings)._redis.connection_pool
    assert pool.connection_kwargs["password"] == "hush"
    assert "hush" not in repr(settings)
