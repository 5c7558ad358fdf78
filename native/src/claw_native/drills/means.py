"""The ways to break a running stack, each a context manager: broken inside, mended when it is left."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import yaml

from claw_native.command import run
from claw_native.drills.configuration import textfiles
from claw_native.errors import NativeError, ServerError
from claw_native.servers import DATABASE, HOST
from claw_native.stack import postgres, services_named
from claw_native.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from claw_native.settings import Settings

    Means = Callable[["Site"], AbstractContextManager[None]]

START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
# Several scrapes of a drilled stack.
SEEN_SECONDS: Final = 5.0
FOLLOW_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Site:
    """A running stack that may be broken.

    Args:
        settings: Where it runs.
        http: Speaks to its services.
    """

    settings: Settings
    http: httpx.Client

    @property
    def supervisor(self) -> Supervisor:
        """What keeps its services running."""
        return Supervisor(self.settings)

    def put(self, service: str, path: str, body: object) -> None:
        """Changes something through a service's own interface.

        Raises:
            NativeError: The service does not take it.
        """
        try:
            answer = self.http.put(self.settings.url(service, path), json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise NativeError(f"{service} does not take {path} {body}: {error}") from error

    def redis(self, *command: str) -> str:
        """Runs a command of Redis and returns its answer."""
        port = str(self.settings.ports["redis"])
        return run([self.settings.bin_dir / "redis-cli", "-p", port, *command])

    def start(self, name: str) -> None:
        """Starts a service and waits until it is ready.

        Raises:
            ServerError: It does not become ready.
        """
        (service,) = services_named([name])
        deadline = time.monotonic() + START_SECONDS
        self.supervisor.start(name)
        while not (service.ready is None or service.ready(self.settings)):
            if time.monotonic() > deadline:
                raise ServerError(f"{name} does not come back; its log is in {self.settings.log_dir}")
            time.sleep(POLL_SECONDS)


def stopped(*names: str) -> Means:
    """Services that are stopped."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        for name in names:
            site.supervisor.stop(name)
        try:
            yield
        finally:
            for name in names:
                site.start(name)

    return means


def mended_by_restart(name: str) -> Means:
    """A service that keeps the traces of what happened to it until it starts anew."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        yield
        site.supervisor.stop(name)
        site.start(name)

    return means


def mended_by_reload(name: str) -> Means:
    """A service that reads its configuration again at the end.

    Prometheus does not by itself once a refused file is as before: it compares with what it took last.
    """

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        yield
        os.kill(site.supervisor.states()[name].pid, signal.SIGHUP)

    return means


def frozen(name: str) -> Means:
    """A service that lives, keeps its port open, and answers nothing (SIGSTOP)."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        pid = site.supervisor.states()[name].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return means


def models(behaviour: Mapping[str, float], *names: str) -> Means:
    """Models of the model server that behave otherwise; the fields are those of its behaviour.py."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        for name in names:
            site.put("model-server", f"/admin/behaviour/{name}", dict(behaviour))
        try:
            yield
        finally:
            for name in names:
                site.put("model-server", f"/admin/behaviour/{name}", {})

    return means


def in_the_app(**faults: float | str) -> Means:
    """Faults inside of the example application; the fields are those of its faults.py."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        site.put("claw-ai-backend", "/faults", faults)
        try:
            yield
        finally:
            site.put("claw-ai-backend", "/faults", {})

    return means


def leaking(*, share: float) -> Means:
    """The example application takes such a share of the free memory every second, and gives nothing back."""

    def means(site: Site) -> AbstractContextManager[None]:
        words = Path("/proc/meminfo").read_text().split()
        free_megabytes = int(words[words.index("MemAvailable:") + 1]) / 1024
        return in_the_app(leak_megabytes=max(1, round(share * free_megabytes)))(site)

    return means


def holding(sql: str, sessions: int = 1) -> Means:
    """Sessions of Postgres that run this SQL and stay open with whatever it holds."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        dsn = _database(site)
        held = [
            subprocess.Popen(  # noqa: S603 - our own program
                [str(site.settings.bin_dir / "psql"), dsn, "--no-psqlrc", "-q"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(sessions)
        ]
        try:
            for session in held:
                assert session.stdin  # noqa: S101 - it is a pipe
                session.stdin.write(sql + ";\n")
                session.stdin.flush()
            yield
        finally:
            for session in held:
                session.kill()
                session.communicate()

    return means


def changed_by_sql(broken: str, mended: str) -> Means:
    """Something in the application's database that is changed, and changed back."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        _psql(site, broken)
        try:
            yield
        finally:
            _psql(site, mended)

    return means


def _psql(site: Site, sql: str) -> None:
    psql = site.settings.bin_dir / "psql"
    run([psql, _database(site), "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])


def _database(site: Site) -> str:
    return postgres(site.settings).superuser_dsn.rpartition("/")[0] + f"/{DATABASE}"


def killed_again_and_again(name: str, *, pause_seconds: float) -> Means:
    """A service that dies as soon as it is back."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        stop = threading.Event()

        def kill() -> None:
            while not stop.wait(pause_seconds):
                state = site.supervisor.states()[name]
                if state.state == "RUNNING":
                    os.kill(state.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            site.start(name)

    return means


def few_files(name: str) -> Means:
    """A service that may open hardly one file more than it has open."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        pid = site.supervisor.states()[name].pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        stop = threading.Event()

        def follow() -> None:
            # The number goes up and down with the users.
            while not stop.wait(FOLLOW_SECONDS):
                with suppress(OSError):  # it has ended
                    _leave_few(pid, before[1])

        _leave_few(pid, before[1])
        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    return means


def _leave_few(pid: int, hard: int) -> None:
    few = int(1.1 * len(list(Path(f"/proc/{pid}/fd").iterdir()))) + 2
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, hard))


def redis_cannot_save() -> Means:
    """A folder where Redis wants to write its snapshot."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        folder = site.settings.data_dir / "redis" / "dump.rdb"
        folder.unlink(missing_ok=True)
        folder.mkdir()
        site.redis("BGSAVE")
        try:
            yield
        finally:
            folder.rmdir()
            site.redis("BGSAVE")

    return means


def redis_configured(name: str, value: Callable[[Site], str]) -> Means:
    """A setting of Redis that is changed while it runs."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        before = site.redis("CONFIG", "GET", name).splitlines()[1]
        site.redis("CONFIG", "SET", name, value(site))
        try:
            yield
        finally:
            site.redis("CONFIG", "SET", name, before)

    return means


def queued(key: str, count: int, *, age_seconds: float) -> Means:
    """Entries in a list of Redis that no worker takes."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        entry = json.dumps({"at": time.time() - age_seconds})
        site.redis("RPUSH", key, *[entry] * count)
        try:
            yield
        finally:
            site.redis("DEL", key)

    return means


def used_memory(factor: float) -> Callable[[Site], str]:
    """Returns what gives Redis so much room in relation to what it uses."""

    def value(site: Site) -> str:
        rows = dict(line.split(":", 1) for line in site.redis("INFO", "memory").splitlines() if ":" in line)
        return str(int(factor * int(rows["used_memory"])))

    return value


def textfile(text: Callable[[], str]) -> Means:
    """Metrics that the node exporter reads from a file, as a backup script writes them."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        path = textfiles(site.settings) / "drill.prom"
        partial = path.with_suffix(".partial")
        partial.write_text(text())
        partial.replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    return means


def file_changed(name: str, text: str | None) -> Means:
    """A file of `etc/` with another text; without one, it is gone."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        path = site.settings.etc_dir / name
        before = path.read_text() if path.exists() else None
        _write(path, text)
        try:
            yield
        finally:
            _write(path, before)

    def _write(path: Path, content: str | None) -> None:
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)

    return means


def target_beside(job: str, text: Callable[[Site], str]) -> Means:
    """One more target of a job, which shows this text.

    The job is one that has another target: one of its own would be missed for a day after it is gone.
    """

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        body = text(site).encode()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        file = site.settings.etc_dir / "prometheus" / "targets" / "apps" / "beside.yml"
        with ThreadingHTTPServer((HOST, 0), Page) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            labels = {"job": job, "host": "beside"}
            target = {"targets": [f"{HOST}:{server.server_port}"], "labels": labels}
            file.write_text(json.dumps([target]))  # which is YAML too
            try:
                yield
            finally:
                file.unlink()
                server.shutdown()
                thread.join()

    return means


def more_samples_than_allowed(site: Site) -> str:
    """Returns metrics that no scrape may have."""
    configuration = (site.settings.etc_dir / "prometheus" / "prometheus.yml").read_text()
    limit = yaml.safe_load(configuration)["global"]["sample_limit"]
    return "".join(f'claw_drill{{number="{number}"}} 1\n' for number in range(limit + 1))


def small_disk(name: str, *, megabytes: int) -> Means:
    """A small file system of its own, mounted on a file."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        image, folder = site.settings.data_dir / f"{name}.img", site.settings.data_dir / name
        folder.mkdir(exist_ok=True)
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        run(["mkfs.ext4", "-q", "-m", "0", image])
        run(["mount", "-o", "loop", image, folder])
        try:
            yield
        finally:
            run(["umount", folder])
            with suppress(OSError):
                image.unlink()
                folder.rmdir()

    return means


def filled(name: str, *, free_ratio: float) -> Means:
    """A small disk on which hardly anything is left."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        folder = site.settings.data_dir / name
        disk = os.statvfs(folder)
        wanted = disk.f_bavail - free_ratio * disk.f_blocks
        (folder / "full").write_bytes(bytes(int(wanted * disk.f_frsize)))
        yield

    return means


def read_only(name: str) -> Means:
    """A small disk that takes no more writes, after it was seen to take them."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        time.sleep(SEEN_SECONDS)
        run(["mount", "-o", "remount,ro", site.settings.data_dir / name])
        yield

    return means
