"""What the public door shows, to whom, and what it keeps closed; in the real nginx."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack.conftest import Door, Nginx
    from websockets.sync.server import ServerConnection

    Public = tuple[httpx.Client, Door]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["http", "https"])
def test_nginx_accepts_each_door(door: Callable[..., Door], kind: str) -> None:
    done = door(kind, 3000, CLAW_NGINX_TRUSTED_PROXIES="10.0.0.0/8,2001:db8::/32").nginx.check()

    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLAW_NGINX_DOOR", "htps"),
        ("CLAW_NGINX_TLS_PORT", "443; evil"),
        ("CLAW_NGINX_TLS_PORT", "https"),
        ("CLAW_NGINX_TRUSTED_PROXIES", "10.0.0.0/8; evil"),
        ("CLAW_NGINX_TRUSTED_PROXIES", "proxy.example.com"),
    ],
)
def test_a_wrong_setting_is_named_and_nginx_does_not_start(
    nginx: Callable[[str], Nginx], variable: str, value: str
) -> None:
    done = nginx("nginx").configure(**{variable: value})

    assert done.returncode == 2
    assert f"{variable} is '{value}': write " in done.stderr
    assert done.stdout == ""


def test_without_a_setting_the_door_has_tls(nginx: Callable[[str], Nginx]) -> None:
    found = nginx("nginx")
    done = found.configure()

    assert done.stdout == "nginx -p /etc/nginx -g daemon off;\n"
    assert "include doors/https.conf;" in found.read("settings.conf")


def test_the_door_says_that_it_is_open(public: Public) -> None:
    answer = public[0].get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_grafana_is_reached_under_its_own_path(public: Public) -> None:
    answer = public[0].get("/grafana/d/claw-ai-overview?var-job=shop&x=%2F")

    assert answer.json()["path"] == "/grafana/d/claw-ai-overview?var-job=shop&x=%2F"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_of_grafana_gets_through(public: Public, asked: list[str], method: str) -> None:
    answer = public[0].request(method, "/grafana/api/x")

    assert answer.status_code == 200
    assert asked == [f"{method} /grafana/api/x"]


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PROPFIND", "BREW"])
@pytest.mark.parametrize("path", ["/", "/grafana/", "/healthz"])
def test_no_other_method_does(public: Public, asked: list[str], method: str, path: str) -> None:
    answer = public[1].nginx.raw(public[1].port, f"{method} {path}", "Host: x")

    assert re.match(r"HTTP/1.1 40[05] ", answer)  # what nginx does not know at all is a bad request
    assert "Server: nginx\r\n" in answer
    assert asked == []


def test_a_refused_method_is_told_which_are_not(public: Public) -> None:
    answer = public[0].request("PROPFIND", "/grafana/")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def test_grafana_learns_who_asked_and_a_client_cannot_lie(public: Public) -> None:
    lies = {
        "Forwarded": "for=203.0.113.9",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "203.0.113.9",
        "X-Scope-OrgID": "somebody-else",
        "X-WEBAUTH-USER": "admin",
    }
    headers = public[0].get("/grafana/", headers={**lies, "Host": "monitoring.example.com"}).json()["headers"]

    assert headers["host"] == headers["x-forwarded-host"] == "monitoring.example.com"
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert not {"forwarded", "x-scope-orgid", "x-webauth-user"} & set(headers)


def test_a_trusted_proxy_in_front_says_who_asked_and_how(door: Callable[..., Door], echo: int) -> None:
    told = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "X-Forwarded-Proto": "https"}
    made = door("http", echo, CLAW_NGINX_TRUSTED_PROXIES="127.0.0.0/8, 2001:db8::1")
    with made.running() as client:
        answer = client.get("/grafana/", headers=told)
        (logged,) = made.nginx.logged(1)

    headers = answer.json()["headers"]
    # The last one whom no trusted proxy is: what stands before, the client may have made up.
    assert headers["x-forwarded-for"] == logged["remote_addr"] == "203.0.113.9"
    assert headers["x-forwarded-proto"] == "https"
    assert "strict-transport-security" in answer.headers


def test_the_live_updates_of_grafana_get_through(door: Callable[..., Door]) -> None:
    def answer_back(link: ServerConnection) -> None:
        for message in link:
            link.send(f"heard {message!r}")

    with serve(answer_back, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = door("http", server.socket.getsockname()[1])
        address = f"ws://127.0.0.1:{made.port}/grafana/api/live/ws"
        with made.running(), connect(address, proxy=None, open_timeout=10) as link:
            link.send("hello")
            heard = link.recv(timeout=10)
        server.shutdown()
        thread.join()

    assert heard == "heard 'hello'"


@pytest.mark.parametrize(
    ("path", "status", "target"),
    [
        ("/grafana", 308, "/grafana/"),
        ("/grafana?orgId=1", 308, "/grafana/?orgId=1"),
        ("/analytics", 307, "/grafana/"),
        ("/analytics/", 307, "/grafana/"),
        ("/analytics?from=now-6h", 307, "/grafana/?from=now-6h"),
        ("/analytics/d/claw-ai-overview?var-job=a%2Fb", 307, "/grafana/d/claw-ai-overview?var-job=a%2Fb"),
        ("/analytics//evil.example.com/", 307, "/grafana/evil.example.com/"),
        ("/analytics/%0d%0aSet-Cookie:x", 307, "/grafana/%0d%0aSet-Cookie:x"),
        ("//analytics/x", 307, "/grafana/"),
    ],
)
def test_paths_that_lead_to_grafana(public: Public, path: str, status: int, target: str) -> None:
    answer = public[1].nginx.raw(public[1].port, f"GET {path}", "Host: x")

    assert answer.startswith(f"HTTP/1.1 {status} ")
    # A path alone: the client adds the scheme, the host and the port that it knows.
    assert re.findall("^Location: (.*)\r$", answer, re.MULTILINE) == [target]


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "//metrics",
        "/METRICS",
        "/%6detrics",
        "/metrics?x",
        "/metrics%2f",
        "/api/metrics",
        "/grafana/metrics",
        "/grafana/Metrics",
        "/grafana/%6detrics",
        "/grafana/x/../metrics",
        "/grafana/x/..%2fmetrics",
        "/grafana/%2e%2e/metrics",
        "/grafana/%2E/metrics",
        "/grafana//metrics",
        "/grafana/./metrics",
        "/grafana/metrics/plugins/prometheus",
        "/grafana/x/..%2f..%2fmetrics",
        "http://x/grafana/metrics",
    ],
)
def test_metrics_are_not_public(public: Public, asked: list[str], path: str) -> None:
    assert public[1].nginx.raw(public[1].port, f"GET {path}", "Host: x").startswith("HTTP/1.1 404 ")
    assert asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/grafana/api/datasources/uid/prometheus/resources/api/v1/admin/tsdb/delete_series?match[]=up",
        "/grafana/api/datasources/proxy/uid/prometheus/api/v1/admin/tsdb/clean_tombstones",
        "/grafana/api/datasources/proxy/1/api/v1/%61dmin/tsdb/snapshot",
        "/grafana/api/datasources/proxy/1/api/v1/admin%2ftsdb/snapshot",
        "/grafana/api/datasources/proxy/1/api/v1//admin/./x/..//tsdb/snapshot",
        "/grafana/apis/prometheus.datasource.grafana.app/v0alpha1/x/api/v1/Admin/TSDB/snapshot",
    ],
)
def test_nobody_deletes_metrics_through_grafana(public: Public, asked: list[str], path: str) -> None:
    answer = public[1].nginx.raw(public[1].port, f"POST {path}", "Host: x", "Content-Length: 0")

    assert answer.startswith("HTTP/1.1 404 ")
    assert asked == []


@pytest.mark.parametrize("path", ["/grafana/../../metrics", "/grafana/%00metrics", "/%", "/grafana/\x01"])
def test_a_path_that_means_nothing_is_a_bad_request(public: Public, asked: list[str], path: str) -> None:
    assert public[1].nginx.raw(public[1].port, f"GET {path}", "Host: x").startswith("HTTP/1.1 400 ")
    assert asked == []


def test_the_exporter_finds_its_numbers_on_the_inner_port_only(public: Public) -> None:
    client, made = public
    inner = f"http://127.0.0.1:{made.inner}"

    assert "Active connections" in httpx.get(f"{inner}/stub_status").text
    assert httpx.get(f"{inner}/").status_code == 404
    assert client.get("/stub_status").status_code == 503


def test_a_request_of_two_minds_about_its_length_is_refused(public: Public, asked: list[str]) -> None:
    headers = ["Host: x", "Content-Length: 5", "Transfer-Encoding: chunked"]

    assert public[1].nginx.raw(public[1].port, "POST /grafana/", *headers).startswith("HTTP/1.1 400 ")
    assert asked == []


@pytest.mark.parametrize("kind", ["http", "https"])
def test_every_location_is_looked_at_by_these_tests(kind: str) -> None:
    files = [ROOT / "nginx" / name for name in ("server.conf", "locations.conf", f"doors/{kind}.conf")]
    text = "".join(path.read_text() for path in files)

    assert set(re.findall(r"^ *location (?:(?:=|~\*?) )?(\S+) \{", text, re.MULTILINE)) - {
        "/.well-known/acme-challenge/"
    } == {
        "/",
        "/_error.html",
        "/_error.json",
        "/grafana",
        "/grafana/",
        "/healthz",
        "/loki/",
        "/loki/api/v1/push",
        "^(/grafana|/api)?/metrics(/|$)",
        "^/analytics(/|$)",
        "^/grafana/.*admin/tsdb",
    }


def test_no_location_loses_what_the_server_says() -> None:
    # Each of these, once used in a location, makes nginx forget all of them that stand outside.
    text = (ROOT / "nginx" / "locations.conf").read_text()
    inside = "".join(re.findall(r"^location [^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))

    assert "proxy_pass" in inside
    assert not re.search("add_header|error_page|limit_conn|proxy_set_header|proxy_hide_header", inside)


def test_json_of_the_door_is_json(public: Public) -> None:
    assert set(json.loads(public[0].get("/api/v1/usage").text)) == {"error", "message", "request_id"}
