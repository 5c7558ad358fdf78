"""Migrations, applied to the embedded warehouse over HTTP, also through crashes and by two at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from claw_hub.errors import HubError, SettingsError
from claw_hub.warehouse.connection import Server
from claw_hub.warehouse.migrate import migrate, read_migrations
from claw_hub.warehouse.packaged import migration_texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claw_hub.warehouse.testing import EmbeddedProcess

ONE = "CREATE TABLE IF NOT EXISTS a (x UInt32) ENGINE = MergeTree ORDER BY x;\n"
TWO = (
    "-- two tables; and a column\n"
    "CREATE TABLE IF NOT EXISTS b (x UInt32, note String DEFAULT 'a;b') ENGINE = MergeTree ORDER BY x;\n"
    "ALTER TABLE a ADD COLUMN IF NOT EXISTS y String;\n"
    "CREATE TABLE IF NOT EXISTS c (x UInt32) ENGINE = ReplacingMergeTree ORDER BY x;"
)
TEXTS = {"0001_create_a": ONE, "0002_create_more": TWO}


@pytest.fixture
async def server(warehouse: EmbeddedProcess) -> AsyncIterator[Server]:
    server = Server(warehouse.url, password_file=warehouse.password_file)
    yield server
    await server.close()


async def tables(server: Server, database: str) -> set[str]:
    rows = await server.execute(f"SHOW TABLES FROM {database}")
    return {row["name"] for row in rows}


class Cut:
    """An executor that ends, as a killed process would, after so many statements."""

    def __init__(self, server: Server, statements: int) -> None:
        self.server = server
        self.left = statements

    async def execute(self, sql: str, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any
        if not self.left:
            raise ConnectionError("killed")
        self.left -= 1
        return await self.server.execute(sql, **options)


async def test_migrations_are_applied_once_and_in_order(server: Server, database: str) -> None:
    assert await migrate(server, database=database, texts=TEXTS) == ["0001_create_a", "0002_create_more"]
    assert await migrate(server, database=database, texts=TEXTS) == []
    assert await tables(server, database) == {"a", "b", "c", "schema_migrations"}


async def test_the_database_is_made_where_it_is_missing(server: Server, database: str) -> None:
    await server.execute(f"DROP DATABASE {database}")
    assert await migrate(server, database=database, texts=TEXTS)
    assert await tables(server, database) >= {"a", "b"}


async def test_the_packaged_migrations_apply(server: Server, database: str) -> None:
    assert await migrate(server, database=database) == list(migration_texts())
    assert await tables(server, database) >= {"raw_batches", "stg_usage", "quarantine", "mart_usage_hour"}


@pytest.mark.parametrize("statements", range(9))
async def test_a_migration_that_was_cut_off_anywhere_continues(
    server: Server, database: str, statements: int
) -> None:
    with pytest.raises(ConnectionError):
        await migrate(Cut(server, statements), database=database, texts=TEXTS)
    await migrate(server, database=database, texts=TEXTS)
    assert await tables(server, database) == {"a", "b", "c", "schema_migrations"}
    rows = await server.execute("SELECT name FROM schema_migrations FINAL ORDER BY name", database=database)
    assert [row["name"] for row in rows] == list(TEXTS)


async def test_programs_that_start_at_once_do_not_disturb_each_other(server: Server, database: str) -> None:
    await asyncio.gather(*(migrate(server, database=database, texts=TEXTS) for _ in range(8)))
    assert await tables(server, database) == {"a", "b", "c", "schema_migrations"}
    columns = await server.execute("DESCRIBE TABLE a", database=database)
    assert [column["name"] for column in columns] == ["x", "y"]


async def test_a_changed_migration_is_refused_and_a_changed_comment_is_not(
    server: Server, database: str
) -> None:
    await migrate(server, database=database, texts=TEXTS)
    assert (
        await migrate(server, database=database, texts={**TEXTS, "0001_create_a": f"-- why\n{ONE}\n"}) == []
    )
    changed = {**TEXTS, "0001_create_a": ONE.replace("UInt32", "UInt64")}
    with pytest.raises(SettingsError, match="0001_create_a was changed after it was applied"):
        await migrate(server, database=database, texts=changed)


async def test_an_older_program_leaves_a_newer_warehouse_alone(server: Server, database: str) -> None:
    await migrate(server, database=database, texts=TEXTS)
    with pytest.raises(SettingsError, match="0002_create_more, which this program does not know"):
        await migrate(server, database=database, texts={"0001_create_a": ONE})


async def test_a_migration_between_applied_ones_is_refused(server: Server, database: str) -> None:
    later = {"0002_create_more": TWO.replace("ALTER TABLE a", "ALTER TABLE b")}
    await migrate(server, database=database, texts=later)
    with pytest.raises(SettingsError, match="0001_create_a comes before the applied 0002_create_more"):
        await migrate(server, database=database, texts={"0001_create_a": ONE, **later})


async def test_a_migration_that_fails_is_not_written_down(server: Server, database: str) -> None:
    wrong = {**TEXTS, "0003_change_b": "ALTER TABLE b MODIFY COLUMN IF EXISTS x Nothing_at_all;"}
    with pytest.raises(HubError):
        await migrate(server, database=database, texts=wrong)
    assert await migrate(server, database=database, texts=TEXTS) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("1_create", ONE, "is not named NNNN_verb_noun"),
        ("0001_create_a", ONE.replace("MergeTree", "Kafka"), "ENGINE = Kafka is not allowed"),
        ("0001_create_a", ONE.replace("ENGINE = MergeTree ORDER BY x", ""), "has to say its ENGINE"),
        ("0001_create_a", ONE.replace("IF NOT EXISTS ", ""), "cannot be run again"),
        ("0001_add_y", "ALTER TABLE a ADD COLUMN y String", "cannot be run again"),
        (
            "0001_add_y",
            "ALTER TABLE a ADD COLUMN IF NOT EXISTS y String, DROP COLUMN z",
            "cannot be run again",
        ),
        ("0001_fill_a", "INSERT INTO a SELECT 1", "cannot be run again"),
        ("0001_make_view", "CREATE MATERIALIZED VIEW v TO a AS SELECT 1 AS x", "cannot be run again"),
        ("0001_drop_a", "DROP TABLE a", "cannot be run again"),
    ],
)
async def test_an_unsound_migration_is_refused_before_anything_runs(name: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_migrations({name: text})


def test_two_migrations_of_one_number_are_refused() -> None:
    with pytest.raises(SettingsError, match="several migrations have the number 0001"):
        read_migrations({"0001_create_a": ONE, "0001_create_b": ONE})


async def test_a_database_of_an_odd_name_is_refused(server: Server) -> None:
    with pytest.raises(SettingsError, match="is no name"):
        await migrate(server, database="a; DROP DATABASE b")
