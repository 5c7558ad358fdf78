"""Private Postgres and Redis servers: their command lines, and running one for a while."""

from __future__ import annotations

import itertools
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from claw_native.command import run
from claw_native.errors import NativeError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
DATABASE = "claw"
USER = "claw"
MONITOR = "claw_exporter"  # what both exporters log in as
PASSWORD = "claw"  # noqa: S105 - opens a demo's data on this machine only, written in the docs
SUPERUSER = "postgres"
POLL_SECONDS = 0.05
# Losing a test's data with the power is no loss.
CARELESS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")

# Below those that Linux gives to clients by itself: one of these may be in use again before it is served on.
PORTS = range(20_000, 32_768)
# Shuffled: other processes look for ports of their own at the same time.
_CANDIDATES = itertools.cycle(random.sample(PORTS, k=len(PORTS)))


def free_port() -> int:
    """Returns a port of this machine that nobody uses at the moment, and each time another one.

    Raises:
        OSError: A hundred ports are all in use.
    """
    for port in itertools.islice(_CANDIDATES, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise OSError(f"no free port on {HOST}: a hundred of {PORTS.start} to {PORTS.stop - 1} are in use")


def accepts(port: int) -> bool:
    """Tells whether somebody listens on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def dying_with_parent(argv: Sequence[str], stop: signal.Signals) -> list[str]:
    """Makes a command receive a signal when the process that started it ends, however it ends."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", stop.name.removeprefix("SIG"), "--", *argv]


class Process:
    """One program in the background, with a log file.

    Args:
        argv: The program and its arguments.
        log: Its output is appended here.
        ready: Tells whether it can be used.
        stop_signal: What ends it in good order.
        env: Its whole environment; the own one by default.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        stop_signal: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = argv
        self.log = log
        self._ready = ready
        self._stop_signal = stop_signal
        self._env = env
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.stop()

    @property
    def pid(self) -> int:
        """The number of the process.

        Raises:
            ServerError: It does not run.
        """
        if self._running is None:
            raise ServerError(f"'{' '.join(self.argv)}' does not run")
        return self._running.pid

    def start(self, timeout_seconds: float = 30) -> None:
        """Starts it, unless it runs, and waits until it is ready.

        Raises:
            ServerError: It ended, or was not ready in time; the message holds the end of its log.
        """
        if self._running and self._running.poll() is None:
            return
        argv = dying_with_parent(self.argv, self._stop_signal)
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - our own programs
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )
        deadline = time.monotonic() + timeout_seconds
        while not self._ready():
            if self._running.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerError(f"'{' '.join(self.argv)}' is not ready:\n{log_tail(self.log)}")
            time.sleep(POLL_SECONDS)

    def stop(self, timeout_seconds: float = 20) -> None:
        """Stops it in good order, or by force when that takes too long."""
        running, self._running = self._running, None
        if running is None:
            return
        running.send_signal(self._stop_signal)
        try:
            running.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def log_tail(path: Path, lines: int = 15) -> str:
    """Returns the last lines of a log file."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


class Postgres(Process):
    """A private cluster with the database, the owner and the monitoring role the stack expects.

    Args:
        bin_dir: Where postgres, initdb and psql are.
        folder: The cluster is made in `data` below it, when it is not there.
        port: Port on the loopback interface; there is no other way in.
        options: Settings of the server, each `name=value`.
    """

    def __init__(self, bin_dir: Path, folder: Path, port: int, *, options: Sequence[str] = CARELESS) -> None:
        self.port = port
        self._bin_dir = bin_dir
        self._folder = folder
        self._options = options
        super().__init__(
            self.command(),
            log=folder / "postgres.log",
            ready=self.is_ready,
            stop_signal=signal.SIGINT,
        )

    @property
    def dsn(self) -> str:
        """URL of the database, as its owner."""
        return f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.port}/{DATABASE}"

    @property
    def monitor_dsn(self) -> str:
        """URL of the database, as the role that may read statistics and data."""
        return f"postgresql://{MONITOR}:{PASSWORD}@{HOST}:{self.port}/{DATABASE}"

    @property
    def superuser_dsn(self) -> str:
        """URL of the maintenance database, as the superuser."""
        return f"postgresql://{SUPERUSER}:{self._secret()}@{HOST}:{self.port}/{SUPERUSER}"

    def command(self) -> list[str]:
        """Returns the command line of the server."""
        options = (
            f"port={self.port}",
            f"listen_addresses={HOST}",
            "unix_socket_directories=",  # its path would be too long in many a home
            "jit=off",
            *self._options,
        )
        flags = [word for option in options for word in ("-c", option)]
        return [str(self._bin_dir / "postgres"), "-D", str(self._folder / "data"), *flags]

    def prepare(self) -> None:
        """Makes the cluster, when it is not there; a half-made one is made anew."""
        data = self._folder / "data"
        if data.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        secret = self._folder / "superuser.password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe() + "\n")
        partial = self._folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        run(
            [
                self._bin_dir / "initdb",
                *("--username", SUPERUSER, "--pwfile", secret, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync", "-D", partial),
            ]
        )
        partial.rename(data)

    def is_ready(self) -> bool:
        """Tells whether queries are answered."""
        if not accepts(self.port):
            return False
        try:
            self.query("SELECT 1")
        except NativeError:
            return False
        return True

    def query(self, sql: str) -> str:
        """Runs SQL as the superuser; returns the rows, unaligned, a line each.

        Raises:
            NativeError: The server refuses it.
        """
        flags = ["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1"]
        return run([self._bin_dir / "psql", self.superuser_dsn, *flags, "-c", sql], timeout_seconds=30)

    def provide(self) -> None:
        """Makes the roles and the database, when they are not there."""
        for role, memberships in ((USER, ""), (MONITOR, "IN ROLE pg_monitor, pg_read_all_data")):
            if not self.query(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):  # noqa: S608 - constants
                self.query(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' {memberships}")
        if not self.query(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):  # noqa: S608 - constant
            self.query(f"CREATE DATABASE {DATABASE} OWNER {USER}")

    def start(self, timeout_seconds: float = 30) -> None:
        """Makes what is missing, starts the server and waits until it is ready."""
        self.prepare()
        super().start(timeout_seconds)
        self.provide()

    def _secret(self) -> str:
        return (self._folder / "superuser.password").read_text().strip()


class Redis(Process):
    """A private Redis.

    Args:
        bin_dir: Where redis-server is.
        folder: Its data and its log.
        port: Port on the loopback interface.
        append_only: Keep every write on disk.
    """

    def __init__(self, bin_dir: Path, folder: Path, port: int, *, append_only: bool = False) -> None:
        self.port = port
        self._bin_dir = bin_dir
        self._folder = folder
        self._append_only = append_only
        super().__init__(self.command(), log=folder / "redis.log", ready=self.is_ready)

    @property
    def url(self) -> str:
        """URL of the server."""
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        """Returns the command line of the server."""
        flags = {
            "--bind": HOST,
            "--port": str(self.port),
            "--dir": str(self._folder),
            "--save": "",
            "--appendonly": "yes" if self._append_only else "no",
            "--maxmemory": "256mb",  # memory dashboards need a limit to measure against
        }
        return [str(self._bin_dir / "redis-server"), *(word for pair in flags.items() for word in pair)]

    def is_ready(self) -> bool:
        """Tells whether commands are answered."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def prepare(self) -> None:
        """Makes the folder of its data."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def start(self, timeout_seconds: float = 30) -> None:
        """Starts the server and waits until it is ready."""
        self.prepare()
        super().start(timeout_seconds)
