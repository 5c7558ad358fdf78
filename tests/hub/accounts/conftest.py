"""A database with the tables in it, accounts over it, and a clock that stands still until it is moved."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import argon2
import pytest
from sqlalchemy import text

from claw_hub.accounts import Accounts, Tenant
from claw_hub.accounts.database import connect
from claw_hub.accounts.migrate import upgrade
from claw_hub.accounts.passwords import Passwords
from claw_hub.accounts.schema import Base
from claw_native.servers import DATABASE, accepts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from claw_native.servers import Postgres

NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC
SECRET = b"thirty-two bytes of a token secret, or more"
PASSWORD = "correct horse battery"


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def _emptied(_postgres: Postgres) -> None:
    """Forgets what tests of other modules have left in the database."""
    _postgres.start()
    _postgres.query(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    _postgres.provide()


@pytest.fixture
def postgres(_emptied: None, _postgres: Postgres) -> Postgres:
    """The throw-away cluster, running; `engine` empties its tables, which takes less time than anew."""
    if not accepts(_postgres.port):
        _postgres.start()
    return _postgres


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    await upgrade(postgres.dsn)
    made = connect(postgres.dsn)
    names = ", ".join(Base.metadata.tables)
    async with made.begin() as connection:
        await connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield made
    await made.dispose()


@pytest.fixture
async def make_accounts(engine: AsyncEngine, clock: Clock) -> AsyncIterator[Callable[[], Accounts]]:
    """Call it for what one process has; all are over the same database."""
    made: list[Accounts] = []

    def make() -> Accounts:
        passwords = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        made.append(Accounts(engine, token_secret=SECRET, clock=clock, passwords=passwords))
        return made[-1]

    yield make
    for accounts in made:
        await accounts.close()


@pytest.fixture
def accounts(make_accounts: Callable[[], Accounts]) -> Accounts:
    return make_accounts()


@pytest.fixture
async def acme(accounts: Accounts) -> Tenant:
    return await accounts.create_tenant(slug="acme", name="Acme")


@pytest.fixture
def seconds() -> Callable[[], float]:
    """The real time, for what has to happen soon."""
    return time.monotonic
