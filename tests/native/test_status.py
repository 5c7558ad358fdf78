"""Status, logs and the command line, where nothing runs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from claw_native import cli
from claw_native.errors import NativeError
from claw_native.settings import Settings
from claw_native.status import Tail, _ago, logs, status
from claw_native.tables import lined_up

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(run_dir=tmp_path)
    settings.log_dir.mkdir()
    return settings


def test_status_says_that_no_demo_runs(settings: Settings) -> None:
    with pytest.raises(NativeError, match="no demo runs"):
        status(settings)


def test_the_last_lines_of_all_logs_come_with_their_names(settings: Settings) -> None:
    (settings.log_dir / "load.log").write_text("1\n2\n3\n")
    (settings.log_dir / "receiver.log").write_text("a\nb")
    said: list[str] = []
    assert logs(settings, [], lines=2, follow=False, say=said.append) == 0
    assert said == ["load     | 2", "load     | 3", "receiver | a"]


def test_a_log_nobody_wrote_is_named_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(NativeError, match="no log of x; logs: none yet, 'make demo' writes them"):
        logs(settings, ["x"])
    (settings.log_dir / "load.log").touch()
    with pytest.raises(NativeError, match="no log of x; logs: load"):
        logs(settings, ["x"])


def test_following_a_log_survives_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("old\nolder\n")
    with Tail(path, lines=1) as tail:
        assert list(tail.read()) == ["older"]
        with path.open("a") as log:
            log.write("half")
            log.flush()
            assert list(tail.read()) == []
            log.write(" whole\nlast\n")
        assert list(tail.read()) == ["half whole", "last"]
        path.rename(tmp_path / "x.log.1")
        assert list(tail.read()) == []
        path.write_text("new\n")
        assert list(tail.read()) == ["new"]
        path.write_text("")
        assert list(tail.read()) == []
        path.write_text("n\n")
        assert list(tail.read()) == ["n"]


def test_following_ends_with_an_interrupt(settings: Settings) -> None:
    (settings.log_dir / "load.log").write_text("first\n")
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logs(settings, ["load"], say=say)
    assert said == ["first"]


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (60, "1 min"), (5000, "1 h"), (200_000, "2 d")])
def test_a_time_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert _ago(seconds) == text


def test_columns_line_up_and_lines_do_not_end_in_blanks() -> None:
    assert lined_up([("a", "bb", ""), ("aaa", "b", "c")]) == "  a    bb\n  aaa  b   c"


def test_an_error_is_one_message_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAW_NATIVE_RUN_DIR", str(tmp_path))
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err == f"claw-native: no demo runs in {tmp_path}; 'make demo' starts one\n"
    monkeypatch.setenv("CLAW_REDIS_PORT", "x")
    assert cli.main(["check"]) == 2
    assert "CLAW_REDIS_PORT is 'x'" in capsys.readouterr().err


def test_there_is_nothing_to_forget_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAW_NATIVE_RUN_DIR", str(tmp_path / "none"))
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out == "There is nothing to forget.\n"
    assert not (tmp_path / "none").exists()


def test_forgetting_leaves_the_fetched_programs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAW_NATIVE_RUN_DIR", str(settings.run_dir))
    (settings.run_dir / "tools").mkdir()
    assert cli.main(["clean"]) == 0
    assert "Forgotten" in capsys.readouterr().out
    assert sorted(path.name for path in settings.run_dir.iterdir()) == ["demo.lock", "tools"]


def test_ctrl_c_while_following_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAW_NATIVE_RUN_DIR", str(tmp_path))
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "load.log").write_text("first\n")

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "say", interrupted)
    assert cli.main(["logs"]) == 130


def test_output_nobody_reads_stops_nothing() -> None:
    code = "import os; from claw_native.cli import say; os.close(1); say('x'); say('y')"
    subprocess.run([sys.executable, "-c", code], check=True)
