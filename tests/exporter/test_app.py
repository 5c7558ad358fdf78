"""The exporter process over HTTP, without a server: what each page answers, and to whom."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from claw_exporter import ArgumentError
from claw_exporter.app import Process, collectors, create_app
from claw_exporter.settings import Auth, Host, Postgres, Query, QueryMetric, Redis, Secret, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.applications import Starlette

# Nobody listens on port 1.
NOWHERE = Postgres(name="db", dsn=Secret("postgresql://u:p@127.0.0.1:1/d"))
CATS = Query(
    name="cats",
    database="db",
    sql="SELECT 1 AS n",
    metrics=(QueryMetric(name="cats", help="Cats.", value="n"),),
)


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://exporter") as client,
    ):
        yield client


async def ready(client: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(10):
        while (response := await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - the page is the event
            await asyncio.sleep(0.01)
    return response


def test_each_section_of_the_settings_becomes_a_probe() -> None:
    settings = Settings(
        host=Host(enabled=True),
        postgres=(NOWHERE,),
        redis=(Redis(name="cache", url=Secret("redis://127.0.0.1:1")),),
        queries=(CATS,),
    )
    assert [collector.schedule.name for collector in collectors(settings)] == [
        "host",
        "postgres/db",
        "redis/cache",
        "query/cats",
    ]


def test_queries_share_the_connection_of_their_database() -> None:
    database, cats, dogs = collectors(Settings(postgres=(NOWHERE,), queries=(CATS, CATS)))
    assert database.turn is cats.turn is dogs.turn


def test_without_sections_nothing_is_collected() -> None:
    assert collectors(Settings()) == []


async def test_metrics_tell_about_the_host_and_the_process_itself() -> None:
    async with served(create_app(Settings(host=Host(enabled=True)))) as client:
        await ready(client)
        text = (await client.get("/metrics")).text
    for name in ("claw_ai_host_memory_total_bytes ", "process_cpu_seconds_total ", "python_info{"):
        assert f"\n{name}" in text
    assert 'claw_ai_build_info{app="claw-exporter",library_version=' in text


async def test_metrics_come_as_openmetrics_to_who_asks() -> None:
    async with served(create_app(Settings())) as client:
        response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")


async def test_metrics_are_compressed_for_who_accepts_it() -> None:
    async with served(create_app(Settings())) as client:
        request = client.build_request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        response = await client.send(request, stream=True)
        body = b"".join([part async for part in response.aiter_raw()])
    assert b"claw_ai_build_info" in gzip.decompress(body)


async def test_a_target_that_is_away_fails_its_probe_and_never_the_scrape() -> None:
    async with served(create_app(Settings(postgres=(NOWHERE,), queries=(CATS,)))) as client:
        answer = (await ready(client)).json()
        response = await client.get("/metrics")
    assert response.status_code == 200
    assert 'claw_ai_postgres_up{database="db"} 0.0' in response.text
    assert (
        'claw_ai_exporter_probe_errors_total{error_type="connection",probe="query/cats"} 1.0' in response.text
    )
    assert answer["probes"]["query/cats"] == {
        "state": "failing",
        "error_type": "connection",
        "runs": 1,
        "age_seconds": None,
        "interval_seconds": 60.0,
    }


async def test_the_process_is_ready_once_every_probe_ran() -> None:
    async with served(create_app(Settings(host=Host(enabled=True)))) as client:
        first = await client.get("/readyz")
        last = await ready(client)
    assert (first.status_code, first.json()["ready"]) == (503, False)
    assert first.json()["probes"]["host"]["state"] == "waiting"
    assert last.json()["ready"]
    assert last.json()["probes"]["host"]["state"] == "ok"
    assert last.json()["probes"]["host"]["age_seconds"] >= 0


async def test_the_process_is_healthy_while_its_background_runs() -> None:
    async with served(create_app(Settings())) as client:
        assert [(await client.get("/healthz")).text for _ in range(3)] == ["ok\n"] * 3


async def test_the_process_is_not_healthy_without_its_background() -> None:
    # Not started: without its lifespan.
    transport = httpx.ASGITransport(app=create_app(Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        response = await client.get("/healthz")
    assert response.status_code == 503


async def test_its_own_log_records_are_counted_while_it_runs() -> None:
    before = logging.getLogRecordFactory()
    async with served(create_app(Settings())) as client:
        logging.getLogger("claw_exporter.test").warning("x")
        lines = (await client.get("/metrics")).text.splitlines()
    assert 'claw_ai_log_records_total{level="warning"} 1.0' in lines
    assert logging.getLogRecordFactory() is before


async def test_the_front_page_links_the_others() -> None:
    async with served(create_app(Settings())) as client:
        text = (await client.get("/")).text
    for page in ("metrics", "healthz", "readyz"):
        assert f'href="{page}"' in text


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Basic bWU6c2VjcmV0", 200),  # me:secret
        ("basic bWU6c2VjcmV0", 200),
        ("Basic bWU6d3Jvbmc=", 401),  # me:wrong
        ("Bearer token", 200),
        ("Bearer nekot", 401),
        ("Bearer t\u00f6ken", 401),
        ("Digest token", 401),
        ("Bearer", 401),
    ],
)
async def test_metrics_are_for_those_who_know_the_secret(
    authorization: str | None, status: int, tmp_path: Path
) -> None:
    auth = Auth(
        username="me",
        password_file=written(tmp_path / "password", "secret"),
        token_file=written(tmp_path / "token", "token"),
    )
    headers = {b"Authorization": authorization.encode("latin-1")} if authorization else {}
    async with served(create_app(Settings(auth=auth))) as client:
        response = await client.get("/metrics", headers=headers)
    assert response.status_code == status


async def test_a_refusal_says_which_secret_is_wanted(tmp_path: Path) -> None:
    auth = Auth(token_file=written(tmp_path / "token", "t"))
    async with served(create_app(Settings(auth=auth))) as client:
        response = await client.get("/metrics")
    assert response.headers["www-authenticate"] == 'Bearer realm="claw-exporter"'


async def test_the_other_pages_need_no_secret(tmp_path: Path) -> None:
    auth = Auth(token_file=written(tmp_path / "token", "t"))
    async with served(create_app(Settings(auth=auth))) as client:
        assert [(await client.get(page)).status_code for page in ("/", "/healthz", "/readyz")] == [200] * 3


def written(path: Path, secret: str) -> Secret:
    path.write_text(secret)
    return Secret(secret, path)


async def test_a_secret_that_was_changed_starts_its_probe_anew_and_no_other() -> None:
    def settings(password: str) -> Settings:
        nowhere = Secret("redis://127.0.0.1:1")
        return Settings(
            redis=(
                Redis(name="kept", url=nowhere, password_file=Secret("same")),
                Redis(name="cache", url=nowhere, password_file=Secret(password)),
            )
        )

    process = Process(
        settings("old"), address="", clock=time.monotonic, reloads=None, configure_log=lambda _: None
    )
    assert process.apply(settings("old"))["kept"] == 2
    assert process.apply(settings("new")) == {
        "kept": 1,
        "started": ("redis/cache",),
        "ended": ("redis/cache",),
    }


def test_what_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    process = Process(
        Settings(host=Host(enabled=True)),
        address="",
        clock=time.monotonic,
        reloads=None,
        configure_log=lambda _: None,
    )
    gone = Auth(token_file=Secret("t", tmp_path / "removed since it was read"))
    with pytest.raises(ArgumentError, match=r"token_file .* cannot be used"):
        process.apply(Settings(auth=gone))
    assert process.apply(Settings(host=Host(enabled=True)))["kept"] == 1
