"""How much the public door takes: requests, connections, bodies, headers, and patience."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import TYPE_CHECKING, ClassVar

import httpx
import pytest
from tests.stack.conftest import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.conftest import Door

    Public = tuple[httpx.Client, Door]


def burst(port: int, count: int, path: str, *, method: str = "GET", headers: str = "") -> list[str]:
    """The statuses of as many requests, sent at once over one connection."""
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{headers}"
    last = f"{request}Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        sender = threading.Thread(
            target=link.sendall, args=((f"{request}\r\n" * (count - 1) + last).encode(),)
        )
        sender.start()
        answers = b"".join(iter(lambda: link.recv(65536), b""))
        sender.join()
    return re.findall(r"HTTP/1\.1 (\d+) ", answers.decode())


@pytest.mark.parametrize("path", ["/grafana/", "/", "/healthz"])
def test_a_page_of_many_parts_loads(public: Public, path: str) -> None:
    assert "429" not in burst(public[1].port, 200, path)


@pytest.mark.parametrize(("path", "status"), [("/grafana/", "200"), ("/", "503"), ("/api/v1/usage", "503")])
def test_a_flood_is_refused_after_what_a_page_needs(public: Public, path: str, status: str) -> None:
    statuses = burst(public[1].port, 900, path)

    assert set(statuses) == {status, "429"}
    assert statuses[:500] == [status] * 500


def test_who_is_refused_is_told_to_wait(door: Callable[..., Door], echo: int) -> None:
    made = door("http", echo)
    made.nginx.change("nginx.conf", "zone=door:10m rate=50r/s;", "zone=door:10m rate=1r/m;")
    with made.running() as client:
        burst(made.port, 501, "/grafana/")
        page, program = client.get("/"), client.get("/api/v1/usage")

    assert page.status_code == program.status_code == 429
    assert page.headers["retry-after"] == program.headers["retry-after"] == "10"
    assert "Too many requests came from your address" in page.text
    assert program.json()["error"] == "err-claw-door-too-many-requests"
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_access_log_tells_who_was_refused_and_the_error_log_is_not_flooded(public: Public) -> None:
    statuses = burst(public[1].port, 900, "/grafana/")
    lines = public[1].nginx.logged(900)

    assert [line["limited"] for line in lines] == ["yes" if code == "429" else "no" for code in statuses]
    assert "limiting requests" not in public[1].nginx.read("error.log")


@pytest.mark.parametrize("path", ["/grafana/login", "/grafana//login", "/grafana/%6cogin", "/grafana/login/"])
def test_passwords_cannot_be_guessed_fast(public: Public, path: str) -> None:
    statuses = burst(public[1].port, 30, path, method="POST")

    assert statuses == ["200"] * 11 + ["429"] * 19


def test_the_login_page_itself_is_not_a_guess(public: Public) -> None:
    assert set(burst(public[1].port, 100, "/grafana/login")) == {"200"}


@pytest.mark.parametrize("scheme", ["Basic", "basic"])
def test_nor_can_they_be_guessed_at_the_api(public: Public, scheme: str) -> None:
    login = f"Authorization: {scheme} eDp5\r\n"

    assert set(burst(public[1].port, 200, "/grafana/api/user", headers=login)) == {"200", "429"}


def test_a_token_of_grafana_is_not_a_password(public: Public) -> None:
    token = "Authorization: Bearer x\r\n"

    assert set(burst(public[1].port, 200, "/grafana/api/user", headers=token)) == {"200"}


def test_one_address_does_not_count_for_another(door: Callable[..., Door], echo: int) -> None:
    made = door("http", echo, CLAW_NGINX_TRUSTED_PROXIES="127.0.0.0/8")
    made.nginx.change("nginx.conf", "zone=door:10m rate=50r/s;", "zone=door:10m rate=1r/m;")
    with made.running() as client:
        burst(made.port, 501, "/grafana/", headers="X-Forwarded-For: 203.0.113.9\r\n")
        refused = client.get("/grafana/", headers={"X-Forwarded-For": "203.0.113.9"})
        another = client.get("/grafana/", headers={"X-Forwarded-For": "198.51.100.1"})

    assert (refused.status_code, another.status_code) == (429, 200)


@pytest.mark.parametrize(("size", "status"), [(4 * 2**20, 200), (4 * 2**20 + 1, 413)])
def test_a_body_has_a_limit(public: Public, size: int, status: int) -> None:
    assert public[0].post("/grafana/api/dashboards/db", content=b"x" * size).status_code == status


@pytest.mark.parametrize(("size", "status"), [(12_000, 200), (17_000, 414)])
def test_an_address_has_a_limit(public: Public, size: int, status: int) -> None:
    assert public[0].get(f"/grafana/explore?left={'x' * size}").status_code == status


@pytest.mark.parametrize(("size", "status"), [(12_000, 200), (17_000, 431)])
def test_a_header_has_a_limit(public: Public, size: int, status: int) -> None:
    assert public[0].get("/grafana/", headers={"Cookie": "x" * size}).status_code == status


@pytest.mark.parametrize(
    ("directive", "sent"),
    [
        ("client_header_timeout", "GET /grafana/ HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        ("client_body_timeout", "POST /grafana/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow"),
        ("keepalive_timeout", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    ],
)
def test_a_client_that_stops_in_the_middle_is_not_waited_for(
    door: Callable[..., Door], echo: int, asked: list[str], directive: str, sent: str
) -> None:
    made = door("http", echo)
    (line,) = re.findall(rf"{directive} \d+s;", made.nginx.read("nginx.conf"))
    made.nginx.change("nginx.conf", line, f"{directive} 1s;")
    with made.running(), socket.create_connection(("127.0.0.1", made.port), timeout=10) as link:
        link.sendall(sent.encode())
        with suppress(ConnectionResetError):
            while link.recv(65536):  # would time out if the door still waited
                pass

    assert asked == []


class Slow(BaseHTTPRequestHandler):
    """Answers when it is told to."""

    go: ClassVar[threading.Event]
    here: ClassVar[threading.Semaphore]

    def do_GET(self) -> None:
        self.here.release()
        assert self.go.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[int]:
    """The port of a server that answers when Slow.go is set, and tells Slow.here of each request."""
    Slow.go, Slow.here = threading.Event(), threading.Semaphore(0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    with serving(server):
        yield server.server_port
        Slow.go.set()


def test_one_address_has_a_limited_number_of_requests_at_once(door: Callable[..., Door], slow: int) -> None:
    made = door("http", slow)
    made.nginx.change("server.conf", "limit_conn connections 256;", "limit_conn connections 2;")
    with made.running() as client, ExitStack() as links:
        opened = [socket.create_connection(("127.0.0.1", made.port), timeout=10) for _ in range(2)]
        two = [links.enter_context(link) for link in opened]
        for link in two:
            link.sendall(b"GET /grafana/ HTTP/1.0\r\nHost: x\r\n\r\n")
            assert Slow.here.acquire(timeout=10)
        third = client.get("/grafana/")
        Slow.go.set()
        finished = [link.recv(15) for link in two]

    assert third.status_code == 429
    assert finished == [b"HTTP/1.1 200 OK"] * 2


class Endless(BaseHTTPRequestHandler):
    """Sends as much as is taken, up to 64 MB."""

    taken_mb: ClassVar[Queue[int]]

    def do_GET(self) -> None:
        self.connection.settimeout(1)  # nobody takes any more
        self.send_response(200)
        self.end_headers()
        count = 0
        with suppress(TimeoutError):
            for _ in range(64):
                self.wfile.write(b"x" * 2**20)
                count += 1
        self.taken_mb.put(count)

    def log_message(self, *_: object) -> None:
        pass


def test_an_answer_that_nobody_reads_fills_no_memory(door: Callable[..., Door]) -> None:
    Endless.taken_mb = Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    with serving(server):
        made = door("http", server.server_port)
        with made.running(), httpx.stream("GET", f"http://127.0.0.1:{made.port}/grafana/") as answer:
            assert answer.status_code == 200
            taken = Endless.taken_mb.get(timeout=20)

    # What the kernel keeps for two connections; the rest would be in a file of nginx.
    assert taken < 32
    assert "temporary file" not in made.nginx.read("error.log")
