"""The tables of Postgres come from migrations, and are what the models say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Select, column, select, table, text
from sqlalchemy.schema import CreateSchema, DropSchema

from claw_hub.accounts.database import connect
from claw_hub.accounts.migrate import pending, upgrade
from claw_hub.accounts.schema import Base
from claw_hub.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from claw_native.servers import Postgres


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, Base.metadata))


async def test_migrations_make_what_the_models_say(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_every_check_of_the_models_is_in_the_database(engine: AsyncEngine) -> None:
    # Alembic does not compare those that check values.
    found: Select[Any] = (
        select(column("conname")).select_from(table("pg_constraint")).where(column("contype") == "c")
    )
    async with engine.connect() as connection:
        made = set((await connection.execute(found)).scalars())
    meant = {
        str(one.name)
        for one_table in Base.metadata.tables.values()
        for one in one_table.constraints
        if isinstance(one, CheckConstraint)
    }
    assert meant
    assert meant <= made


@pytest.fixture
async def empty(postgres: Postgres) -> AsyncIterator[str]:
    """URL of a database without tables."""
    engine = connect(postgres.dsn)
    async with engine.begin() as connection:
        await connection.execute(DropSchema("public", cascade=True))
        await connection.execute(CreateSchema("public"))
    yield postgres.dsn
    # Others find their tables there, or none.
    async with engine.begin() as connection:
        await connection.execute(DropSchema("public", cascade=True))
        await connection.execute(CreateSchema("public"))
    await engine.dispose()


async def test_a_second_run_does_nothing(empty: str) -> None:
    assert await pending(empty) == ["0001"]
    assert await upgrade(empty) == ["0001"]
    assert await pending(empty) == []
    assert await upgrade(empty) == []


async def test_concurrent_starts_wait_for_each_other(empty: str) -> None:
    done = await asyncio.gather(*(upgrade(empty) for _ in range(4)))
    assert sorted(done, key=len) == [[], [], [], ["0001"]]


async def test_tables_of_a_later_version_are_left_alone(empty: str, postgres: Postgres) -> None:
    await upgrade(empty)
    engine = connect(empty)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    for ask in (upgrade, pending):
        with pytest.raises(SettingsError, match="at migration 9999, of another version"):
            await ask(postgres.dsn)


async def test_a_postgres_that_is_away_is_told_as_such(free_port: Callable[[], int]) -> None:
    with pytest.raises(UnavailableError, match="cannot be asked now"):
        await upgrade(f"postgresql://claw@127.0.0.1:{free_port()}/claw")


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://localhost/claw"])
def test_only_urls_of_postgres_are_taken(url: str) -> None:
    with pytest.raises(SettingsError, match="database's URL"):
        connect(url)
