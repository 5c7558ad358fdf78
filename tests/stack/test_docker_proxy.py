"""The Docker proxy, in the real nginx, in front of a stand-in for Docker that answers everything."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.conftest import Nginx

    UnixServer = Callable[..., None]

DEADLINE_SECONDS = 20


@pytest.fixture
def proxy(nginx: Callable[[str], Nginx], free_port: Callable[[], int]) -> tuple[Nginx, int]:
    """The proxy, not yet running, and its port; Docker's socket is `docker.sock` in its folder."""
    found, port = nginx("docker-proxy"), free_port()
    found.change("nginx.conf", "listen 2375;", f"listen 127.0.0.1:{port};")
    found.change("socket.conf", "/var/run/docker.sock", str(found.folder / "docker.sock"))
    return found, port


@pytest.fixture
def docker(proxy: tuple[Nginx, int], unix_server: UnixServer) -> Iterator[httpx.Client]:
    server, port = proxy
    unix_server(server.folder / "docker.sock")
    with server.running(port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
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
@pytest.mark.usefixtures("docker")
def test_everything_else_never_reaches_docker(
    proxy: tuple[Nginx, int], asked: list[str], request_line: str
) -> None:
    server, port = proxy

    assert re.match(r"HTTP/1\.1 40[03] ", server.raw(port, request_line))
    assert asked == []


@pytest.mark.usefixtures("docker")
def test_what_reaches_docker_is_what_was_judged(proxy: tuple[Nginx, int], asked: list[str]) -> None:
    server, port = proxy
    server.raw(port, "GET /v1.44/containers/abc/archive/../json?size=1")

    assert asked == ["GET /v1.44/containers/abc/json?size=1"]


def test_a_log_is_passed_on_line_by_line(proxy: tuple[Nginx, int], unix_server: UnixServer) -> None:
    class Follow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"first line\n")
            more.wait(DEADLINE_SECONDS)

        def log_message(self, *_: object) -> None:
            pass

    more = threading.Event()
    server, port = proxy
    unix_server(server.folder / "docker.sock", Follow)
    with server.running(port):
        with httpx.stream("GET", f"http://127.0.0.1:{port}/containers/abc/logs?follow=1") as answer:
            first = next(answer.iter_text())
        more.set()

    assert first == "first line\n"
