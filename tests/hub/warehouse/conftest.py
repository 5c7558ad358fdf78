"""One embedded warehouse for all tests of this folder, over real HTTP; each test has its own database."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import clickhouse_connect
import pytest

from claw_hub.warehouse.testing import EmbeddedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clickhouse_connect.driver.client import Client

    Connect = Callable[..., Client]

PASSWORD = "a password: with a colon"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def warehouse(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[EmbeddedProcess]:
    folder = tmp_path_factory.mktemp("warehouse")
    password_file = folder / "password"
    password_file.write_text(f"{PASSWORD}\n")
    with EmbeddedProcess(folder / "data", free_port(), password_file) as process:
        yield process


@pytest.fixture
def connect() -> Connect:
    """Call it with a process for the real client, with nothing changed but what is given."""

    def connected(process: EmbeddedProcess, **options: object) -> Client:
        given = {"host": "127.0.0.1", "port": process.port, "username": "default", "password": PASSWORD}
        return clickhouse_connect.get_client(**{**given, **options})  # type: ignore[arg-type]

    return connected


@pytest.fixture
def database(warehouse: EmbeddedProcess, connect: Connect) -> Iterator[str]:
    """A new, empty database."""
    name = f"test_{next(_numbers)}"
    with connect(warehouse) as client:
        client.command(f"CREATE DATABASE {name}")
        yield name
        client.command(f"DROP DATABASE {name}")


@pytest.fixture
def client(warehouse: EmbeddedProcess, database: str, connect: Connect) -> Iterator[Client]:
    with connect(warehouse, database=database) as client:
        yield client


@pytest.fixture
def embedded_process() -> Callable[..., EmbeddedProcess]:
    return EmbeddedProcess
