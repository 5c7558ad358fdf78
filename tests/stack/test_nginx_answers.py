"""What every answer of the public door has: headers, and a page or an object where it answers itself."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.stack.conftest import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from tests.stack.conftest import Door

    Public = tuple[httpx.Client, Door]

ROOT = Path(__file__).resolve().parents[2]
ERRORS = (ROOT / "nginx" / "errors.conf").read_text()
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
OF_A_PAGE = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
BIG = "x" * 20_000
# Method, path, headers, body: an answer of every status that the door gives by itself.
ANSWERS: dict[str, tuple[int, str, str, dict[str, str], bytes]] = {
    "health": (200, "GET", "/healthz", {}, b""),
    "grafana": (200, "GET", "/grafana/", {}, b""),
    "a slash is missing": (308, "GET", "/grafana", {}, b""),
    "analytics": (307, "GET", "/analytics", {}, b""),
    "bad request": (400, "GET", "/%", {}, b""),
    "no password": (401, "POST", "/loki/api/v1/push", {}, b""),
    "no TLS": (403, "POST", "/loki/api/v1/push", {}, b""),
    "metrics": (404, "GET", "/metrics", {}, b""),
    "another address of Loki": (404, "GET", "/loki/api/v1/query", {}, b""),
    "inner page": (404, "GET", "/_error.html", {}, b""),
    "method": (405, "PROPFIND", "/", {}, b""),
    "method for logs": (405, "GET", "/loki/api/v1/push", {}, b""),
    "large body": (413, "POST", "/grafana/", {}, b"x" * (4 * 2**20 + 1)),
    "long address": (414, "GET", f"/{BIG}", {}, b""),
    "large header": (431, "GET", "/", {"X-Large": BIG}, b""),
    "nothing there": (503, "GET", "/", {}, b""),
    "hub": (503, "GET", "/api/v1/usage", {}, b""),
    "hub, written to": (503, "PUT", "/api/v1/usage", {}, b"x"),
}


OF_ONE_DOOR = {"no password": "secure", "method for logs": "secure", "no TLS": "public"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in ("public", "secure")
        for name in ANSWERS
        if OF_ONE_DOOR.get(name, kind) == kind
    ],
)
def test_every_answer_has_the_headers_once(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    status, method, path, headers, body = ANSWERS[name]
    client, _ = request.getfixturevalue(kind)

    answer = client.request(method, path, headers=headers, content=body)

    assert answer.status_code == status
    expected = dict(ALWAYS)
    if kind == "secure":
        expected["strict-transport-security"] = "max-age=31536000"
    expected["content-security-policy"] = "frame-ancestors 'none'" if name == "grafana" else OF_A_PAGE
    assert {key: answer.headers.get_list(key) for key in expected} == {
        key: [value] for key, value in expected.items()
    }
    assert ("strict-transport-security" in answer.headers) == (kind == "secure")
    assert answer.headers["server"] == "nginx"
    assert ("cache-control" in answer.headers) == (status >= 400)


@pytest.mark.parametrize("name", [name for name, case in ANSWERS.items() if case[0] >= 400])
def test_people_get_a_page_and_programs_an_object(name: str, public: Public, secure: Public) -> None:
    status, method, path, headers, body = ANSWERS[name]
    client = (secure if status in {401, 405} else public)[0]

    answer = client.request(method, path, headers=headers, content=body)

    (error_id,) = re.findall(rf"^    {status} +(err-claw-door-[a-z-]+);", ERRORS, re.MULTILINE)
    if path.startswith(("/api/", "/loki/")):
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"] == error_id
    else:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert error_id in answer.text
        assert f"<title>{status} · " in answer.text
        assert re.search(r'<p lang="zh">[^<]+。</p>', answer.text)


@pytest.mark.parametrize(
    ("path", "dashboards"), [("/", True), ("/nothing", True), ("/metrics", True), ("/%", False)]
)
def test_a_page_leads_to_the_dashboards_where_that_helps(
    public: Public, path: str, *, dashboards: bool
) -> None:
    assert ('href="/grafana/"' in public[0].get(path).text) == dashboards


def test_what_is_not_there_yet_may_be_asked_again_later(public: Public) -> None:
    answer = public[0].get("/")

    assert answer.headers["retry-after"] == "3600"
    assert "Nothing lives at this address yet." in answer.text
    assert "http-equiv" not in answer.text


def test_the_page_of_a_missing_grafana_tries_again(
    door: Callable[..., Door], free_port: Callable[[], int]
) -> None:
    with door("http", free_port()).running() as client:
        answer = client.get("/grafana/")

    assert answer.status_code == 502
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["content-security-policy"] == OF_A_PAGE
    assert 'http-equiv="refresh" content="10"' in answer.text


def test_an_answer_can_be_found_in_the_access_log(public: Public) -> None:
    told = public[0].get("/api/", headers={"X-Request-ID": "forged"}).json()["request_id"]
    (logged,) = public[1].nginx.logged(1)

    assert logged["request_id"] == told != "forged"


def test_every_error_has_both_languages_and_is_documented() -> None:
    tables = dict(
        re.findall(r"^map \$status \$error_(id|en|zh) \{\n(.*?)^\}", ERRORS, re.MULTILINE | re.DOTALL)
    )
    known = {name: re.findall(r"^    (\w+) ", text, re.MULTILINE) for name, text in tables.items()}
    page = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
    statuses = re.findall(r"error_page (.*?) /", (ROOT / "nginx" / "server.conf").read_text())
    answered = {code.lstrip("=") for line in statuses for code in line.split()} - {"494", "500"}

    assert known["id"] == known["en"] == known["zh"] == ["default", *sorted(answered)]
    assert set(re.findall(r"err-claw-door-[a-z-]+", tables["id"])) == set(
        re.findall(r"^\| `(err-claw-door-[a-z-]+)` \|", page, re.MULTILINE)
    )


class Opinionated(BaseHTTPRequestHandler):
    """Says what Grafana says, and more."""

    def do_GET(self) -> None:
        self.send_response(429 if "busy" in self.path else 200)
        for name, value in (
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "deny"),
            ("X-Xss-Protection", "1; mode=block"),
            ("Strict-Transport-Security", "max-age=1"),
            ("Content-Security-Policy", "script-src 'self'"),
            ("Cache-Control", "no-cache"),
            ("Retry-After", "7"),
            ("Set-Cookie", "grafana_session=x; Path=/grafana; HttpOnly; SameSite=Lax"),
            ("Content-Length", "0"),
        ):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def opinionated() -> ThreadingHTTPServer:
    return ThreadingHTTPServer(("127.0.0.1", 0), Opinionated)


@pytest.mark.parametrize("kind", ["http", "https"])
def test_what_grafana_says_too_is_not_said_twice(
    door: Callable[..., Door], opinionated: ThreadingHTTPServer, kind: str
) -> None:
    with serving(opinionated), door(kind, opinionated.server_port).running() as client:
        headers = client.get("/grafana/").headers
        busy = client.get("/grafana/busy").headers

    assert {name: headers.get_list(name) for name in ALWAYS} == {n: [v] for n, v in ALWAYS.items()}
    assert headers.get_list("strict-transport-security") == ["max-age=31536000"] * (kind == "https")
    assert "x-xss-protection" not in headers
    # Both hold: what it may load, by Grafana; who may frame it, by the door.
    assert headers.get_list("content-security-policy") == ["script-src 'self'", "frame-ancestors 'none'"]
    assert (headers.get_list("cache-control"), busy.get_list("retry-after")) == (["no-cache"], ["7"])


@pytest.mark.parametrize(("kind", "secure"), [("http", False), ("https", True)])
def test_a_cookie_set_over_tls_is_never_sent_without(
    door: Callable[..., Door], opinionated: ThreadingHTTPServer, kind: str, *, secure: bool
) -> None:
    with serving(opinionated), door(kind, opinionated.server_port).running() as client:
        cookie = client.get("/grafana/").headers["set-cookie"]

    assert cookie.startswith("grafana_session=x; Path=/grafana; HttpOnly; SameSite=Lax")
    assert cookie.endswith("; Secure") == secure


def test_no_page_needs_anything_from_elsewhere() -> None:
    text = (ROOT / "nginx" / "pages" / "_error.html").read_text()

    assert not re.search(r"<(script|link|img|iframe)|url\(|@import|https?:", text)
