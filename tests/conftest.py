"""Fixtures every part of the tests may use: fetched programs, a throw-away Postgres and Redis, the stack."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from claw_native.servers import DATABASE, Postgres, Redis
from claw_native.servers import free_port as find_free_port
from claw_native.settings import Settings, read_settings
from claw_native.testing import Stack, stack_environment, start_stack
from claw_native.tools import ensure_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Using one of these fixtures marks a test, so that `make test-quick` leaves it out.
MARKS = {"tools": "tools", "postgres": "tools", "redis_server": "tools", "stack": "stack"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            if name in MARKS:
                item.add_marker(MARKS[name])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def native_settings() -> Settings:
    return read_settings(os.environ)


@pytest.fixture(scope="session")
def tools(native_settings: Settings) -> Path:
    """The folder of prometheus, promtool, amtool, postgres, redis-server, ...; fetched when missing."""
    ensure_tools(native_settings)
    return native_settings.bin_dir


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Call it for a port nobody listens on."""
    return find_free_port


@pytest.fixture(scope="session")
def _postgres(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tools, tmp_path_factory.mktemp("postgres"), find_free_port()) as server:
        yield server


@pytest.fixture
def postgres(_postgres: Postgres) -> Postgres:
    """A throw-away cluster: `.dsn`, `.monitor_dsn`, `.stop()`, `.start()`; runs, and is empty, in each."""
    _postgres.start()
    _postgres.query(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    _postgres.provide()
    return _postgres


@pytest.fixture(scope="session")
def _redis_server(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tools, tmp_path_factory.mktemp("redis"), find_free_port()) as server:
        yield server


@pytest.fixture
def redis_server(_redis_server: Redis) -> Redis:
    """A throw-away Redis: `.url`, `.stop()`, `.start()`; it runs again in the next test."""
    _redis_server.start()
    return _redis_server


@pytest.fixture(scope="session")
def stack(
    native_settings: Settings, tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The whole demo, shared by all tests: `.url(service, path)`, `.environment`, `.run("status")`."""
    assert tools.is_dir()
    folder = tmp_path_factory.mktemp("stack")
    environment = stack_environment(folder / "run", native_settings.tools_dir)
    stack = start_stack(environment, folder / "output")
    yield stack
    assert stack.stop() == 0, stack.printed()
