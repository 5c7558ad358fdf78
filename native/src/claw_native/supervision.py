"""Speaks with supervisord, which keeps the services running: its configuration, its socket, its answers."""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault, ServerProxy, Transport

from claw_native.errors import ServerError
from claw_native.servers import dying_with_parent, log_tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from claw_native.service import Service
    from claw_native.settings import Settings

# What the kernel allows for the path of a socket, less what supervisord appends while making it.
MAX_SOCKET_PATH = 95
START_SECONDS = 20
STOP_SECONDS = 60

# Paths are relative to the run directory: supervisord would take a percent sign in one for a variable.
HEAD = """\
; Written by `claw-native demo`.
[supervisord]
nodaemon=true
silent=true
logfile=log/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile=supervisord.pid
childlogdir=log
identifier=claw

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

# Services are started one by one, as those they need become ready; one that dies comes back by itself.
PROGRAM = """
[program:{name}]
command={command}
directory={directory}
priority={priority}
autostart=false
autorestart=true
startsecs=1
startretries=1000
stopsignal={signal}
stopwaitsecs=20
killasgroup=true
redirect_stderr=true
stdout_logfile=log/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""


@dataclass(frozen=True, kw_only=True)
class State:
    """What supervisord says of one service.

    Attributes:
        name: The service.
        state: RUNNING, STARTING, BACKOFF (died, comes back), STOPPED, EXITED or FATAL.
        pid: Its process, 0 when there is none.
        since: When it entered this state, in seconds since 1970.
        note: What supervisord has to say, such as how it ended.
    """

    name: str
    state: str
    pid: int
    since: int
    note: str


def socket_path(settings: Settings) -> Path:
    """Returns where supervisord listens: in the run directory, or in a short place when that is too deep."""
    path = settings.run_dir / "supervisor.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(settings.run_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"claw-{os.getuid()}-{name}.sock"


def _relative(settings: Settings, path: Path) -> str:
    return os.path.relpath(path, settings.run_dir) if path.is_relative_to(settings.run_dir) else str(path)


def configuration(settings: Settings, services: Iterable[Service]) -> str:
    """Writes supervisord's configuration."""
    text = HEAD.format(socket=_relative(settings, socket_path(settings)))
    for priority, service in enumerate(services, start=1):
        # supervisord takes the end of its own parent well, and its children take its end.
        command = dying_with_parent(service.command(settings), service.stop_signal)
        text += PROGRAM.format(
            name=service.name,
            command=shlex.join(command).replace("%", "%%"),
            directory=_relative(settings, service.directory(settings)),
            priority=priority,
            signal=service.stop_signal.name.removeprefix("SIG"),
        )
    return text


class _Connection(http.client.HTTPConnection):
    """HTTP through a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("supervisord")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class _Transport(Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> _Connection:
        connection = _Connection(self._path)
        self._connection = (host, connection)  # what close() closes
        return connection


class Supervisor:
    """A running supervisord, spoken to through its socket.

    Args:
        settings: Says where the socket is.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = socket_path(settings)

    def is_there(self) -> bool:
        """Tells whether it answers."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._path))
            except OSError:
                return False
        return True

    def start(self, name: str) -> None:
        """Starts one service without waiting for it; one that runs is left alone."""
        try:
            self._call("startProcess", name, False)  # noqa: FBT003 - the interface has no names
        except Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise ServerError(f"{name} cannot be started: {fault.faultString}") from fault

    def stop(self, name: str) -> None:
        """Stops one service and waits until it has ended; one that does not run is left alone."""
        try:
            self._call("stopProcess", name)
        except Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise ServerError(f"{name} cannot be stopped: {fault.faultString}") from fault

    def states(self) -> dict[str, State]:
        """Returns the state of every service, by name; nothing when supervisord is gone."""
        try:
            rows = self._call("getAllProcessInfo")
        except (OSError, Fault):
            return {}
        return {
            str(row["name"]): State(
                name=str(row["name"]),
                state=str(row["statename"]),
                pid=int(row["pid"]),
                since=int(row["start"] if row["statename"] == "RUNNING" else row["stop"]),
                note=str(row["spawnerr"]),
            )
            for row in rows
        }

    def _call(self, method: str, *arguments: str | bool) -> Any:  # noqa: ANN401 - what XML-RPC returns
        with ServerProxy("http://supervisord", transport=_Transport(self._path)) as server:
            return getattr(server.supervisor, method)(*arguments)


def launch(settings: Settings, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts supervisord beside us and waits until it answers.

    It is in a session of its own: Ctrl-C in the terminal reaches us only, and we end it in good order.

    Raises:
        ServerError: It ended; the message holds the end of its log.
    """
    words = [
        sys.executable,
        "-m",
        "supervisor.supervisord",
        "-n",
        "-c",
        str(settings.etc_dir / "supervisord.conf"),
    ]
    log = settings.log_dir / "supervisord.log"
    with log.open("ab") as errors:
        running = subprocess.Popen(  # noqa: S603 - our own program
            dying_with_parent(words, signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=settings.run_dir,
            env=dict(environment),
            start_new_session=True,
        )
    supervisor = Supervisor(settings)
    deadline = time.monotonic() + START_SECONDS
    while not supervisor.is_there():
        if running.poll() is not None or time.monotonic() > deadline:
            stop(running)
            raise ServerError(f"supervisord is not ready:\n{log_tail(log)}")
        time.sleep(0.05)
    return running


def stop(running: subprocess.Popen[bytes], *, timeout_seconds: float = STOP_SECONDS) -> None:
    """Ends supervisord, which ends every service first."""
    running.terminate()
    try:
        running.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
