"""Settings of the native run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from claw_native.errors import SettingsError
from claw_native.settings import PORTS, REPOSITORY, port_setting, read_settings

if TYPE_CHECKING:
    from pathlib import Path

PAGE = REPOSITORY / "docs" / "NATIVE.md"
ROW = re.compile(r"^\| `(CLAW_\w+)` \| `?([^`|]+)`?", re.MULTILINE)


def test_nothing_set_means_the_run_folder_of_the_repository_and_the_usual_ports() -> None:
    settings = read_settings({})
    assert settings.run_dir == REPOSITORY / ".run"
    assert settings.bin_dir == REPOSITORY / ".run" / "tools" / "bin"
    assert settings.ports == PORTS
    assert settings.use_path


def test_an_empty_variable_counts_as_not_set() -> None:
    names = ["CLAW_NATIVE_RUN_DIR", "CLAW_NATIVE_USE_PATH", "CLAW_REDIS_PORT"]
    assert read_settings(dict.fromkeys(names, "")) == read_settings({})


def test_a_relative_run_folder_is_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_settings({"CLAW_NATIVE_RUN_DIR": "here"})
    assert settings.run_dir == tmp_path / "here"
    assert settings.tools_dir == tmp_path / "here" / "tools"


def test_a_port_moves_with_its_setting() -> None:
    settings = read_settings({"CLAW_PROMETHEUS_PORT": "19090"})
    assert settings.url("prometheus", "/-/ready") == "http://127.0.0.1:19090/-/ready"


def test_every_mistake_is_reported_at_once() -> None:
    environ = {
        "CLAW_PROMETHEUS_PORT": "none",
        "CLAW_REDIS_PORT": "70000",
        "CLAW_NATIVE_USE_PATH": "maybe",
        "CLAW_LOKI_PORT": "9093",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    assert str(caught.value).splitlines() == [
        "CLAW_NATIVE_USE_PATH is 'maybe': expected 1 or 0",
        "CLAW_PROMETHEUS_PORT is 'none': not a port; example CLAW_PROMETHEUS_PORT=9090",
        "CLAW_REDIS_PORT is '70000': not a port; example CLAW_REDIS_PORT=16379",
        "CLAW_ALERTMANAGER_PORT and CLAW_LOKI_PORT are both 9093",
    ]
    assert caught.value.exit_code == 2


def test_the_page_lists_every_setting_with_its_default_and_no_other() -> None:
    documented = dict(ROW.findall(PAGE.read_text()))
    ports = {port_setting(service): str(port) for service, port in PORTS.items()}
    sources = [*(REPOSITORY / "native" / "src").rglob("*.py"), REPOSITORY / "native" / "bootstrap.sh"]
    read = {name for path in sources for name in re.findall(r"CLAW_NATIVE_[A-Z_]+", path.read_text())}
    assert documented.keys() == ports.keys() | read
    assert {name: documented[name].strip() for name in ports} == ports
