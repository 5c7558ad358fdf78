"""How a demo begins and ends; each test has one of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_native.demo import Running
from claw_native.servers import HOST, accepts
from claw_native.settings import REPOSITORY, read_settings
from claw_native.stack import postgres
from claw_native.testing import Stack, stack_environment, start_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_native.settings import Settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def environment(tools: Path, native_settings: Settings, tmp_path: Path) -> dict[str, str]:
    """Settings of a demo whose run directory has blanks, a percent sign, and too long a name for a socket."""
    assert tools.is_dir()
    return stack_environment(tmp_path / f"a run {'far ' * 20}100% away", native_settings.tools_dir)


@pytest.fixture
def own_stack(environment: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    stack = start_stack(environment, tmp_path / "output")
    yield stack
    stack.stop(signal.SIGKILL)
    wait_until_gone(stack)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def left_over(stack: Stack) -> list[str]:
    """What still runs in a run directory, and which of its ports still answer."""
    found = [f"port of {name}" for name, port in stack.settings.ports.items() if accepts(port)]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_text().replace("\0", " ")
            if str(stack.settings.run_dir) in words:
                found.append(words)
    return found


def wait_until_gone(stack: Stack) -> None:
    wait_for(lambda: not left_over(stack), f"still there: {left_over(stack)}")


def test_sigterm_stops_everything_and_a_second_start_is_fast_and_keeps_the_data(
    environment: dict[str, str], tmp_path: Path
) -> None:
    first = start_stack(environment, tmp_path / "first")
    postgres(first.settings).query("CREATE TABLE kept AS SELECT 7 AS id")
    assert first.stop(signal.SIGTERM) == 0, first.printed()
    assert left_over(first) == []
    assert first.printed().endswith("Nothing was left running.\n")
    assert Running.read(first.settings) is None

    started = time.monotonic()
    second = start_stack(environment, tmp_path / "second")
    taken = time.monotonic() - started
    assert postgres(second.settings).query("SELECT id FROM kept") == "7\n"
    assert second.stop(signal.SIGINT) == 0
    assert left_over(second) == []
    assert taken < 30

    assert first.run("clean").returncode == 0
    assert sorted(path.name for path in first.settings.run_dir.iterdir()) == ["demo.lock"]


def test_killing_the_demo_leaves_nothing_and_the_next_one_waits_for_that(
    own_stack: Stack, tmp_path: Path
) -> None:
    own_stack.stop(signal.SIGKILL)
    again = start_stack(own_stack.environment, tmp_path / "again")
    assert again.stop() == 0
    wait_until_gone(again)


def test_killing_supervisord_ends_the_demo_with_a_message(own_stack: Stack) -> None:
    pid = int((own_stack.settings.run_dir / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert own_stack.process.wait(60) == 1
    assert "supervisord ended by itself" in own_stack.printed()
    assert left_over(own_stack) == []


def test_busy_ports_are_named_with_the_setting_that_moves_them(environment: dict[str, str]) -> None:
    with socket.socket() as first, socket.socket() as second:
        for name, taken in (("CLAW_PROMETHEUS_PORT", first), ("CLAW_REDIS_EXPORTER_PORT", second)):
            taken.bind((HOST, 0))
            taken.listen()
            environment[name] = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "claw_native.cli", "demo"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    complaints = done.stderr.splitlines()
    assert [line.count("is taken") for line in complaints] == [1, 1]
    assert f"port {environment['CLAW_PROMETHEUS_PORT']} (prometheus) is taken" in done.stderr
    assert "CLAW_PROMETHEUS_PORT=" in done.stderr
    assert "CLAW_REDIS_EXPORTER_PORT=" in done.stderr


def test_nobody_has_to_listen_to_what_it_prints(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "claw_native.cli", "demo"],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    stack = Stack(
        settings=read_settings(environment), environment=environment, process=process, output=Path(os.devnull)
    )
    wait_for(lambda: stack.run("status").returncode == 0, "it never came up", seconds=90)
    assert stack.stop() == 0
    assert left_over(stack) == []


def test_ctrl_c_in_a_terminal_stops_make_demo(environment: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.touch()
    keyboard, terminal = os.openpty()
    # The first terminal a new session opens is the one whose Ctrl-C it hears.
    command = 'exec make --no-print-directory -C "$0" demo <"$1" >"$2" 2>&1'
    process = subprocess.Popen(
        ["sh", "-c", command, str(REPOSITORY), os.ttyname(terminal), str(output)],
        env=os.environ | environment,
        start_new_session=True,
    )
    stack = Stack(
        settings=read_settings(environment), environment=environment, process=process, output=output
    )
    try:
        wait_for(lambda: "services run after" in stack.printed(), "it never came up", seconds=90)
        os.write(keyboard, b"\x03")
        process.wait(60)
    finally:
        os.close(keyboard)
        os.close(terminal)
        stack.stop()
    assert "Nothing was left running." in stack.printed()
    assert "Traceback" not in stack.printed()
    wait_until_gone(stack)
