"""`make demo`: starts every service once those it needs are ready, watches them, leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claw_native import orphans, supervision
from claw_native.errors import BusyError, ServerError
from claw_native.optional import OPTIONAL
from claw_native.programs import DEMO_PROGRAMS
from claw_native.servers import HOST, log_tail
from claw_native.service import where
from claw_native.settings import HIGHEST_PORT, port_setting
from claw_native.stack import available_services
from claw_native.tables import lined_up
from claw_native.targets import write_configuration
from claw_native.tools import ensure_tools

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from claw_native.service import Service
    from claw_native.settings import Settings

START_SECONDS = 60
# A service that died this long after its first start will not come up by waiting.
GIVE_UP_SECONDS = 12
STAYS_UP_SECONDS = 3
POLL_SECONDS = 0.1
WATCH_SECONDS = 1.0
FLAPPING_DEATHS = 5
FLAPPING_SECONDS = 300
ENDED_WAIT_SECONDS = 60


class StopRequested(BaseException):
    """Ctrl-C or SIGTERM arrived; like KeyboardInterrupt, no handler of errors may swallow it."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What other commands need to know of a running demo; kept in `.run/demo.json`."""

    pid: int
    ports: Mapping[str, int]
    services: tuple[str, ...]

    @classmethod
    def read(cls, settings: Settings) -> Running | None:
        """Returns the demo that runs in this run directory, or None."""
        if not _locked(settings):
            return None
        try:
            row = json.loads((settings.run_dir / "demo.json").read_text())
            return cls(pid=row["pid"], ports=row["ports"], services=tuple(row["services"]))
        except (OSError, ValueError, KeyError):
            return None

    def write(self, settings: Settings) -> None:
        """Keeps it for other commands."""
        path = settings.run_dir / "demo.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(vars(self), indent=2) + "\n")
        partial.replace(path)


def demo(
    settings: Settings,
    *,
    services: Sequence[Service] | None = None,
    configure: Callable[[Settings, Iterable[Service]], None] = write_configuration,
    say: Callable[[str], None] = print,
) -> int:
    """Runs the stack until Ctrl-C or SIGTERM; returns the exit code.

    Args:
        settings: Where it runs.
        services: What runs; by default everything that can run here.
        configure: Writes the configuration.
        say: Receives lines for the terminal.

    Raises:
        NativeError: It cannot start; whatever had been started is stopped.
    """
    _raise_on_signals()
    try:
        with _alone(settings, say):
            _run(settings, services or available_services(), configure, say)
    except StopRequested:
        say("Nothing was left running.")
    return 0


def clean(settings: Settings, *, say: Callable[[str], None] = print) -> int:
    """Forgets what the demo kept; the fetched programs stay.

    Raises:
        BusyError: The demo runs.
    """
    if not settings.run_dir.exists():
        say("There is nothing to forget.")
        return 0
    with _alone(settings, say):
        for folder in (settings.etc_dir, settings.data_dir, settings.log_dir):
            shutil.rmtree(folder, ignore_errors=True)
        (settings.run_dir / "demo.json").unlink(missing_ok=True)
    say(f"Forgotten: data, logs and configuration in {settings.run_dir}")
    return 0


def _run(
    settings: Settings,
    services: Sequence[Service],
    configure: Callable[[Settings, Iterable[Service]], None],
    say: Callable[[str], None],
) -> None:
    started = time.monotonic()
    say(f"Programs in {settings.bin_dir}")
    ensure_tools(settings, DEMO_PROGRAMS, say=say)
    check_ports(settings, services)
    for folder in (settings.etc_dir, settings.data_dir, settings.log_dir):
        folder.mkdir(parents=True, exist_ok=True)
    configure(settings, services)
    (settings.etc_dir / "supervisord.conf").write_text(supervision.configuration(settings, services))
    names = tuple(service.name for service in services)
    Running(pid=os.getpid(), ports=settings.ports, services=names).write(settings)
    say(f"Services, with their logs in {settings.log_dir}")
    with _supervised(settings, services, say) as running:
        supervisor = supervision.Supervisor(settings)
        bring_up(settings, services, supervisor, say)
        say(summary(settings, services, time.monotonic() - started))
        watch(supervisor, running, say)


# One at a time.


def _locked(settings: Settings) -> bool:
    try:
        with (settings.run_dir / "demo.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def _alone(settings: Settings, say: Callable[[str], None]) -> Iterator[None]:
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with (settings.run_dir / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = Running.read(settings)
            who = f" (process {running.pid})" if running else ""
            raise BusyError(
                f"a demo runs already in {settings.run_dir}{who}: 'make demo-status' shows it, Ctrl-C in its "
                "terminal stops it; one beside it needs a CLAW_NATIVE_RUN_DIR and ports of its own, "
                "see docs/NATIVE.md"
            ) from None
        _await_predecessor(settings, say)
        yield


def _await_predecessor(settings: Settings, say: Callable[[str], None]) -> None:
    """Waits for the services of a demo that was killed: they are on their way down."""
    supervisor = supervision.Supervisor(settings)
    if not supervisor.is_there():
        return
    say("The services of a demo that was killed are still stopping, waiting for them")
    deadline = time.monotonic() + ENDED_WAIT_SECONDS
    while supervisor.is_there():
        if time.monotonic() > deadline:
            raise BusyError(f"they do not stop; end the process in {settings.run_dir}/supervisord.pid")
        time.sleep(POLL_SECONDS)


def check_ports(settings: Settings, services: Iterable[Service]) -> None:
    """Makes sure that every port is free.

    Raises:
        BusyError: Some are not; all of them are named, with the setting that moves each.
    """
    busy = []
    for service in services:
        port = settings.ports.get(service.name)
        if port is not None and not _is_free(port):
            other = port + 10_000 if port + 10_000 <= HIGHEST_PORT else port - 10_000
            setting = f"{port_setting(service.name)}={other}"
            busy.append(
                f"port {port} ({service.name}) is taken; free it, or move the service: {setting} make demo"
            )
    if busy:
        raise BusyError("\n".join(busy))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


# Signals and the end.


def _raise_on_signals() -> None:
    def handle(number: int, _: object) -> None:
        raise StopRequested(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)


@contextmanager
def _supervised(
    settings: Settings, services: Iterable[Service], say: Callable[[str], None]
) -> Iterator[subprocess.Popen[bytes]]:
    orphans.adopt_orphans()
    running = supervision.launch(settings, environment(settings, services))
    try:
        yield running
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        say("Stopping everything")
        supervision.stop(running)
        orphans.end_children()


def environment(settings: Settings, services: Iterable[Service]) -> dict[str, str]:
    """Returns the variables the services get: ours, those of every service, and what this process has."""
    ours = {
        "PYTHONUNBUFFERED": "1",
        # A proxy of the environment is for other machines.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    for service in services:
        ours |= service.environment(settings)
    return {**os.environ, **ours}


# Starting and watching.


def bring_up(
    settings: Settings,
    services: Iterable[Service],
    supervisor: supervision.Supervisor,
    say: Callable[[str], None],
) -> None:
    """Starts every service once those it needs are ready, and waits until all are.

    Raises:
        ServerError: One does not become ready; the message holds the end of its log.
    """
    waiting = {service.name: service for service in services}
    started: dict[str, float] = {}
    while waiting:
        for service in list(waiting.values()):
            if service.name not in started and not waiting.keys() & set(service.after):
                service.prepare(settings)
                supervisor.start(service.name)
                started[service.name] = time.monotonic()
        states = supervisor.states()
        for name, since in started.items():
            if name in waiting and _is_ready(settings, waiting[name], states[name], time.monotonic() - since):
                service = waiting.pop(name)
                service.provide(settings)
                say(f"  {name:<18} ready after {time.monotonic() - since:.1f} s")
        time.sleep(POLL_SECONDS)


def _is_ready(settings: Settings, service: Service, state: supervision.State, age_seconds: float) -> bool:
    if state.state == "RUNNING" and (service.ready or _stays_up(state))(settings):
        return True
    if age_seconds > (START_SECONDS if state.state in {"RUNNING", "STARTING"} else GIVE_UP_SECONDS):
        log = settings.log_dir / f"{service.name}.log"
        raise ServerError(
            f"{service.name} does not become ready ({state.state.lower()}); the end of {log}:\n"
            f"{log_tail(log)}"
        )
    return False


def _stays_up(state: supervision.State) -> Callable[[Settings], bool]:
    """Returns the check of a service that answers nothing: it has run for some seconds."""
    return lambda _: time.time() - state.since > STAYS_UP_SECONDS


def summary(settings: Settings, services: Sequence[Service], seconds: float) -> str:
    """Returns the table a newcomer sees: what runs where, and what to open."""
    rows = [(service.name, where(settings, service), service.about) for service in services]
    here = {service.name for service in services}
    absent = ", ".join(service.name for service in OPTIONAL if service.name not in here)
    lines = [f"\nAll {len(rows)} services run after {seconds:.0f} s.\n", lined_up(rows), ""]
    if absent:
        lines.append(f"  Not on PATH, so not here: {absent}. The preview draws the dashboards.")
    lines += [
        f"  Open {settings.url('preview', '/')} for the dashboards; panels fill within a minute.",
        "  From another terminal: make demo-status, make demo-logs SERVICE=receiver, make demo-check.",
        "  Ctrl-C stops everything; the data stay until make demo-clean.\n",
    ]
    return "\n".join(lines)


def watch(
    supervisor: supervision.Supervisor, running: subprocess.Popen[bytes], say: Callable[[str], None]
) -> None:
    """Says when a service dies and when it is back, until a signal ends us.

    One that keeps dying is mentioned now and then only.

    Raises:
        ServerError: supervisord itself ended.
    """
    before = supervisor.states()
    deaths: dict[str, list[float]] = {name: [] for name in before}
    while running.poll() is None:
        time.sleep(WATCH_SECONDS)
        now = supervisor.states()
        for name in before.keys() & now.keys():
            if now[name].pid and before[name].pid != now[name].pid:
                text = _restarted(now[name], deaths[name], time.monotonic())
                if text:
                    say(f"{time.strftime('%H:%M:%S')}  {text}")
        before = now or before
    raise ServerError(f"supervisord ended by itself ({running.returncode}); everything was stopped")


def _restarted(state: supervision.State, deaths: list[float], now: float) -> str | None:
    deaths[:] = [*(at for at in deaths if now - at < FLAPPING_SECONDS), now]
    if len(deaths) < FLAPPING_DEATHS:
        return f"{state.name} died and was started again (process {state.pid})"
    if len(deaths) % FLAPPING_DEATHS == 0:
        return f"{state.name} keeps dying; its log tells why: make demo-logs SERVICE={state.name}"
    return None
