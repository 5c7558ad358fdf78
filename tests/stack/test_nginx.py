"""The public door, in the real nginx."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.conftest import Nginx

ROOT = Path(__file__).resolve().parents[2]
MIME = "types { text/html html; }"  # the image brings the whole list


@pytest.fixture
def door(
    nginx: Callable[[str], Nginx], free_port: Callable[[], int]
) -> Callable[..., tuple[Nginx, int, int]]:
    """Call it with `http` or `https` and the port of Grafana: the door, its port, that of stub_status."""

    def make(kind: str, grafana: int) -> tuple[Nginx, int, int]:
        found, port, inner = nginx("nginx"), free_port(), free_port()
        (found.folder / "door.conf").write_text(found.read(f"doors/{kind}.conf"))
        (found.folder / "mime.types").write_text(MIME)
        found.change("door.conf", "listen 8080;", f"listen 127.0.0.1:{port};")
        found.change("nginx.conf", "listen 8081;", f"listen 127.0.0.1:{inner};")
        found.change("addresses.conf", "grafana:3000", f"127.0.0.1:{grafana}")
        return found, port, inner

    return make


@pytest.fixture
def public(
    door: Callable[..., tuple[Nginx, int, int]], echo: int
) -> Iterator[tuple[httpx.Client, Nginx, int]]:
    """A client of the running door, its nginx, and the port of stub_status."""
    found, port, inner = door("http", echo)
    with found.running(port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client, found, inner


def certificate(folder: Path) -> None:
    folder.mkdir()
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(["openssl", "req", "-x509", *keys, *names, *files], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["http", "https"])
def test_nginx_accepts_each_door(door: Callable[..., tuple[Nginx, int, int]], kind: str) -> None:
    found, _, _ = door(kind, 3000)
    certificate(found.folder / "tls")

    done = found.check()

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
def test_metrics_are_not_public(public: tuple[httpx.Client, Nginx, int], asked: list[str], path: str) -> None:
    client, found, _ = public

    assert found.raw(client.base_url.port or 0, f"GET {path}").startswith("HTTP/1.1 404 ")
    assert asked == []


def test_the_page_of_a_missing_grafana_tries_again(
    door: Callable[..., tuple[Nginx, int, int]], free_port: Callable[[], int]
) -> None:
    found, port, _ = door("http", free_port())
    with found.running(port):
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
    client, found, _ = public
    client.get("/grafana/?token=secret", headers={"User-Agent": 'a "quoted" \\ name'})
    client.get("/healthz")
    client.get("/nothing")

    first, second = found.logged(2)
    samples = yaml.safe_load((ROOT / "promtail" / "samples" / "stack.yml").read_text())

    assert set(first) == set(second) == set(json.loads(samples[0]["lines"][0]))
    assert (first["status"], first["path"], first["upstream_status"]) == ("200", "/grafana/", "200")
    assert first["user_agent"] == 'a "quoted" \\ name'
    assert "secret" not in str(first)
    assert (second["status"], second["level"]) == ("503", "info")


def test_with_tls_the_plain_port_only_leads_there(
    door: Callable[..., tuple[Nginx, int, int]], echo: int, free_port: Callable[[], int]
) -> None:
    found, plain, _ = door("https", echo)
    tls = free_port()
    certificate(found.folder / "tls")
    found.change("door.conf", "listen 8443 ssl;", f"listen 127.0.0.1:{tls} ssl;")
    # Signed by itself, a second ago.
    with found.running(tls), httpx.Client(verify=False) as client:  # noqa: S501 - see above
        moved = client.get(f"http://127.0.0.1:{plain}/grafana/?a=1")
        alive = client.get(f"http://127.0.0.1:{plain}/healthz")
        shown = client.get(f"https://127.0.0.1:{tls}/grafana/")

    assert (moved.status_code, moved.headers["location"]) == (308, "https://127.0.0.1/grafana/?a=1")
    assert alive.status_code == 200
    assert shown.json()["headers"]["x-forwarded-proto"] == "https"
