"""Brings a warehouse up to date: the files of ``clickhouse/migrations``, in order, forward only.

A warehouse has no transactions over definitions and no locks for them. So each statement of a migration may
be run again without harm, which is checked; a migration is written down when all of its statements have run;
and one that was cut off, or that runs in two places at once, is just run again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from claw_hub.errors import SettingsError
from claw_hub.warehouse.guard import engine_mistake
from claw_hub.warehouse.packaged import migration_texts
from claw_hub.warehouse.sql import split, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from claw_hub.warehouse.connection import Executor
    from claw_hub.warehouse.sql import Token

__all__ = ["Migration", "migrate", "read_migrations"]

_NAME: Final = re.compile(r"\d{4}_[a-z0-9]+(_[a-z0-9]+)+")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPEATABLE: Final = (
    ("CREATE", "TABLE", "IF", "NOT", "EXISTS"),
    ("CREATE", "OR", "REPLACE", "VIEW"),
    ("DROP", "TABLE", "IF", "EXISTS"),
    ("DROP", "VIEW", "IF", "EXISTS"),
)
_ALTERED: Final = (
    ("ADD", "COLUMN", "IF", "NOT", "EXISTS"),
    ("ADD", "INDEX", "IF", "NOT", "EXISTS"),
    ("CLEAR", "COLUMN", "IF", "EXISTS"),
    ("COMMENT", "COLUMN", "IF", "EXISTS"),
    ("DROP", "COLUMN", "IF", "EXISTS"),
    ("DROP", "INDEX", "IF", "EXISTS"),
    ("MODIFY", "COLUMN", "IF", "EXISTS"),
    ("MODIFY", "SETTING"),
    ("MODIFY", "TTL"),
    ("RESET", "SETTING"),
)
_TABLE: Final = "schema_migrations"
_CREATE_TABLE: Final = f"""
CREATE TABLE IF NOT EXISTS {_TABLE} (
  name String, checksum String, applied_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY name SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes:
        name: Such as ``0001_create_raw_and_staging``.
        checksum: Of its statements; comments and spaces may change.
        statements: In their order.
    """

    name: str
    checksum: str
    statements: tuple[str, ...]


async def migrate(
    executor: Executor, *, database: str = "claw", texts: Mapping[str, str] | None = None
) -> list[str]:
    """Applies what is not applied yet; returns the names of it.

    Args:
        executor: Runs the statements.
        database: Made where it is missing.
        texts: Name -> text of each migration; those that are packaged by default.

    Raises:
        SettingsError: A migration is not sound, was changed after it was applied, or is older than one that
            was applied; or the database is newer than this program.
        HubError: A statement fails.
    """
    if not _WORD.fullmatch(database):
        raise SettingsError([f"the database {database!r} is no name; use letters, digits and _"])
    known = read_migrations(migration_texts() if texts is None else texts)
    await executor.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    await executor.execute(_CREATE_TABLE, database=database)
    rows = await executor.execute(f"SELECT name, checksum FROM {_TABLE} FINAL", database=database)  # noqa: S608
    applied = {row["name"]: row["checksum"] for row in rows}
    mistakes = list(_disagreements(known, applied))
    if mistakes:
        raise SettingsError(mistakes)
    missing = [migration for migration in known if migration.name not in applied]
    for migration in missing:
        await _apply(executor, migration, database)
    return [migration.name for migration in missing]


def read_migrations(texts: Mapping[str, str]) -> list[Migration]:
    """Reads migrations; returns them in their order.

    Raises:
        SettingsError: With everything that is wrong with them.
    """
    found = [_read(name, text) for name, text in sorted(texts.items())]
    mistakes = [f"{one.name}: {mistake}" for one in found for mistake in _mistakes(one)]
    numbers = [one.name[:4] for one in found]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    mistakes += [f"several migrations have the number {number}" for number in twice]
    if mistakes:
        raise SettingsError(mistakes)
    return found


async def _apply(executor: Executor, migration: Migration, database: str) -> None:
    for statement in migration.statements:
        await executor.execute(statement, database=database, settings={"alter_sync": "2"})
    await executor.execute(
        f"INSERT INTO {_TABLE} (name, checksum) SELECT {{name:String}}, {{checksum:String}}",
        database=database,
        parameters={"name": migration.name, "checksum": migration.checksum},
    )


def _read(name: str, text: str) -> Migration:
    statements = tuple(split(text))
    words = ["\0".join(token.text for token in tokens(statement)) for statement in statements]
    checksum = hashlib.blake2b("\1".join(words).encode(), digest_size=16).hexdigest()
    return Migration(name, checksum, statements)


def _mistakes(migration: Migration) -> Iterable[str]:
    if not _NAME.fullmatch(migration.name):
        yield "is not named NNNN_verb_noun"
    for statement in migration.statements:
        read = list(tokens(statement))
        if not _is_repeatable(read):
            start = " ".join(token.text for token in read[:6])
            yield f"{start!r} ... cannot be run again without harm; write IF NOT EXISTS, IF EXISTS or MODIFY"
        mistake = engine_mistake(read)
        if mistake:
            yield mistake


def _is_repeatable(read: list[Token]) -> bool:
    words = tuple(token.upper for token in read)
    if any(words[: len(form)] == form for form in _REPEATABLE):
        return True
    # One change to a statement: of several, the first could have been made and the second not.
    changes = sum(words[index] in ("ADD", "DROP", "MODIFY") for index in range(len(words)))
    return (
        words[:2] == ("ALTER", "TABLE")
        and any(words[3 : 3 + len(form)] == form for form in _ALTERED)
        and (changes == 1)
    )


def _disagreements(known: list[Migration], applied: Mapping[str, str]) -> Iterable[str]:
    names = {migration.name for migration in known}
    for name in sorted(applied.keys() - names):
        yield f"the warehouse has the migration {name}, which this program does not know; run a newer one"
    for migration in known:
        checksum = applied.get(migration.name)
        if checksum is not None and checksum != migration.checksum:
            yield f"the migration {migration.name} was changed after it was applied; put it back, add another"
        if checksum is None and applied and migration.name < max(applied):
            yield f"the migration {migration.name} comes before the applied {max(applied)}; number it anew"
