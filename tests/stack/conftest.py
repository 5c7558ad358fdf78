"""The compose file as docker-compose understands it, and a real nginx over the files that compose mounts."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 20
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compose_config(tools: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call it with an environment file and options: `docker-compose ... config`, of the production file."""

    def run(
        env_file: Path,
        *options: str,
        profile: str | None = "*",
        file: str = "docker-compose.prod.yml",
    ) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [tools / "docker-compose", "--env-file", env_file, "-f", ROOT / file]
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


@pytest.fixture(scope="session", params=["prod", "host"])
def machine(
    request: pytest.FixtureRequest, compose_config: Callable[..., subprocess.CompletedProcess[str]]
) -> dict[str, Any]:
    """The whole file of the main machine, and of a further one, with the settings of its example."""
    env_file, file = ROOT / f".env.{request.param}.example", f"docker-compose.{request.param}.yml"
    done = compose_config(env_file, "--format", "json", file=file)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="session")
def running(machine: dict[str, Any]) -> dict[str, Any]:
    """The services of either machine."""
    found: dict[str, Any] = machine["services"]
    return found


@pytest.fixture(scope="session")
def host(compose_config: Callable[..., subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    """The whole file of a further machine, every profile, with the settings of its example."""
    env_file, file = ROOT / ".env.host.example", "docker-compose.host.yml"
    done = compose_config(env_file, "--format", "json", file=file)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


class Echo(BaseHTTPRequestHandler):
    """Answers every request with what it was asked, as JSON, and remembers it in `seen`."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append(f"{self.command} {self.path}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - names the base class asks for

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
        self.program, self.folder = program, folder
        for path in folder.rglob("*.conf"):
            path.write_text(path.read_text().replace(" /tmp/", f" {folder}/"))
        (workers,) = re.findall("^worker_processes .*", self.read("nginx.conf"), re.MULTILINE)
        self.change("nginx.conf", workers, "worker_processes 1; daemon off;")
        as_root = os.geteuid() == 0 and "user root;" not in self.read("nginx.conf")
        user: list[str | Path] = ["-g", "user root;"] if as_root else []
        self.command: list[str | Path] = [program, "-p", folder, "-c", folder / "nginx.conf", *user]

    @property
    def version(self) -> tuple[int, ...]:
        said = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=True).stderr
        return tuple(int(part) for part in re.findall(r"nginx/([\d.]+)", said)[0].split("."))

    def configure(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs start.sh with these variables, as far as the start of nginx itself."""
        script = self.read("start.sh").replace(" /tmp/", f" {self.folder}/")
        (self.folder / "bin").mkdir(exist_ok=True)
        stand_in = self.folder / "bin" / "nginx"
        stand_in.write_text('#!/bin/sh\necho "nginx $*"\n')
        stand_in.chmod(0o755)
        environment = {"PATH": f"{stand_in.parent}:/usr/bin:/bin", **variables}
        return subprocess.run(
            ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
        )

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
            self.pid = process.pid
            try:
                self.wait_for(lambda: self._listens(port) or process.poll() is not None)
                assert process.poll() is None, self.read("error.log")
                yield
            finally:
                process.terminate()
                process.wait(DEADLINE_SECONDS)

    def logged(self, count: int) -> list[dict[str, str]]:
        """The lines of the access log, once there are as many."""
        self.wait_for(lambda: len(self.read("access.log").splitlines()) == count)
        return [json.loads(line) for line in self.read("access.log").splitlines()]

    @staticmethod
    def raw(port: int, request_line: str, *headers: str) -> str:
        """The answer to a request that no client has tidied up."""
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as link:
            link.sendall("\r\n".join([f"{request_line} HTTP/1.0", *headers, "", ""]).encode("latin-1"))
            received = b""
            # What nginx refuses it does not read to the end, which may break the connection after the answer.
            with suppress(ConnectionResetError):
                while data := link.recv(65536):
                    received += data
            return received.decode()

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", port)) == 0

    @staticmethod
    def wait_for(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def nginx(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Nginx]:
    """Call it with the name of a folder at the root: an nginx over a copy of it."""

    def make(name: str) -> Nginx:
        folder = tmp_path_factory.mktemp("etc") / name
        return Nginx(tools / "nginx", shutil.copytree(ROOT / name, folder))

    return make


@dataclass
class Door:
    """The public door: its nginx, and the ports it listens on here."""

    nginx: Nginx
    port: int
    tls: int
    inner: int

    @contextmanager
    def running(self) -> Iterator[httpx.Client]:
        """A client of the door, over TLS where it has TLS; a redirect is not followed."""
        secure = "doors/https.conf" in self.nginx.read("settings.conf")
        url = f"https://127.0.0.1:{self.tls}" if secure else f"http://127.0.0.1:{self.port}"
        # Signed by itself, a second ago.
        with self.nginx.running(self.port), httpx.Client(base_url=url, verify=False) as client:  # noqa: S501
            yield client


@pytest.fixture
def certificate() -> Callable[[Path, str], None]:
    """Call it with a folder and a name: a certificate of its own making, as `make secrets` makes one."""

    def make(folder: Path, name: str) -> None:
        folder.mkdir(exist_ok=True)
        names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
        files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
        subprocess.run(["openssl", "req", "-x509", *keys, *names, *files], check=True, capture_output=True)

    return make


@pytest.fixture
def door(
    nginx: Callable[[str], Nginx], free_port: Callable[[], int], certificate: Callable[[Path, str], None]
) -> Callable[..., Door]:
    """Call it with `http` or `https`, the port of what stands behind, and variables of start.sh."""

    def make(kind: str, behind: int, **variables: str) -> Door:
        found, chosen = nginx("nginx"), f"doors/{kind}.conf"
        certificate(found.folder.parent / "tls", "localhost")
        made = Door(found, free_port(), free_port(), free_port())
        done = found.configure(CLAW_NGINX_DOOR=kind, **{"CLAW_NGINX_TLS_PORT": str(made.tls), **variables})
        assert done.returncode == 0, done.stderr
        found.change("nginx.conf", "listen 8081;", f"listen 127.0.0.1:{made.inner};")
        found.change(chosen, "listen 8080;", f"listen 127.0.0.1:{made.port};")
        for name, port in (("grafana", 3000), ("loki", 3100)):
            found.change("addresses.conf", f"{name}:{port}", f"127.0.0.1:{behind}")
        users = found.folder.parent / "nginx_push_htpasswd"
        users.touch()
        found.change("locations.conf", "/run/secrets/nginx_push_htpasswd", str(users))
        if kind == "https":
            old = found.version < HTTP2_DIRECTIVE_SINCE
            found.change(chosen, "listen 8443 ssl;", f"listen 127.0.0.1:{made.tls} ssl{' http2' * old};")
            # The one line that nginx 1.22 writes in another way.
            found.change(chosen, "    http2 on;\n", "" if old else "    http2 on;\n")
        return made

    return make


@pytest.fixture
def public(door: Callable[..., Door], echo: int) -> Iterator[tuple[httpx.Client, Door]]:
    """A client of the plain door, which is running, and the door."""
    made = door("http", echo)
    with made.running() as client:
        yield client, made


@pytest.fixture
def secure(door: Callable[..., Door], echo: int) -> Iterator[tuple[httpx.Client, Door]]:
    """The same with TLS."""
    made = door("https", echo)
    with made.running() as client:
        yield client, made


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
