"""Flags and variables of the compose file, given to the real programs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from claw_native.servers import Redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from claw_native.servers import Postgres

PROGRAMS = {
    "alertmanager": "alertmanager",
    "blackbox-exporter": "blackbox_exporter",
    "nginx-exporter": "nginx_exporter",
    "node-exporter": "node_exporter",
    "prometheus": "prometheus",
}
DEADLINE_SECONDS = 30


@contextmanager
def exporting(
    program: Path, *flags: str, port: int, environment: Mapping[str, str]
) -> Iterator[Callable[[str], str]]:
    """Run an exporter; call what it yields with a metric's name, for the end of its first line."""
    process = subprocess.Popen(
        [program, f"--web.listen-address=127.0.0.1:{port}", *flags],
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
    )

    def value(name: str) -> str:
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE_SECONDS).text.splitlines()
        return next((line.split()[-1] for line in lines if line.startswith(name)), "none")

    try:
        wait_until_answering(port)
        yield value
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def wait_until_answering(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_real_program_knows_every_flag(tools: Path, services: dict[str, Any], name: str) -> None:
    # An unknown flag is an error before --version is obeyed.
    command = [tools / PROGRAMS[name], *services[name]["command"], "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_a_flag_that_does_not_exist_would_be_noticed(tools: Path) -> None:
    command: list[str | Path] = [tools / "prometheus", "--no-such-flag", "--version"]

    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_the_postgres_exporter_logs_in_with_the_secret(
    tools: Path, services: dict[str, Any], postgres: Postgres, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    given = services["postgres-exporter"]["environment"]
    url = httpx.URL(postgres.monitor_dsn)
    (tmp_path / "password").write_text(url.password)
    environment = {
        name: value.replace("postgres:5432", f"127.0.0.1:{postgres.port}").replace(
            "/run/secrets/postgres_exporter_password", str(tmp_path / "password")
        )
        for name, value in given.items()
    }

    assert given["DATA_SOURCE_USER"] == url.username
    with exporting(tools / "postgres_exporter", port=free_port(), environment=environment) as value:
        assert value("pg_up ") == "1"


def test_the_redis_exporter_finds_its_password(
    tools: Path, services: dict[str, Any], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    with Redis(tools, tmp_path / "redis", port) as server:
        command: list[str | Path] = [tools / "redis-cli", "-p", str(port), "config", "set"]
        subprocess.run([*command, "requirepass", "correct-horse"], check=True, capture_output=True)
        address = f"redis://127.0.0.1:{port}"
        assert server.url.startswith(address)
        (tmp_path / "passwords.json").write_text(json.dumps({address: "correct-horse"}))
        moved = {
            "redis://redis:6379": address,
            "/run/secrets/redis_exporter_passwords.json": str(tmp_path / "passwords.json"),
        }
        environment = {
            name: moved[value] for name, value in services["redis-exporter"]["environment"].items()
        }
        with exporting(tools / "redis_exporter", port=free_port(), environment=environment) as value:
            assert value("redis_up ") == "1"
            assert value("redis_exporter_last_scrape_error") == "0"
