"""Private Postgres and Redis servers, as tests and the demo use them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest
import redis

from claw_native.errors import ServerError
from claw_native.servers import HOST, Process, accepts, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from claw_native.servers import Postgres, Redis


@pytest.mark.anyio
async def test_the_owner_can_write_to_the_database(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS note (id int)")
        assert await connection.fetchval("SELECT current_user") == "claw"
    finally:
        await connection.close()


@pytest.mark.anyio
async def test_the_monitor_can_read_statistics_but_not_write(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.monitor_dsn)
    try:
        assert await connection.fetchval("SELECT pg_has_role('pg_monitor', 'member')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.mine (id int)")
    finally:
        await connection.close()


def test_a_stopped_postgres_frees_its_port_and_keeps_its_data(postgres: Postgres) -> None:
    postgres.query("CREATE TABLE IF NOT EXISTS kept (id int)")
    postgres.stop()
    assert not accepts(postgres.port)
    postgres.start()
    assert postgres.query("SELECT count(*) FROM kept") == "0\n"


def test_redis_answers_again_after_a_stop(redis_server: Redis) -> None:
    redis_server.stop()
    assert not accepts(redis_server.port)
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.ping()


def test_a_program_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "raise SystemExit('no such disk')"]
    with pytest.raises(ServerError, match="no such disk"):
        Process(words, log=tmp_path / "log", ready=lambda: False).start()


def test_a_program_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "from signal import *; signal(SIGTERM, SIG_IGN); print('up', flush=True); pause()"
    process = Process([sys.executable, "-c", code], log=log, ready=lambda: log.read_text() == "up\n")
    process.start()
    process.stop(timeout_seconds=0.2)
    assert process._running is None


def test_a_free_port_is_given_once() -> None:
    assert len({free_port() for _ in range(500)}) == 500


def test_a_program_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    port = free_port()
    code = f"""
import pathlib, sys, time
from claw_native.servers import Process, accepts
words = [sys.executable, "-m", "http.server", "{port}", "--bind", "{HOST}"]
Process(words, log=pathlib.Path({str(tmp_path / "log")!r}), ready=lambda: accepts({port})).start()
print("up", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"up\n"
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while accepts(port):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.05)
