"""Logs of further hosts through the public door: to one address of Loki, with a password, over TLS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from tests.stack.conftest import Door

    Public = tuple[httpx.Client, Door]

PUSH = "/loki/api/v1/push"
PASSWORD = "correct horse"


def add_user(made: Door, name: str, kind: str = "-6") -> None:
    """As docs/MONITORING_DEPLOYMENT.md says."""
    done = subprocess.run(
        ["openssl", "passwd", kind, "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
    )
    with (made.nginx.folder.parent / "nginx_push_htpasswd").open("a") as file:
        file.write(f"{name}:{done.stdout}")


@pytest.mark.parametrize("kind", ["-6", "-apr1"])
def test_a_known_host_delivers_its_logs(secure: Public, asked: list[str], kind: str) -> None:
    client, made = secure
    add_user(made, "host-2", kind)
    answer = client.post(PUSH, content=b"x" * 2**20, auth=("host-2", PASSWORD))

    assert answer.status_code == 200
    assert asked == [f"POST {PUSH}"]
    # The password is for the door, not for what is behind it.
    assert "authorization" not in answer.json()["headers"]
    assert made.nginx.logged(1)[0]["remote_user"] == "host-2"


@pytest.mark.parametrize("auth", [("host-2", "wrong"), ("host-3", PASSWORD), ("", "")])
def test_nobody_else_does(secure: Public, asked: list[str], auth: tuple[str, str]) -> None:
    client, made = secure
    add_user(made, "host-2")
    answer = client.post(PUSH, content=b"x", auth=auth)

    assert answer.status_code == 401
    assert client.post(PUSH, content=b"x").headers["www-authenticate"] == 'Basic realm="logs"'
    assert asked == []


def test_without_users_nobody_delivers(secure: Public, asked: list[str]) -> None:
    answer = secure[0].post(PUSH, content=b"x", auth=("", ""))

    assert answer.status_code == 401
    assert asked == []


def test_a_password_is_not_taken_in_the_clear(public: Public, asked: list[str]) -> None:
    client, made = public
    add_user(made, "host-2")
    answer = client.post(
        PUSH, content=b"x", auth=("host-2", PASSWORD), headers={"X-Forwarded-Proto": "https"}
    )

    assert (answer.status_code, answer.json()["error"]) == (403, "err-claw-door-forbidden")
    assert asked == []


def test_a_trusted_proxy_that_ends_tls_may_deliver(
    door: Callable[..., Door], echo: int, asked: list[str]
) -> None:
    made = door("http", echo, CLAW_NGINX_TRUSTED_PROXIES="127.0.0.1")
    add_user(made, "host-2")
    with made.running() as client:
        told = {"X-Forwarded-Proto": "https"}
        answer = client.post(PUSH, content=b"x", auth=("host-2", PASSWORD), headers=told)

    assert answer.status_code == 200
    assert asked == [f"POST {PUSH}"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_there_is_nothing_but_writing(secure: Public, asked: list[str], method: str) -> None:
    client, made = secure
    add_user(made, "host-2")
    answer = client.request(method, PUSH, auth=("host-2", PASSWORD))

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/loki/api/v1/query_range",
        "/loki/api/v1/delete",
        "/loki/api/v1/push/",
        "/loki/api/v1/push/../labels",
        "/loki/api/v1/push/%2e%2e/labels",
        "/loki/ready",
        "/loki/metrics",
        "/loki",
        "/api/prom/push",
        "/otlp/v1/logs",
        "/flush",
        "/config",
    ],
)
def test_no_other_address_of_loki_is_public(secure: Public, asked: list[str], path: str) -> None:
    client, made = secure
    add_user(made, "host-2")
    answer = client.post(path, content=b"x", auth=("host-2", PASSWORD))

    assert answer.status_code in {404, 503}
    assert asked == []


def test_a_batch_has_a_limit(secure: Public) -> None:
    client, made = secure
    add_user(made, "host-2", "-apr1")
    sizes = {
        size: client.post(PUSH, content=b"x" * size, auth=("host-2", PASSWORD)).status_code
        for size in (4 * 2**20, 4 * 2**20 + 1)
    }

    assert list(sizes.values()) == [200, 413]


def test_hosts_have_a_limit_of_their_own(secure: Public) -> None:
    client, _ = secure
    statuses = [client.post(PUSH, content=b"x").status_code for _ in range(300)]

    assert statuses[:101] == [401] * 101
    assert 429 in statuses
    # What shippers may not do, people still may.
    assert client.get("/grafana/").status_code == 200
