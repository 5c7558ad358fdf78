"""Errors of Postgres, as those who ask see them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from claw_hub.accounts.database import connect, driver_arguments, translated
from claw_hub.errors import BadRequestError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from claw_hub.accounts import Accounts
    from claw_native.servers import Postgres


async def ask(engine: AsyncEngine, statement: str) -> None:
    with translated():
        async with engine.begin() as connection:
            await connection.execute(text(statement))


async def test_a_value_that_fits_into_no_column_is_the_callers_mistake(accounts: Accounts) -> None:
    with pytest.raises(BadRequestError, match="out of the range"):
        await accounts.tenant(2**40)


async def test_a_connection_that_ends_in_the_middle_is_a_postgres_that_is_away(
    engine: AsyncEngine, postgres: Postgres
) -> None:
    asking = asyncio.create_task(ask(engine, "SELECT pg_sleep(60)"))
    found = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    async with asyncio.timeout(20):
        while not postgres.query(f"SELECT pg_terminate_backend(pid) {found} AND state = 'active'"):  # noqa: ASYNC110 - until it has begun
            await asyncio.sleep(0.01)
    with pytest.raises(UnavailableError, match="cannot be asked now"):
        await asking
    await ask(engine, "SELECT 1")


async def test_a_statement_that_is_wrong_is_nobodys_mistake_but_ours(engine: AsyncEngine) -> None:
    with pytest.raises(ProgrammingError):
        await ask(engine, "SELECT nothing FROM nowhere")


async def test_a_password_that_does_not_open_is_a_postgres_that_is_away(postgres: Postgres) -> None:
    for dsn in (postgres.dsn.replace("claw:claw@", "claw:wrong@"), postgres.dsn + "_other"):
        engine = connect(dsn)
        with pytest.raises(UnavailableError, match="cannot be asked now"):
            await ask(engine, "SELECT 1")
        await engine.dispose()


def test_encryption_is_asked_for_as_everywhere_else() -> None:
    engine = connect("postgresql://claw@db.example/claw?sslmode=verify-full")
    assert engine.url.query == {"ssl": "verify-full"}
    assert driver_arguments(engine)["ssl"] == "verify-full"


async def test_no_value_is_quoted_in_an_error(engine: AsyncEngine) -> None:
    assert engine.sync_engine.hide_parameters
