"""The compose file as docker-compose understands it, and a real nginx over the files that compose mounts."""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 20


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compose_config(tools: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call it with an environment file and options: `docker-compose ... config` of the production file."""

    def run(env_file: Path, *options: str, profile: str | None = "*") -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [
            tools / "docker-compose",
            "--env-file",
            env_file,
            "-f",
            ROOT / "docker-compose.prod.yml",
        ]
        return subprocess.run(
            [*command, *(["--profile", profile] if profile else []), "config", *options],
            # Nothing of the environment that runs the tests gets in.
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def compose(compose_config: Callable[..., subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    """The whole production file, every profile, with the settings of the example."""
    done = compose_config(ROOT / ".env.prod.example", "--format", "json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


class Echo(BaseHTTPRequestHandler):
    """Answers every request with what it was asked, as JSON, and remembers it in `seen`."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names the base class asks for

    def log_message(self, *_: object) -> None:
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """HTTP over a socket in the file system, as Docker speaks it."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, _ = self.socket.accept()
        return connection, ("", 0)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Nginx:
    """A real nginx in a folder of its own; a change of its files that changes nothing is an error."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.folder = folder
        for path in folder.rglob("*.conf"):
            path.write_text(path.read_text().replace(" /tmp/", f" {folder}/"))
        workers = "worker_processes auto;" if "auto;" in self.read("nginx.conf") else "worker_processes 1;"
        self.change("nginx.conf", workers, "worker_processes 1; daemon off;")
        as_root = os.geteuid() == 0 and "user root;" not in self.read("nginx.conf")
        user: list[str | Path] = ["-g", "user root;"] if as_root else []
        self.command: list[str | Path] = [program, "-p", folder, "-c", folder / "nginx.conf", *user]

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def change(self, name: str, old: str, new: str) -> None:
        before = self.read(name)
        assert before.count(old) == 1, (name, old)
        (self.folder / name).write_text(before.replace(old, new))

    def check(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.command, "-t"], capture_output=True, text=True, check=False)

    @contextmanager
    def running(self, port: int) -> Iterator[None]:
        with (self.folder / "access.log").open("w") as out, (self.folder / "error.log").open("w") as err:
            process = subprocess.Popen([*self.command, "-e", "stderr"], stdout=out, stderr=err)
            try:
                self._wait_for(lambda: self._listens(port))
                yield
            finally:
                process.terminate()
                process.wait(DEADLINE_SECONDS)

    def logged(self, count: int) -> list[dict[str, str]]:
        """The lines of the access log, once there are as many."""
        self._wait_for(lambda: len(self.read("access.log").splitlines()) == count)
        return [json.loads(line) for line in self.read("access.log").splitlines()]

    @staticmethod
    def raw(port: int, request_line: str) -> str:
        """The answer to a request that no client has tidied up."""
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as link:
            link.sendall(f"{request_line} HTTP/1.0\r\n\r\n".encode())
            return b"".join(iter(lambda: link.recv(65536), b"")).decode()

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", port)) == 0

    @staticmethod
    def _wait_for(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def nginx(tools: Path, tmp_path: Path) -> Callable[[str], Nginx]:
    """Call it with the name of a folder at the root: an nginx over a copy of it."""

    def make(name: str) -> Nginx:
        return Nginx(tools / "nginx", shutil.copytree(ROOT / name, tmp_path / name))

    return make


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a web server that repeats what it was asked."""
    Echo.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    with serving(server):
        yield server.server_port


@pytest.fixture
def asked() -> list[str]:
    """What reached the server behind nginx."""
    return Echo.seen


@pytest.fixture
def unix_server() -> Iterator[Callable[..., None]]:
    """Call it with a path, and a handler if it is not to repeat what it was asked: HTTP over that socket."""
    servers: list[tuple[UnixServer, threading.Thread]] = []
    Echo.seen.clear()

    def start(path: Path, handler: type[BaseHTTPRequestHandler] = Echo) -> None:
        server = UnixServer(str(path), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
