"""The probes, in the real blackbox exporter."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "blackbox-exporter" / "blackbox.yml"
DEADLINE_SECONDS = 20
EXPIRY = "probe_ssl_earliest_cert_expiry"


@dataclass(frozen=True)
class Door:
    """A web server with a certificate that nobody signed."""

    url: str
    expires: float


@pytest.fixture(scope="module")
def exporter(tools: Path, free_port: Callable[[], int]) -> Iterator[httpx.Client]:
    port = free_port()
    process = subprocess.Popen(
        [tools / "blackbox_exporter", f"--config.file={FILE}", f"--web.listen-address=127.0.0.1:{port}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not alive(client):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def alive(client: httpx.Client) -> bool:
    try:
        return client.get("/-/healthy").is_success
    except httpx.ConnectError:
        return False


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "90",
        "-subj",
        "/CN=localhost",
    ]
    files: list[str | Path] = ["-keyout", key, "-out", certificate]
    subprocess.run([*made, *files], check=True, capture_output=True)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", certificate],
        check=True,
        capture_output=True,
        text=True,
    )

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    expires = ssl.cert_time_to_seconds(shown.stdout.strip().removeprefix("notAfter="))
    yield Door(f"https://localhost:{server.server_port}/", expires)
    server.shutdown()
    server.server_close()
    thread.join()


def probed(client: httpx.Client, module: str, target: str) -> dict[str, float]:
    """What a probe tells: the values of its series, by name."""
    text = client.get("/probe", params={"module": module, "target": target}).text
    families = list(text_string_to_metric_families(text))
    return {sample.name: sample.value for family in families for sample in family.samples}


def succeeded(client: httpx.Client, module: str, target: str) -> bool:
    return probed(client, module, target)["probe_success"] == 1


def test_the_blackbox_exporter_accepts_its_configuration(tools: Path) -> None:
    done = subprocess.run(
        [tools / "blackbox_exporter", f"--config.file={FILE}", "--config.check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_it_offers_what_the_alerts_and_hosts_need() -> None:
    assert set(yaml.safe_load(FILE.read_text())["modules"]) == {
        "http_2xx",
        "https_2xx",
        "https_2xx_any_certificate",
        "tcp",
        "icmp",
    }


def test_a_page_that_answers_is_up(exporter: httpx.Client) -> None:
    assert succeeded(exporter, "http_2xx", str(exporter.base_url.join("/-/healthy")))


def test_a_page_that_answers_with_an_error_is_down(exporter: httpx.Client) -> None:
    # A probe of nothing: 400.
    assert not succeeded(exporter, "http_2xx", str(exporter.base_url.join("/probe")))


def test_a_page_without_tls_fails_where_tls_is_wanted(exporter: httpx.Client) -> None:
    assert not succeeded(exporter, "https_2xx", str(exporter.base_url.join("/-/healthy")))


def test_a_port_is_up_while_somebody_listens(exporter: httpx.Client, free_port: Callable[[], int]) -> None:
    assert succeeded(exporter, "tcp", f"127.0.0.1:{exporter.base_url.port}")
    assert not succeeded(exporter, "tcp", f"127.0.0.1:{free_port()}")


def test_the_end_of_a_certificate_that_nobody_signed_is_told(exporter: httpx.Client, door: Door) -> None:
    told = probed(exporter, "https_2xx_any_certificate", door.url)

    assert (told["probe_success"], told[EXPIRY]) == (1, door.expires)


def test_a_certificate_that_nobody_signed_fails_where_people_must_trust_it(
    exporter: httpx.Client, door: Door
) -> None:
    told = probed(exporter, "https_2xx", door.url)

    # No handshake, no certificate: its end is for another module to tell.
    assert (told["probe_success"], EXPIRY in told) == (0, False)


def test_any_certificate_is_not_none(exporter: httpx.Client) -> None:
    assert not succeeded(exporter, "https_2xx_any_certificate", str(exporter.base_url.join("/-/healthy")))


def test_what_a_probe_tells_is_in_the_catalogue_of_the_rules(exporter: httpx.Client, door: Door) -> None:
    catalogue = json.loads((ROOT / "jsonnet" / "vendor-metrics.json").read_text())
    told = probed(exporter, "https_2xx_any_certificate", door.url) | probed(exporter, "tcp", "127.0.0.1:1")

    assert EXPIRY in told
    assert {name for name in told if name not in catalogue} == set()
