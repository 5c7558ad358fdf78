"""What the hub asks the warehouse: statements of ``clickhouse/queries``, each for one tenant, and inserts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from claw_hub.errors import HubError
from claw_hub.warehouse.connection import Server
from claw_hub.warehouse.isolation import TENANT, isolation_mistakes, tenant_tables
from claw_hub.warehouse.packaged import migration_texts, query_texts
from claw_hub.warehouse.sql import parameters as bound_parameters
from claw_hub.warehouse.sql import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

__all__ = ["Warehouse"]

_SYSTEM: Final = "worker/"
# A batch may bring late records; each month of them is a part of its own.
_INSERT_SETTINGS: Final = {"max_partitions_per_insert_block": "1000"}


class Warehouse:
    """The warehouse, as the worker and the API see it.

    Args:
        url: Of a ClickHouse server, or of the process that owns the embedded one.
        database: Where the tables are.
        queries: Name -> statement; those that are packaged by default.
        max_execution_seconds: For one statement.
        max_memory_bytes: The same.
        password_file: Holds the password, if there is one.
        threads: Requests at a time; more wait.

    Attributes:
        server: For migrations, retention and archives.
        database: Where the tables are.
    """

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        url: str,
        *,
        database: str = "claw",
        queries: Mapping[str, str] | None = None,
        max_execution_seconds: float = 10,
        max_memory_bytes: int = 2_000_000_000,
        password_file: Path | None = None,
        threads: int = 8,
    ) -> None:
        self.database = database
        self.server = Server(
            url,
            password_file=password_file,
            threads=threads,
            timeout_seconds=max_execution_seconds + 20,
        )
        self._queries = query_texts() if queries is None else queries
        self._tables = tenant_tables(migration_texts().values())
        self._settings = {
            "max_execution_time": str(max_execution_seconds),
            "max_memory_usage": str(max_memory_bytes),
            # Every table's identity has what its partitions are made of: no row has a twin in another one.
            "do_not_merge_across_partitions_select_final": "1",
        }
        self._known: dict[tuple[str, bool], dict[str, str]] = {}

    async def query(self, name: str, *, tenant_id: int, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Runs a SELECT for one tenant; returns its rows, with times in UTC.

        Args:
            name: Such as ``api/usage_summary``.
            tenant_id: Whose rows may be read.
            **parameters: For each further ``{name:Type}`` of the statement.

        Raises:
            QueryTimeoutError: It would take longer, or more memory, than it may.
            UnavailableError: The warehouse is away, or overloaded.
            HubError: There is no such statement, it could read what is another tenant's, or it fails.
        """
        sql, given = self._bound(name, {TENANT: tenant_id, **parameters}, for_tenant=True)
        # 2, not 1: statements may have settings of their own.
        settings = {**self._settings, "readonly": "2"}
        return await self.server.query(sql, database=self.database, parameters=given, settings=settings)

    async def system(self, name: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Runs a statement about all tenants, which may also write; returns its rows.

        Args:
            name: It begins with ``worker/``.
            **parameters: For each ``{name:Type}`` of the statement.

        Raises:
            HubError: As `query`.
        """
        if not name.startswith(_SYSTEM):
            raise HubError(f"{name!r} is not a statement about all tenants; those begin with {_SYSTEM!r}")
        sql, given = self._bound(name, parameters, for_tenant=False)
        first = next(tokens(sql)).upper
        ask = self.server.query if first in ("SELECT", "WITH") else self.server.execute
        return await ask(sql, database=self.database, parameters=given, settings=self._settings)

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Inserts rows in one statement; returns when they are durable.

        Raises:
            UnavailableError: Some of the rows, or none, are there; the same insert has to be made again.
            QueryTimeoutError: The same.
            HubError: The rows are not what the table takes; made again, it fails again.
        """
        await self.server.insert(
            table, rows, database=self.database, settings={**self._settings, **_INSERT_SETTINGS}
        )

    async def close(self) -> None:
        """Waits for what runs, and lets go of connections."""
        await self.server.close()

    def _bound(self, name: str, given: dict[str, Any], *, for_tenant: bool) -> tuple[str, dict[str, Any]]:
        sql = self._queries.get(name)
        if sql is None:
            raise HubError(f"there is no statement {name!r} in clickhouse/queries")
        known = name, for_tenant
        if known not in self._known:
            mistakes = isolation_mistakes(sql, self._tables) if for_tenant else []
            if mistakes:
                raise HubError(f"the statement {name!r} {'; it '.join(mistakes)}")
            self._known[known] = bound_parameters(tokens(sql))
        types = self._known[known]
        if types.keys() != given.keys():
            raise HubError(f"the statement {name!r} takes {sorted(types)}, not {sorted(given)}")
        return sql, {key: _encoded(value, types[key]) for key, value in given.items()}


def _encoded(value: Any, type_name: str) -> Any:  # noqa: ANN401 - of any type of the engine
    """Returns a time as the engine reads it; everything else as it is, for the client to encode."""
    if not isinstance(value, datetime):
        return value
    in_utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{in_utc:%Y-%m-%d %H:%M:%S.%f}" if "DateTime64" in type_name else f"{in_utc:%Y-%m-%d %H:%M:%S}"
