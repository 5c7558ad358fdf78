"""Who may read /metrics: asked by httpx as Prometheus asks, on FastAPI and on Starlette."""
# ruff: noqa: ASYNC240 - the files of these tests are small and near

from __future__ import annotations

import asyncio
import base64
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from tests.chat.conftest import Server

from claw_exporter import ArgumentError, Auth, Metrics, MetricsMiddleware, auth

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = Path(__file__).parents[2] / "docs/EXPORTER.md"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("s3cret: yes\n")
    return path


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("t\u00f6ken\n")
    return path


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("make", [FastAPI, Starlette])
async def test_a_mounted_page_is_for_those_who_know_the_secret(
    make: Callable[[], FastAPI | Starlette], metrics: Metrics, password: Path, token: Path
) -> None:
    app = make()
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    metrics.mount(app, auth=Auth(username="prometheus", password_file=password, token_file=token))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        stranger = await client.get("/metrics")
        known = await client.get("/metrics", auth=("prometheus", "s3cret: yes"))
        bearer = await client.get("/metrics", headers={b"Authorization": "Bearer t\u00f6ken".encode()})
        liar = await client.get("/metrics", auth=("prometheus", "guess"))
    assert (stranger.status_code, known.status_code, bearer.status_code, liar.status_code) == (
        401,
        200,
        200,
        401,
    )
    assert stranger.headers["www-authenticate"] == 'Basic realm="claw-exporter", Bearer realm="claw-exporter"'
    assert "claw_ai" not in stranger.text + liar.text
    assert b"claw_ai_http_requests_total" not in known.content  # neither of the two is measured
    assert metrics.traffic.in_flight == [0.0]


async def test_the_page_on_a_port_of_its_own_is_guarded_too(metrics: Metrics, token: Path) -> None:
    transport = httpx.ASGITransport(metrics.asgi_app(auth=Auth(token_file=token)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        get = await client.get("/")
        head = await client.head("/", headers={b"Authorization": b"Bearer "})
    assert (get.status_code, get.text) == (401, "the credentials are missing or wrong\n")
    assert (head.status_code, head.text) == (401, "")
    assert head.headers == get.headers


def test_what_is_no_auth_is_refused_with_what_would_be(metrics: Metrics) -> None:
    with pytest.raises(ArgumentError, match=r"auth is of type tuple: pass Auth\(username="):
        metrics.mount(Starlette(), auth=("me", "s3cret"))  # type: ignore[arg-type]  # a mistake of the caller


@pytest.mark.parametrize(
    ("authorization", "admitted"),
    [
        (basic("me", "s3cret: yes"), True),
        (basic("me", "s3cret: yes").replace("Basic", "bASIC"), True),
        (basic("me", "s3cret"), False),
        (basic("you", "s3cret: yes"), False),
        ("Basic s3cret", False),
        ("Basic !!!!", False),
        ("Basic", False),
        ("Bearer s3cret: yes", False),
        ("Digest " + basic("me", "s3cret: yes")[6:], False),
        ("Basic \u4e2d", False),
        ("", False),
    ],
)
async def test_basic_auth_wants_both_halves(authorization: str, admitted: bool, password: Path) -> None:  # noqa: FBT001  # a parameter
    assert await Auth(username="me", password_file=password).admits(authorization) is admitted


async def test_a_bearer_token_does_not_open_where_only_a_password_is_known(password: Path) -> None:
    guard = Auth(username="me", password_file=password)
    assert guard.challenge == 'Basic realm="claw-exporter"'
    assert not await guard.admits("Bearer x")


async def test_a_new_secret_counts_within_a_second_and_the_old_one_no_more(token: Path) -> None:
    clock = Clock()
    guard = Auth(token_file=token, clock=clock)
    token.write_text("new\n")
    assert not await guard.admits("Bearer new")
    clock.now = 1.0
    assert await guard.admits("Bearer new")
    assert not await guard.admits("Bearer t\u00f6ken")


async def test_a_secret_that_another_file_takes_the_name_of_counts_too(token: Path, tmp_path: Path) -> None:
    clock = Clock()
    guard = Auth(token_file=token, clock=clock)
    before = token.stat()
    (tmp_path / "fresh").write_text("nek\u00f6t\n")
    os.utime(tmp_path / "fresh", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "fresh").rename(token)
    clock.now = 1.0
    assert await guard.admits("Bearer nek\u00f6t".encode().decode("latin-1"))


async def test_a_secret_that_cannot_be_read_for_a_while_stays_and_is_told_once(
    token: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    guard = Auth(token_file=token, clock=clock)
    token.write_text("")
    for clock.now in (1.0, 2.0):
        assert await guard.admits("Bearer t\u00f6ken".encode().decode("latin-1"))
    assert [record.getMessage() for record in caplog.records] == [
        f"the secret file {token} cannot be read; the last secret stays: it is empty"
    ]
    token.write_text("back")
    clock.now = 3.0
    assert await guard.admits("Bearer back")


async def test_a_file_that_takes_its_time_does_not_hold_up_the_event_loop(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, threads = Clock(), []
    guard = Auth(token_file=token, clock=clock)
    look = auth._stamp

    def stamp(path: Path) -> tuple[int, int, int, int]:
        threads.append(threading.current_thread())
        return look(path)

    monkeypatch.setattr(auth, "_stamp", stamp)
    clock.now = 1.0
    await asyncio.gather(*(guard.admits("Bearer x") for _ in range(50)))
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "auth says nothing: give username and password_file, or token_file"),
        ({"username": "me"}, "auth has one of username and password_file"),
        ({"password_file": "password"}, "auth has one of username and password_file"),
        ({"username": "m:e", "password_file": "password"}, "username is 'm:e'"),
        ({"username": "", "password_file": "password"}, "username is ''"),
        ({"token_file": "missing"}, r"token_file '.*missing' cannot be used \(.*No such file"),
        ({"token_file": "empty"}, r"token_file '.*empty' cannot be used \(it is empty\)"),
        ({"token_file": "binary"}, r"token_file '.*binary' cannot be used \(.*codec"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(
    arguments: dict[str, str], expected: str, password: Path, tmp_path: Path
) -> None:
    assert password.exists()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    given = {
        name: str(tmp_path / value) if name.endswith("_file") else value for name, value in arguments.items()
    }
    with pytest.raises(ArgumentError, match=expected):
        Auth(**given)  # type: ignore[arg-type]  # a mistake of the caller


# -- What docs/EXPORTER.md shows -----------------------------------------------------------------------------
def shown(language: str, beginning: str) -> str:
    pattern = rf"^```{language}\n({re.escape(beginning)}.*?)^```"
    (block,) = re.findall(pattern, DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return str(block)


async def test_the_line_that_the_document_shows_works(tmp_path: Path) -> None:
    (tmp_path / "metrics_password").write_text("s3cret")
    code = shown("python", "from claw_exporter import Auth, metrics").replace("/run/secrets", str(tmp_path))
    app = Starlette()
    exec(compile(code, str(DOCUMENT), "exec"), {"app": app})  # noqa: S102 - our own page
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", auth=("prometheus", "s3cret"))).status_code == 200


def test_the_scrape_jobs_that_the_document_shows_open_the_page(
    tools: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    password, token = tmp_path / "metrics_password", tmp_path / "metrics_token"
    password.write_text("s3cret\n")
    token.write_text("t0ken\n")
    app = FastAPI()
    metrics = Metrics(registry=CollectorRegistry())
    metrics.mount(app, auth=Auth(username="prometheus", password_file=password, token_file=token))
    jobs = shown("yaml", "scrape_configs:").replace("/run/secrets", str(tmp_path))
    server = Server(app)
    with server.running():
        here = re.sub(r'"(app|exporter):\d+"', f'"{server.url.removeprefix("http://")}"', jobs)
        (tmp_path / "prometheus.yml").write_text("global: {scrape_interval: 1s, scrape_timeout: 1s}\n" + here)
        at = f"127.0.0.1:{free_port()}"
        command: list[str | Path] = [
            tools / "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={at}",
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as prometheus:
            try:
                assert healths(f"http://{at}/api/v1/targets") == {"app": "up", "exporter": "up"}
            finally:
                prometheus.terminate()


def healths(url: str) -> dict[str, str]:
    """What became of each job's first scrape."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            targets = httpx.get(url, trust_env=False).json()["data"]["activeTargets"]
        except (httpx.HTTPError, ValueError):  # not up yet
            targets = []
        found = {target["labels"]["job"]: target["health"] for target in targets}
        if found and "unknown" not in found.values():
            return found
        time.sleep(0.05)
    raise AssertionError("no scrape")
