"""The public door and the Docker proxy, in the real nginx."""

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
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import httpx
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
MIME = "types { text/html html; }"  # the image brings the whole list
DEADLINE_SECONDS = 20


class Upstream(BaseHTTPRequestHandler):
    """Answers every request with what it was asked, as JSON."""

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

    def address_string(self) -> str:
        return "a client"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A stand-in for Docker: HTTP over a socket in the file system."""

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
    """A real nginx in a folder of its own; every change of its files is asserted to change something."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.folder = folder
        root: list[str | Path] = (
            ["-g", "user root;"] if os.geteuid() == 0 and "user " not in self.read("nginx.conf") else []
        )
        self.command: list[str | Path] = [program, "-p", folder, "-c", folder / "nginx.conf", *root]
        for path in folder.rglob("*.conf"):
            path.write_text(path.read_text().replace(" /tmp/", f" {folder}/"))

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
                wait_for(lambda: listening(port))
                yield
            finally:
                process.terminate()
                process.wait(DEADLINE_SECONDS)

    def log(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.read("access.log").splitlines()]


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listening(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def door(tools: Path, tmp_path: Path) -> Callable[[str], Nginx]:
    """Call it with `http` or `https`: the files that compose mounts, in a folder."""

    def make(kind: str) -> Nginx:
        folder = tmp_path / "nginx"
        shutil.copytree(ROOT / "nginx", folder)
        shutil.copy(folder / "doors" / f"{kind}.conf", folder / "door.conf")
        (folder / "mime.types").write_text(MIME)
        nginx = Nginx(tools / "nginx", folder)
        nginx.change("nginx.conf", "worker_processes auto;", "worker_processes 1; daemon off;")
        return nginx

    return make


@pytest.fixture
def grafana() -> Iterator[int]:
    """A stand-in for Grafana that repeats what it was asked; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.daemon_threads = True
    with serving(server):
        yield server.server_port


@pytest.fixture
def public(
    door: Callable[[str], Nginx], grafana: int, free_port: Callable[[], int]
) -> Iterator[tuple[httpx.Client, Nginx, int]]:
    """A client of the running door, its nginx, and the port of stub_status."""
    nginx, port, inner = door("http"), free_port(), free_port()
    nginx.change("door.conf", "listen 8080;", f"listen 127.0.0.1:{port};")
    nginx.change("nginx.conf", "listen 8081;", f"listen 127.0.0.1:{inner};")
    nginx.change("addresses.conf", "grafana:3000", f"127.0.0.1:{grafana}")
    with nginx.running(port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client, nginx, inner


def certificate(folder: Path) -> None:
    folder.mkdir()
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(["openssl", "req", "-x509", *keys, *names, *files], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["http", "https"])
def test_nginx_accepts_each_door(door: Callable[[str], Nginx], kind: str) -> None:
    nginx = door(kind)
    certificate(nginx.folder / "tls")

    done = nginx.check()

    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_the_door_says_that_it_is_open(public: tuple[httpx.Client, Nginx, int]) -> None:
    answer = public[0].get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_grafana_is_reached_under_its_own_path(public: tuple[httpx.Client, Nginx, int]) -> None:
    answer = public[0].get("/grafana/d/claw-ai-overview?var-job=shop&x=%2F")

    assert answer.json()["path"] == "/grafana/d/claw-ai-overview?var-job=shop&x=%2F"


def test_grafana_learns_who_asked_and_a_client_cannot_lie(public: tuple[httpx.Client, Nginx, int]) -> None:
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.9"}
    headers = public[0].get("/grafana/", headers={**lies, "Host": "monitoring.example.com"}).json()["headers"]

    assert headers["host"] == headers["x-forwarded-host"] == "monitoring.example.com"
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"


def test_the_live_updates_of_grafana_get_through(public: tuple[httpx.Client, Nginx, int]) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket"}
    headers = public[0].get("/grafana/api/live/ws", headers=asked).json()["headers"]

    assert (headers["connection"], headers["upgrade"]) == ("upgrade", "websocket")


@pytest.mark.parametrize(
    ("path", "status", "target"),
    [
        ("/grafana", 308, "/grafana/"),
        ("/analytics", 307, "/grafana/"),
        ("/analytics/", 307, "/grafana/"),
        ("/analytics/usage", 307, "/grafana/"),
    ],
)
def test_paths_that_lead_to_grafana(
    public: tuple[httpx.Client, Nginx, int], path: str, status: int, target: str
) -> None:
    answer = public[0].get(path)

    assert answer.status_code == status
    assert answer.headers["location"].endswith(target)


@pytest.mark.parametrize("path", ["/", "/api/", "/api/v1/usage", "/nothing"])
def test_what_is_not_there_yet_says_so_on_a_page(public: tuple[httpx.Client, Nginx, int], path: str) -> None:
    answer = public[0].get(path)

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "text/html"
    assert "retry-after" in answer.headers
    assert "Not here yet" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/grafana/metrics",
        "/grafana/%6detrics",
        "/grafana/x/../metrics",
        "/grafana//metrics",
    ],
)
def test_metrics_are_not_public(public: tuple[httpx.Client, Nginx, int], path: str) -> None:
    Upstream.seen.clear()

    # As bytes: a client would tidy the path up before it sends it.
    answer = raw(public[0], f"GET {path} HTTP/1.0\r\n\r\n")

    assert answer.startswith("HTTP/1.1 404 ")
    assert Upstream.seen == []


def raw(client: httpx.Client, request: str) -> str:
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=DEADLINE_SECONDS) as link:
        link.sendall(request.encode())
        return b"".join(iter(lambda: link.recv(65536), b"")).decode()


def test_the_page_of_a_missing_grafana_tries_again(
    door: Callable[[str], Nginx], free_port: Callable[[], int]
) -> None:
    nginx, port, inner, nobody = door("http"), free_port(), free_port(), free_port()
    nginx.change("door.conf", "listen 8080;", f"listen 127.0.0.1:{port};")
    nginx.change("nginx.conf", "listen 8081;", f"listen 127.0.0.1:{inner};")
    nginx.change("addresses.conf", "grafana:3000", f"127.0.0.1:{nobody}")
    with nginx.running(port):
        answer = httpx.get(f"http://127.0.0.1:{port}/grafana/")

    assert answer.status_code == 502
    assert 'http-equiv="refresh"' in answer.text


def test_no_answer_tells_the_version_of_nginx(public: tuple[httpx.Client, Nginx, int]) -> None:
    assert public[0].get("/nothing").headers["server"] == "nginx"


def test_the_exporter_finds_its_numbers_on_the_inner_port_only(
    public: tuple[httpx.Client, Nginx, int],
) -> None:
    client, _, inner = public

    assert "Active connections" in httpx.get(f"http://127.0.0.1:{inner}/stub_status").text
    assert httpx.get(f"http://127.0.0.1:{inner}/").status_code == 404
    assert client.get("/stub_status").status_code == 503


def test_each_request_is_one_json_line_as_the_log_pipeline_expects_it(
    public: tuple[httpx.Client, Nginx, int],
) -> None:
    client, nginx, _ = public
    client.get("/grafana/?token=secret", headers={"User-Agent": 'a "quoted" \\ name'})
    client.get("/healthz")
    client.get("/nothing")

    wait_for(lambda: len(nginx.log()) == 2)
    first, second = nginx.log()
    samples = yaml.safe_load((ROOT / "promtail" / "samples" / "stack.yml").read_text())

    assert set(first) == set(second) == set(json.loads(samples[0]["lines"][0]))
    assert (first["status"], first["path"], first["upstream_status"]) == ("200", "/grafana/", "200")
    assert first["user_agent"] == 'a "quoted" \\ name'
    assert "secret" not in str(first)
    assert (second["status"], second["level"]) == ("503", "info")


def test_with_tls_the_plain_port_only_leads_there(
    door: Callable[[str], Nginx], grafana: int, free_port: Callable[[], int]
) -> None:
    nginx, plain, tls, inner = door("https"), free_port(), free_port(), free_port()
    certificate(nginx.folder / "tls")
    nginx.change("door.conf", "listen 8080;", f"listen 127.0.0.1:{plain};")
    nginx.change("door.conf", "listen 8443 ssl;", f"listen 127.0.0.1:{tls} ssl;")
    nginx.change("nginx.conf", "listen 8081;", f"listen 127.0.0.1:{inner};")
    nginx.change("addresses.conf", "grafana:3000", f"127.0.0.1:{grafana}")
    with nginx.running(tls), ExitStack() as stack:
        client = stack.enter_context(httpx.Client(verify=False))  # noqa: S501 - signed by itself, a second ago
        moved = client.get(f"http://127.0.0.1:{plain}/grafana/?a=1")
        alive = client.get(f"http://127.0.0.1:{plain}/healthz")
        shown = client.get(f"https://127.0.0.1:{tls}/grafana/")

    assert (moved.status_code, moved.headers["location"]) == (308, "https://127.0.0.1/grafana/?a=1")
    assert alive.status_code == 200
    assert shown.json()["headers"]["x-forwarded-proto"] == "https"


# ---- The Docker proxy --------------------------------------------------------------------------------------
@pytest.fixture
def docker(tools: Path, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[httpx.Client]:
    """A client of the proxy in front of a stand-in for Docker that answers everything."""
    folder = tmp_path / "docker-proxy"
    shutil.copytree(ROOT / "docker-proxy", folder)
    nginx, port = Nginx(tools / "nginx", folder), free_port()
    nginx.change("nginx.conf", "worker_processes 1;", "worker_processes 1; daemon off;")
    nginx.change("nginx.conf", "listen 2375;", f"listen 127.0.0.1:{port};")
    nginx.change("socket.conf", "/var/run/docker.sock", str(folder / "docker.sock"))
    Upstream.seen.clear()
    with (
        serving(UnixServer(str(folder / "docker.sock"), Upstream)),
        nginx.running(port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/_ping",
        "/version",
        "/v1.44/info",
        "/v1.44/containers/json?limit=0&all=1",
        "/v1.44/networks?filters=%7B%7D",
        "/v1.44/events?since=1",
        "/v1.44/containers/claw-redis-1/json",
        "/v1.44/containers/0123abc/logs?follow=1&since=5&stdout=1&stderr=1&timestamps=1",
    ],
)
def test_what_the_log_shipper_and_cadvisor_ask_is_passed_on(docker: httpx.Client, path: str) -> None:
    answer = docker.get(path)

    assert answer.status_code == 200
    assert answer.json()["path"] == path


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /v1.44/containers/abc/archive?path=/run/secrets",
        "GET /v1.44/containers/abc/export",
        "GET /v1.44/containers/abc/top",
        "GET /v1.44/images/json",
        "GET /v1.44/secrets",
        "GET /v1.44/containers/abc/json/../archive?path=/",
        "GET /v1.44/containers/abc%2Farchive%2F..%2Flogs%2F..%2Farchive",
        "GET /v1.44/containers/a%0Ab/json",
        "POST /v1.44/containers/abc/exec",
        "POST /v1.44/containers/create",
        "POST /v1.44/containers/abc/json",
        "PUT /v1.44/containers/abc/archive?path=/",
        "DELETE /v1.44/containers/abc",
        "POST /_ping",
        "GET /",
    ],
)
def test_everything_else_never_reaches_docker(docker: httpx.Client, request_line: str) -> None:
    answer = raw(docker, f"{request_line} HTTP/1.0\r\n\r\n")

    assert re.match(r"HTTP/1\.1 40[03] ", answer)
    assert Upstream.seen == []


def test_what_reaches_docker_is_what_was_judged(docker: httpx.Client) -> None:
    raw(docker, "GET /v1.44/containers/abc/archive/../json?size=1 HTTP/1.0\r\n\r\n")

    assert Upstream.seen == ["GET /v1.44/containers/abc/json?size=1"]


def test_a_log_is_passed_on_line_by_line(tools: Path, tmp_path: Path, free_port: Callable[[], int]) -> None:
    class Follow(Upstream):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"first line\n")
            more.wait(DEADLINE_SECONDS)

    more = threading.Event()
    folder = tmp_path / "docker-proxy"
    shutil.copytree(ROOT / "docker-proxy", folder)
    nginx, port = Nginx(tools / "nginx", folder), free_port()
    nginx.change("nginx.conf", "worker_processes 1;", "worker_processes 1; daemon off;")
    nginx.change("nginx.conf", "listen 2375;", f"listen 127.0.0.1:{port};")
    nginx.change("socket.conf", "/var/run/docker.sock", str(folder / "docker.sock"))
    with serving(UnixServer(str(folder / "docker.sock"), Follow)), nginx.running(port):
        with httpx.stream("GET", f"http://127.0.0.1:{port}/containers/abc/logs?follow=1") as answer:
            first = next(answer.iter_text())
        more.set()

    assert first == "first line\n"
