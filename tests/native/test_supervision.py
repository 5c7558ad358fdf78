"""Starting, watching and stopping services under a real supervisord."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claw_native import demo as demonstration
from claw_native import orphans, supervision
from claw_native.errors import BusyError, NativeError, ServerError
from claw_native.service import Service
from claw_native.settings import PORTS, Settings
from claw_native.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def python(code: str) -> Callable[[Settings], list[str]]:
    return lambda _: [sys.executable, "-c", code]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(run_dir=tmp_path / "run 100%", tools_dir=tmp_path / "tools")
    for folder in (settings.etc_dir, settings.log_dir, settings.data_dir):
        folder.mkdir(parents=True)
    return settings


@contextlib.contextmanager
def supervised(
    settings: Settings, *services: Service
) -> Iterator[tuple[Supervisor, subprocess.Popen[bytes]]]:
    (settings.etc_dir / "supervisord.conf").write_text(supervision.configuration(settings, services))
    running = supervision.launch(settings, os.environ)
    try:
        yield Supervisor(settings), running
    finally:
        supervision.stop(running)


def test_a_service_starts_when_those_it_needs_are_ready(settings: Settings) -> None:
    order: list[str] = []
    answers = iter([False, True])
    slow = Service(
        name="slow",
        about="",
        command=python("import time; time.sleep(60)"),
        ready=lambda _: next(answers),
        prepare=lambda _: order.append("slow is prepared"),
        provide=lambda _: order.append("slow is ready"),
    )
    needs = Service(
        name="needs",
        about="",
        after=("slow",),
        command=python("import time; time.sleep(60)"),
        ready=lambda _: True,
        prepare=lambda _: order.append("needs is prepared"),
    )
    said: list[str] = []
    with supervised(settings, needs, slow) as (supervisor, _):
        demonstration.bring_up(settings, [needs, slow], supervisor, said.append)
        assert {state.state for state in supervisor.states().values()} == {"RUNNING"}
        supervisor.start("slow")  # one that runs is left alone
    assert order == ["slow is prepared", "slow is ready", "needs is prepared"]
    assert [line.split()[0] for line in said] == ["slow", "needs"]


def test_a_service_that_dies_at_once_is_reported_with_its_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstration, "GIVE_UP_SECONDS", 1)
    broken = Service(name="broken", about="", command=python("raise SystemExit('no such disk')"))
    with (
        supervised(settings, broken) as (supervisor, _),
        pytest.raises(ServerError, match=r"(?s)broken does not become ready \(backoff\).*no such disk"),
    ):
        demonstration.bring_up(settings, [broken], supervisor, lambda _: None)


def test_a_service_that_was_stopped_stays_so(settings: Settings) -> None:
    service = Service(name="slow", about="", command=python("import time; time.sleep(60)"))
    with supervised(settings, service) as (supervisor, _):
        supervisor.start("slow")
        wait_for(lambda: supervisor.states()["slow"].state == "RUNNING", "it does not run")
        supervisor.stop("slow")
        assert supervisor.states()["slow"].state == "STOPPED"
        supervisor.stop("slow")  # one that does not run is left alone


def test_a_service_nobody_knows_can_be_neither_started_nor_stopped(settings: Settings) -> None:
    with supervised(settings) as (supervisor, _):
        with pytest.raises(ServerError, match="nothing cannot be started"):
            supervisor.start("nothing")
        with pytest.raises(ServerError, match="nothing cannot be stopped"):
            supervisor.stop("nothing")


def test_deaths_are_told_until_supervisord_ends(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "WATCH_SECONDS", 0.05)
    lasting = Service(name="lasting", about="", command=python("import time; time.sleep(60)"))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        running.terminate()

    with supervised(settings, lasting) as (supervisor, running):
        demonstration.bring_up(settings, [lasting], supervisor, lambda _: None)
        os.kill(supervisor.states()["lasting"].pid, signal.SIGKILL)
        with pytest.raises(ServerError, match="supervisord ended by itself"):
            demonstration.watch(supervisor, running, say)
    assert "lasting died and was started again (process " in said[0]


def test_one_that_keeps_dying_is_mentioned_now_and_then() -> None:
    state = supervision.State(name="load", state="RUNNING", pid=7, since=0, note="")
    deaths: list[float] = []
    said = [demonstration._restarted(state, deaths, now=float(second)) for second in range(10)]
    assert [text is not None for text in said] == [True] * 4 + [True] + [False] * 4 + [True]
    assert said[4] == said[9] == "load keeps dying; its log tells why: make demo-logs SERVICE=load"
    later = demonstration._restarted(state, deaths, now=1000.0)
    assert later == "load died and was started again (process 7)"


def test_a_configuration_supervisord_refuses_is_reported(settings: Settings) -> None:
    (settings.etc_dir / "supervisord.conf").write_text("[program:x]\n")
    with pytest.raises(ServerError, match="supervisord is not ready"):
        supervision.launch(settings, os.environ)


def test_a_supervisord_that_does_not_stop_is_killed() -> None:
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert running.stdout
    running.stdout.readline()
    supervision.stop(running, timeout_seconds=0.1)
    running.stdout.close()
    assert running.returncode == -signal.SIGKILL


def test_where_nobody_listens_there_are_no_states(settings: Settings) -> None:
    supervisor = Supervisor(settings)
    assert not supervisor.is_there()
    assert supervisor.states() == {}


def test_a_socket_in_a_deep_folder_moves_to_a_short_one(tmp_path: Path) -> None:
    near = Settings(run_dir=Path("/tmp/run"))  # noqa: S108 - nothing is written there
    assert supervision.socket_path(near) == Path("/tmp/run/supervisor.sock")  # noqa: S108 - the same
    deep = Settings(run_dir=tmp_path / ("deep" * 30))
    other = Settings(run_dir=tmp_path / ("deep" * 31))
    assert len(str(supervision.socket_path(deep))) < 100
    assert supervision.socket_path(deep) != supervision.socket_path(other)


def test_orphans_of_a_killed_parent_are_ended(tmp_path: Path) -> None:
    """In a process of its own: adopting orphans lasts."""
    pid_file = tmp_path / "pid"
    code = f"""
import pathlib, signal, subprocess, sys, time
from claw_native import orphans
orphans.adopt_orphans()
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
middle = f'''
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {{stubborn!r}}])
pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))
time.sleep(60)
'''
parent = subprocess.Popen([sys.executable, "-c", middle])
path = pathlib.Path({str(pid_file)!r})
while not (path.exists() and path.read_text()):
    time.sleep(0.01)
time.sleep(0.3)
parent.send_signal(signal.SIGKILL)
parent.wait()
print(orphans.end_children(timeout_seconds=0.5))
"""
    shown = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30)
    assert shown == "1\n"
    assert not Path(f"/proc/{pid_file.read_text()}").exists()


def test_our_children_are_found_by_their_parent() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in orphans.children()
        child.kill()


def test_a_failing_command_is_reported_with_its_last_lines() -> None:
    from claw_native.command import run  # noqa: PLC0415 - only here

    with pytest.raises(NativeError, match=r"(?s)ended with 3:.*oh no"):
        run(["sh", "-c", "echo oh no >&2; exit 3"])
    with pytest.raises(NativeError, match="cannot run '/nowhere/x': No such file"):
        run(["/nowhere/x"])
    with pytest.raises(NativeError, match="did not end within"):
        run(["sleep", "60"], timeout_seconds=0.05)


def test_a_port_above_the_middle_is_offered_a_lower_one(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        moved = Settings(run_dir=settings.run_dir, ports={**PORTS, "redis": port})
        redis = Service(name="redis", about="", command=python(""))
        with pytest.raises(BusyError) as caught:
            demonstration.check_ports(moved, [redis])
    offered = int(str(caught.value).split("CLAW_REDIS_PORT=")[1].split()[0])
    assert abs(offered - port) == 10_000
    assert offered <= 65_535


def test_services_do_not_ask_a_proxy_for_each_other(settings: Settings) -> None:
    variables = Service(name="x", about="", command=python(""), environment=lambda _: {"CLAW_X": "1"})
    environment = demonstration.environment(settings, [variables])
    assert environment["NO_PROXY"] == environment["no_proxy"] == "127.0.0.1,localhost"
    assert environment["CLAW_X"] == "1"
    assert environment["PATH"] == os.environ["PATH"]


def test_no_two_services_read_the_same_variable(settings: Settings) -> None:
    from claw_native.optional import OPTIONAL  # noqa: PLC0415 - only here
    from claw_native.stack import SERVICES  # noqa: PLC0415 - only here

    names = [name for service in (*SERVICES, *OPTIONAL) for name in service.environment(settings)]
    assert len(names) == len(set(names))
