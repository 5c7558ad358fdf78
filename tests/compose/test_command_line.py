"""The command line: what can be typed, and the exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claw_compose import cli, preflight, start
from claw_compose.errors import ComposeError, SettingsError

if TYPE_CHECKING:
    from tests.compose.conftest import Clone

ROOT = Path(__file__).resolve().parents[2]


def test_every_command_is_a_target_of_make_and_the_other_way_round() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert set(re.findall(r"\$\(PRODUCTION\) ([a-z-]+)", makefile)) == set(cli.COMMANDS)


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()

    assert [name for name in cli.COMMANDS if not re.search(rf"make {name}\b", page)] == []


def test_every_command_has_a_function() -> None:
    for command in cli.COMMANDS.values():
        assert callable(cli._function(command.target))


def test_the_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])

    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"\n    {name}" in shown for name in cli.COMMANDS)
    assert "Exit codes: 0" in shown


def test_a_command_gets_its_arguments(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(start, "up", lambda stack, services, say: seen.extend([stack, services, say]))
    (clone.folder / "my.env").touch()

    assert cli.main(["--env-file", "my.env", "up", "loki", "redis"], repository=clone.folder) == 0
    assert seen[0].env_file == clone.folder / "my.env"
    assert seen[1:] == [["loki", "redis"], cli.say]


@pytest.mark.parametrize(
    ("raised", "code"),
    [(ComposeError("no engine"), 1), (SettingsError("two are wrong"), 2), (KeyboardInterrupt(), 130)],
)
def test_what_goes_wrong_is_an_exit_code(
    clone: Clone,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise raised

    monkeypatch.setattr(preflight, "preflight", fail)

    assert cli.main(["preflight"], repository=clone.folder) == code
    assert capsys.readouterr().err.strip() == str(raised)


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"restore"}))
def test_it_runs_as_a_module_from_anywhere_and_tells_that_there_are_no_settings(
    tmp_path: Path, command: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "claw_compose", "--env-file", str(tmp_path / "none"), command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "compose" / "src")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path}/none is missing. Make it")


def test_nobody_reading_the_output_is_no_error(tmp_path: Path) -> None:
    code = "from claw_compose.cli import say\nfor _ in range(9999): say('x' * 99)\nprint('end')"
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$CODE" | head -1; echo ${{PIPESTATUS[0]}}'],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "compose" / "src"), "CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.splitlines()[-1], done.stderr) == ("0", "")


def test_it_needs_nothing_but_python() -> None:
    imported = {
        line.split()[1].split(".")[0]
        for path in (ROOT / "compose" / "src").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.match(r"(import|from) ", line)
    }

    assert imported - set(sys.stdlib_module_names) == {"claw_compose"}
