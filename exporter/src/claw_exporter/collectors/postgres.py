"""A Postgres database: does it answer, connections by state, size; and the link that queries share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg

from claw_exporter import catalog
from claw_exporter.collectors.base import Classified, Collector, Link, Report, Schedule

if TYPE_CHECKING:
    from claw_exporter.settings import Postgres

ERRORS: Final[Classified] = (
    (asyncpg.QueryCanceledError, "timeout"),
    (asyncpg.InvalidAuthorizationSpecificationError, "authentication"),
    (
        (
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.TooManyConnectionsError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.ConnectionFailureError,
            asyncpg.InterfaceError,
        ),
        "connection",
    ),
    (asyncpg.PostgresError, "query"),
)

_LIMITS: Final = """
SELECT current_setting('max_connections')::int AS max_connections,
       pg_database_size(current_database())    AS size_bytes
"""
_CONNECTIONS: Final = """
SELECT coalesce(state, 'unknown') AS state, count(*) AS connections
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
GROUP BY 1
"""

PostgresLink = Link["asyncpg.Connection[asyncpg.Record]"]


def link_to(target: Postgres) -> PostgresLink:
    """Make the one link to a database, for its collector and for every query on it."""

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            target.dsn.value,
            # Read for each connection: a password that was changed needs no restart.
            password=await asyncio.to_thread(target.password_file.fresh) if target.password_file else None,
            timeout=target.timeout_seconds,
            statement_cache_size=0,  # a plan from before a migration would fail after it
            # Sent with the greeting, never with SET: behind PgBouncer, SET would make server connections of
            # others read-only. PgBouncer refuses these settings, unless it is told to ignore them.
            server_settings={
                "application_name": "claw-exporter",
                "default_transaction_read_only": "on",
                "statement_timeout": milliseconds(target.timeout_seconds),
            },
        )

    return Link(connect, lambda connection: connection.terminate())


def milliseconds(seconds: float) -> str:
    """Write a duration as Postgres settings want it."""
    return str(max(1, round(seconds * 1000)))


class PostgresCollector(Collector):
    """Watches one database.

    Args:
        target: Which.
        link: Made by `link_to` for the same target.

    Attributes:
        target: Which.
    """

    metrics = (catalog.POSTGRES_CONNECTIONS, catalog.POSTGRES_MAX_CONNECTIONS, catalog.POSTGRES_SIZE)
    up = catalog.POSTGRES_UP
    errors = ERRORS

    def __init__(self, target: Postgres, link: PostgresLink) -> None:
        name = f"postgres/{target.name}"
        super().__init__(
            Schedule(
                name=name, interval_seconds=target.interval_seconds, timeout_seconds=target.timeout_seconds
            ),
            link,
            origin=(target,),
        )
        self._link = link
        self.target = target
        self.up_labels = (target.name,)

    async def collect(self) -> Report:
        """Ask for limits, size and connections."""
        connection = await self._link.get()
        async with connection.transaction(readonly=True):
            limits = await connection.fetchrow(_LIMITS)
            states = await connection.fetch(_CONNECTIONS)
        assert limits is not None  # noqa: S101 - a SELECT without FROM gives one row
        database = self.up_labels[0]
        by_state = dict.fromkeys(catalog.POSTGRES_STATES, 0) | {
            row["state"]: row["connections"] for row in states
        }
        return Report(
            {
                catalog.POSTGRES_CONNECTIONS.name: {
                    (database, state): float(number) for state, number in by_state.items()
                },
                catalog.POSTGRES_MAX_CONNECTIONS.name: {(database,): float(limits["max_connections"])},
                catalog.POSTGRES_SIZE.name: {(database,): float(limits["size_bytes"])},
            }
        )
