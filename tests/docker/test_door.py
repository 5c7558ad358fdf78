"""The public door as people meet it: TLS, HTTP/2, its pages, a renewed certificate, a flood."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.docker.stack import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docker.stack import ComposeStack

BODY_BYTES = 3_900_000
FLOOD = 60


def ports(stack: ComposeStack) -> tuple[int, int]:
    """The door's ports on the machine: plain and TLS."""
    found = {port["target"]: int(port["published"]) for port in stack.services["nginx"]["ports"]}
    return found[8080], found[8443]


def trusting(folder: Path) -> ssl.SSLContext:
    """What a client does that was told to trust the certificate of `make secrets`, and offers HTTP/2."""
    context = ssl.create_default_context(cafile=str(folder / "secrets" / "tls" / "fullchain.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def client(compose_stack: ComposeStack) -> Iterator[httpx.Client]:
    plain, tls = ports(compose_stack)
    context = trusting(compose_stack.repository)
    with httpx.Client(base_url=f"https://localhost:{tls}", verify=context) as found:
        assert plain != tls
        yield found


def test_the_certificate_of_make_secrets_is_for_the_address_of_grafana(client: httpx.Client) -> None:
    # The name is checked: a certificate of another name would be an error.
    assert client.get("/healthz").text == "ok\n"


def test_http2_is_spoken(compose_stack: ComposeStack, tools: Path) -> None:
    _, tls = ports(compose_stack)
    with (
        socket.create_connection(("127.0.0.1", tls), timeout=10) as link,
        trusting(compose_stack.repository).wrap_socket(link, server_hostname="localhost") as secure,
    ):
        assert (secure.version(), secure.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    command = [f"{tools}/curl", "-sk", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]
    done = subprocess.run([*command, f"https://localhost:{tls}/"], capture_output=True, text=True, check=True)

    assert done.stdout == "2 503"


def test_the_plain_port_leads_to_the_port_of_tls_that_was_chosen(compose_stack: ComposeStack) -> None:
    plain, tls = ports(compose_stack)
    answer = httpx.get(f"http://localhost:{plain}/grafana/?a=1")

    assert (answer.status_code, answer.headers["location"]) == (308, f"https://localhost:{tls}/grafana/?a=1")


def test_pages_and_headers_are_there(client: httpx.Client) -> None:
    page, program, push = client.get("/"), client.get("/api/v1/usage"), client.post("/loki/api/v1/push")

    assert [answer.status_code for answer in (page, program, push)] == [503, 503, 401]
    assert "此地址暂无内容。" in page.text
    assert program.json()["error"] == "err-claw-door-not-here-yet"
    for answer in (page, program, push):
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/metrics", "/grafana/metrics", "/stub_status", "/loki/api/v1/labels"])
def test_what_is_private_is_not_shown(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in {404, 503}


def test_the_door_runs_as_nobody_in_particular_and_can_write_nowhere(compose_stack: ComposeStack) -> None:
    tries = "id -u; for f in / /etc/nginx /etc/tls; do touch $f/x 2>/dev/null && echo $f; done; true"

    assert compose_stack.inside("nginx", "sh", "-c", tries).split() == ["101"]


def test_a_renewed_certificate_is_shown_without_a_restart(compose_stack: ComposeStack) -> None:
    _, tls = ports(compose_stack)
    folder = compose_stack.repository / "secrets" / "tls"
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    started = compose_stack.inspect("nginx")["State"]["StartedAt"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=renewed"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run([*make, *files], check=True, capture_output=True)
    (folder / "privkey.pem").chmod(0o644)

    def shows(what: bytes) -> bool:
        shown = ssl.get_server_certificate(("127.0.0.1", tls), timeout=10)
        return what in ssl.PEM_cert_to_DER_cert(shown)

    try:
        compose_stack.inside("nginx", "nginx", "-s", "reload")
        wait_for(lambda: shows(b"renewed"), seconds=20, what="the new certificate is shown")
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
        compose_stack.inside("nginx", "nginx", "-s", "reload")
    wait_for(lambda: shows(b"localhost"), seconds=20, what="the old certificate is shown")

    assert compose_stack.inspect("nginx")["State"]["StartedAt"] == started


def test_a_flood_of_large_bodies_does_not_take_the_memory(compose_stack: ComposeStack) -> None:
    # All of them together are nearly twice what the container may have.
    assert 1.5 * compose_stack.limits("nginx")["memory"] < FLOOD * BODY_BYTES
    plain, tls = ports(compose_stack)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = f"POST /grafana/x HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES + 1}\r\n\r\n".encode()
    refused = 0
    with ExitStack() as links:
        for _ in range(FLOOD):
            link = links.enter_context(socket.create_connection(("127.0.0.1", tls), timeout=10))
            secure = links.enter_context(context.wrap_socket(link))
            try:
                secure.sendall(request + b"x" * BODY_BYTES)
            except OSError:
                refused += 1
        assert httpx.get(f"http://127.0.0.1:{plain}/healthz").status_code == 200

    state = compose_stack.inspect("nginx")
    assert (state["RestartCount"], state["State"]["OOMKilled"]) == (0, False)
    # Its workers are killed before it is: they would say so.
    log = compose_stack.docker("logs", compose_stack.container("nginx")).stderr
    assert not re.search(r"exited on signal 9", log)
    assert "No space left on device" in log
    assert refused < FLOOD
