"""Conversations and messages in Postgres, through one asyncpg pool."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import asyncpg

from claw_chat.errors import DatabaseUnavailableError
from claw_chat.logs import log
from claw_exporter import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claw_chat.settings import Settings

    Row = dict[str, Any]

SCHEMA_LOCK: Final = 0x636C6177  # any number that nobody else locks: workers create the tables one at a time
FIRST_DELAY_SECONDS: Final = 0.2
LONGEST_DELAY_SECONDS: Final = 5.0
MESSAGES: Final = """
    SELECT id, role, content, model, created_at FROM messages WHERE conversation_id = $1 ORDER BY id
"""
UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.UndefinedTableError,  # reachable, but the tables are not there yet
)


class Database:
    """The app's tables.

    Every method raises ``DatabaseUnavailableError`` while Postgres cannot be reached, and works again as soon
    as it can: the pool connects when a connection is wanted, never ahead.

    Args:
        settings: Where Postgres is and how long to wait for it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    async def open(self) -> None:
        """Make the pool, and create the tables as soon as Postgres is there."""
        timeout = self._settings.database_timeout_seconds
        self._pool = await asyncpg.create_pool(
            self._settings.database_url,
            password=self._settings.database_password,
            min_size=0,  # so that the app starts before Postgres does
            max_size=self._settings.database_pool_max_connections,
            timeout=timeout,
            command_timeout=timeout,
        )
        metrics.watch_pool("primary", self._pool)
        self._preparing = asyncio.create_task(self._prepare())

    async def close(self) -> None:
        """Give every connection back."""
        if self._preparing:
            self._preparing.cancel()
            with suppress(asyncio.CancelledError):
                await self._preparing
        if self._pool:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), self._settings.database_timeout_seconds)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection of the pool.

        Raises:
            DatabaseUnavailableError: There is none, or it broke while it was used.
        """
        assert self._pool is not None, "open() comes first"  # noqa: S101 - a mistake of ours, not of a user
        try:
            async with self._pool.acquire(timeout=self._settings.database_timeout_seconds) as connection:
                yield connection
        except UNREACHABLE as error:
            raise DatabaseUnavailableError(f"Postgres: {type(error).__name__}: {error}") from error

    async def _prepare(self) -> None:
        """Create what is absent, trying again until Postgres is there."""
        delay_seconds = FIRST_DELAY_SECONDS
        while True:
            try:
                async with self.connection() as connection, connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK)
                    await connection.execute(files("claw_chat").joinpath("schema.sql").read_text())
            except (DatabaseUnavailableError, asyncpg.PostgresError) as error:
                log.warning("waiting for postgres", extra={"error": str(error)})
                await asyncio.sleep(delay_seconds)
                delay_seconds = min(2 * delay_seconds, LONGEST_DELAY_SECONDS)
            else:
                log.info("tables ready")
                self.ready.set()
                return

    async def ping(self) -> None:
        """Return if Postgres answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    @metrics.track_db("insert_conversation")
    async def create_conversation(self, *, title: str, model: str) -> Row:
        """Store a new conversation and return it."""
        query = "INSERT INTO conversations (id, title, model) VALUES ($1, $2, $3) RETURNING *"
        async with self.connection() as connection:
            return dict(await connection.fetchrow(query, uuid4(), title, model))

    @metrics.track_db("list_conversations")
    async def list_conversations(self, *, limit: int) -> list[Row]:
        """Return the ``limit`` conversations that were active last, newest first."""
        query = "SELECT * FROM conversations ORDER BY updated_at DESC LIMIT $1"
        async with self.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, limit)]

    @metrics.track_db("get_conversation")
    async def get_conversation(self, conversation_id: UUID) -> Row | None:
        """Return a conversation with its messages, oldest first; ``None`` if there is none."""
        async with self.connection() as connection:
            found = await connection.fetchrow("SELECT * FROM conversations WHERE id = $1", conversation_id)
            if found is None:
                return None
            messages = await connection.fetch(MESSAGES, conversation_id)
            return {**found, "messages": [dict(row) for row in messages]}

    @metrics.track_db("delete_conversation")
    async def delete_conversation(self, conversation_id: UUID) -> bool:
        """Delete a conversation and its messages; return whether there was one."""
        async with self.connection() as connection:
            query = "DELETE FROM conversations WHERE id = $1 RETURNING id"
            return await connection.fetchval(query, conversation_id) is not None

    @metrics.track_db("insert_message")
    async def add_message(
        self, conversation_id: UUID, *, role: str, content: str, model: str | None = None
    ) -> Row | None:
        """Append a message and return it; ``None`` if the conversation is gone."""
        query = """
            WITH conversation AS (UPDATE conversations SET updated_at = now() WHERE id = $1 RETURNING id)
            INSERT INTO messages (conversation_id, role, content, model)
            SELECT id, $2, $3, $4 FROM conversation
            RETURNING id, role, content, model, created_at
        """
        async with self.connection() as connection:
            row = await connection.fetchrow(query, conversation_id, role, content, model)
            return dict(row) if row else None
