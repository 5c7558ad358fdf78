"""Brings the tables of Postgres to what this version of the hub needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import func, select

from claw_hub.accounts.database import connect, translated
from claw_hub.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

__all__ = ["pending", "upgrade"]

_FOLDER: Final = Path(__file__).parent / "migrations"
LOCK: Final = 0x636C_6177_6875_6201  # of this database only; "clawhub" and a number
"""Advisory lock that a running migration holds."""


async def upgrade(url: str) -> Sequence[str]:
    """Runs the migrations that are missing, all in one transaction; a second one waits for the first.

    Args:
        url: Of the database, such as `postgresql://claw:secret@localhost:5432/claw`.

    Returns:
        Their numbers, the oldest first.

    Raises:
        SettingsError: It is no URL of Postgres, or another version of the hub made its tables.
        UnavailableError: Postgres is away.
    """
    engine = connect(url, pool_size=1, statement_seconds=None)
    try:
        with translated():
            async with engine.begin() as connection:
                await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
                return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def pending(url: str) -> Sequence[str]:
    """Returns the numbers of migrations that are missing, the oldest first; changes nothing.

    Raises:
        SettingsError: It is no URL of Postgres, or another version of the hub made its tables.
        UnavailableError: Postgres is away.
    """
    engine = connect(url, pool_size=1, statement_seconds=None)
    try:
        with translated():
            async with engine.connect() as connection:
                return await connection.run_sync(_missing)
    finally:
        await engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _missing(connection: Connection) -> list[str]:
    scripts = ScriptDirectory.from_config(_config(connection))
    here = MigrationContext.configure(connection).get_current_revision()
    try:
        missing = list(scripts.iterate_revisions("head", here or "base"))
    except RevisionError as error:
        mistake = f"the database of the accounts is at migration {here}, of another version of the hub"
        raise SettingsError([f"{mistake}; start that version, or restore a backup"]) from error
    return [script.revision for script in missing][::-1]


def _upgrade(connection: Connection) -> list[str]:
    missing = _missing(connection)
    command.upgrade(_config(connection), "head")
    return missing
