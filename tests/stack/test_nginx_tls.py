"""TLS at the public door: what it accepts, HTTP/2, the way there from plain HTTP, a renewed certificate."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack.conftest import Door

    Public = tuple[httpx.Client, Door]


ROOT = Path(__file__).resolve().parents[2]


def handshake(port: int, *, version: ssl.TLSVersion | None = None, ciphers: str = "") -> ssl.SSLSocket:
    """Returns a connection as a client makes it that offers HTTP/2; whoever signed the certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    # A client that would take anything, to see what the door takes.
    context.set_ciphers(f"{ciphers or 'ALL'}:@SECLEVEL=0")
    if version:
        context.minimum_version = context.maximum_version = version
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except OSError:
        plain.close()
        raise


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_spoken(secure: Public, version: ssl.TLSVersion) -> None:
    with handshake(secure[1].tls, version=version) as link:
        assert link.version() == version.name.replace("_", ".")


# Python warns that these are old, which is the point.
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_tls_is_refused(secure: Public, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        handshake(secure[1].tls, version=version)


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_ciphers_with_forward_secrecy_are_taken(secure: Public, ciphers: str) -> None:
    with handshake(secure[1].tls, version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers) as link:
        assert (link.cipher() or ("",))[0] == ciphers


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-SHA"])
def test_other_ciphers_are_not(secure: Public, ciphers: str) -> None:
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        handshake(secure[1].tls, version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers)


def test_http2_is_what_a_browser_gets(secure: Public) -> None:
    with handshake(secure[1].tls) as link:
        assert link.selected_alpn_protocol() == "h2"


def test_pages_come_over_http2(secure: Public, tools: Path) -> None:
    url = f"https://127.0.0.1:{secure[1].tls}"
    paths = ("/grafana/", "/api/", "/loki/api/v1/push")
    form = "%{http_version} %{http_code}\n"
    command = [f"{tools}/curl", "-sk", "--http2", "-w", form, *["-o", "/dev/null"] * 3]
    asks = [f"{url}{path}" for path in paths]
    done = subprocess.run([*command, *asks], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:3] == ["2 200", "2 503", "2 405"]
    assert {line["protocol"] for line in secure[1].nginx.logged(3)} == {"HTTP/2.0"}


def test_an_old_session_is_taken_up_without_a_ticket(secure: Public) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{secure[1].tls}", "-tls1_2", "-reconnect"],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.count("Reused, TLSv1.2") == 5
    assert "TLS session ticket:" not in done.stdout


@pytest.mark.parametrize("path", ["/grafana/?a=1", "/loki/api/v1/push", "/metrics", "//x", "/%0d%0aX:y"])
def test_the_plain_port_only_leads_to_tls(secure: Public, asked: list[str], path: str) -> None:
    answer = secure[1].nginx.raw(secure[1].port, f"GET {path}", "Host: monitoring.example.com:8080")

    assert answer.startswith("HTTP/1.1 308 ")
    assert f"\r\nLocation: https://monitoring.example.com:{secure[1].tls}{path}\r\n" in answer
    assert "Strict-Transport-Security" not in answer
    assert asked == []


def test_the_usual_port_of_tls_is_not_written(door: Callable[..., Door]) -> None:
    made = door("https", 1, CLAW_NGINX_TLS_PORT="443")
    with made.running():
        answer = httpx.get(f"http://127.0.0.1:{made.port}/grafana/")

    assert answer.headers["location"] == "https://127.0.0.1/grafana/"


def test_plain_http_on_the_port_of_tls_leads_there_too(secure: Public) -> None:
    answer = httpx.get(f"http://127.0.0.1:{secure[1].tls}/grafana/")

    assert (answer.status_code, answer.headers["location"]) == (
        308,
        f"https://127.0.0.1:{secure[1].tls}/grafana/",
    )


def test_the_plain_port_answers_health_checks(secure: Public) -> None:
    answer = httpx.get(f"http://127.0.0.1:{secure[1].port}/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_the_plain_port_answers_a_certificate_authority(secure: Public) -> None:
    made = secure[1]
    folder = made.nginx.folder / "acme/.well-known/acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text("token.thumbprint")
    url = f"http://127.0.0.1:{made.port}/.well-known/acme-challenge"

    assert httpx.get(f"{url}/token").text == "token.thumbprint"
    assert httpx.get(f"{url}/other").status_code == 404
    assert httpx.get(f"{url}/").status_code == 403
    assert made.nginx.raw(made.port, "GET /.well-known/acme-challenge/../../../nginx.conf").startswith(
        ("HTTP/1.1 308 ", "HTTP/1.1 400 ")
    )


def test_grafana_knows_that_it_is_behind_tls(secure: Public) -> None:
    assert secure[0].get("/grafana/").json()["headers"]["x-forwarded-proto"] == "https"


def name_on_certificate(port: int) -> str:
    with handshake(port) as link:
        return "".join(chr(byte) for byte in link.getpeercert(binary_form=True) or b"")


def test_a_renewed_certificate_is_shown_after_a_signal(
    secure: Public, certificate: Callable[[Path, str], None]
) -> None:
    made = secure[1]
    before = name_on_certificate(made.tls)
    certificate(made.nginx.folder.parent / "tls", "renewed.example.com")
    assert name_on_certificate(made.tls) == before

    os.kill(made.nginx.pid, signal.SIGHUP)

    made.nginx.wait_for(lambda: "renewed.example.com" in name_on_certificate(made.tls))


def test_a_broken_certificate_leaves_the_old_one_in_force(secure: Public) -> None:
    made = secure[1]
    (made.nginx.folder.parent / "tls" / "privkey.pem").write_text("not a key")

    os.kill(made.nginx.pid, signal.SIGHUP)

    made.nginx.wait_for(lambda: "cannot load certificate key" in made.nginx.read("error.log"))
    assert secure[0].get("/healthz").status_code == 200


def test_what_certbot_got_reaches_the_door(tmp_path: Path) -> None:
    lineage, clone = tmp_path / "live/monitoring.example.com", tmp_path / "clone"
    for folder in (lineage, clone / "secrets/tls", clone / "nginx", tmp_path / "bin"):
        folder.mkdir(parents=True)
    for name in ("fullchain.pem", "privkey.pem"):
        (lineage / name).write_text(f"new {name}")
        (lineage / name).chmod(0o600)
    docker = tmp_path / "bin/docker"
    docker.write_text('#!/bin/sh\necho "$PWD: docker $*"\n')
    docker.chmod(0o755)
    hook = shutil.copy(ROOT / "nginx/certbot-hook.sh", clone / "nginx")
    environment = {"PATH": f"{docker.parent}:/usr/bin:/bin", "RENEWED_LINEAGE": str(lineage)}

    done = subprocess.run([hook], cwd="/", env=environment, capture_output=True, text=True, check=True)

    files = (clone / "secrets/tls").iterdir()
    made = {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in files}
    assert made == {name: (f"new {name}", 0o644) for name in ("fullchain.pem", "privkey.pem")}
    compose = "docker compose --env-file .env.prod -f docker-compose.prod.yml"
    assert done.stdout == f"{clone}: {compose} exec -T nginx nginx -s reload\n"
