"""A ClickHouse server, or the embedded warehouse of another process: the same to who asks over HTTP."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import orjson
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager

from claw_hub.errors import HubError, QueryTimeoutError, UnavailableError
from claw_hub.warehouse.sql import tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

__all__ = ["Executor", "Server"]

_T = TypeVar("_T")

_TOOK_TOO_MUCH: Final = frozenset({159, 160, 241, 396})
"""Time, predicted time, memory, size of the result."""

_AWAY: Final = frozenset(
    {74, 75, 76, 164, 192, 193, 194, 202, 203, 209, 210, 212, 236, 242, 243, 252, 319, 335, 373, 394, 439}
    | {499, 516, 517, 518, 579, 668, 700, 745, 999}
)
"""What is wrong with the server, not with what it was told: disk, parts, load, credentials, shutdown."""

_CONNECT_SECONDS: Final = 5
_TOO_MANY_PARTITIONS: Final = "partitions for single INSERT"


class Executor(Protocol):
    """Who runs statements that define and maintain: a `Server`, or an `Embedded` in the same process."""

    async def execute(
        self,
        sql: str,
        *,
        database: str = "",
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Runs one statement; returns its rows as JSON has them.

        Raises:
            HubError: It failed.
        """
        ...


class Server:
    """Asks one server, from threads of its own.

    Args:
        url: Such as ``http://localhost:8123``; may bring a user and a password.
        user: Who asks, where the address does not say.
        password_file: Holds the password, read when the connection is made.
        threads: Requests at a time; more wait.
        timeout_seconds: For the answer of one; the engine is told less, so that it ends first.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str = "default",
        password_file: Path | None = None,
        threads: int = 8,
        timeout_seconds: float = 60.0,
    ) -> None:
        self._url = urlsplit(url)
        self._user = user
        self._password_file = password_file
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(threads, "warehouse-client")
        self._http = get_pool_manager(maxsize=threads)
        self._client: Client | None = None
        self._connecting = threading.Lock()

    async def query(
        self,
        sql: str,
        *,
        database: str = "",
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Runs a SELECT; returns its rows, with times in UTC.

        Raises:
            QueryTimeoutError: It would take longer, or more memory, than it may.
            UnavailableError: The server is away, or overloaded.
            HubError: The statement is wrong.
        """

        def ask(client: Client) -> list[dict[str, Any]]:
            result = client.query(
                sql, parameters=dict(parameters or {}), settings=_within(database, settings), tz_mode="aware"
            )
            return list(result.named_results())

        return await self._call(ask)

    async def execute(
        self,
        sql: str,
        *,
        database: str = "",
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Runs any statement; returns its rows as JSON has them (times are text).

        Raises:
            HubError: As `query`.
        """
        quoting = {"output_format_json_quote_64bit_integers": "0", **(settings or {})}

        def ask(client: Client) -> list[dict[str, Any]]:
            given = _within(database, quoting)
            if next(tokens(sql)).upper == "INSERT":
                client.command(sql, parameters=dict(parameters or {}), settings=given)
                return []
            body = client.raw_query(sql, dict(parameters or {}), given, "JSONEachRow")
            return [orjson.loads(line) for line in body.splitlines()]

        return await self._call(ask)

    async def insert(
        self, table: str, rows: pa.Table, *, database: str = "", settings: Mapping[str, str] | None = None
    ) -> None:
        """Inserts rows in one statement; returns when they are durable.

        Raises:
            UnavailableError: Some of the rows, or none, are there; the same insert has to be made again.
            HubError: The rows are not what the table takes; made again, it fails again.
        """

        def ask(client: Client) -> None:
            client.insert_arrow(table, rows, settings=_within(database, settings))

        await self._call(ask)

    async def arrow(
        self,
        sql: str,
        *,
        database: str = "",
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """Runs a SELECT; returns its rows as a table.

        Raises:
            HubError: As `query`.
        """

        def ask(client: Client) -> pa.Table:
            return client.query_arrow(sql, dict(parameters or {}), _within(database, settings))

        return await self._call(ask)

    async def close(self) -> None:
        """Waits for what runs, and lets go of connections."""
        await asyncio.to_thread(self._pool.shutdown)
        if self._client is not None:
            self._client.close()
        self._http.clear()

    async def _call(self, ask: Callable[[Client], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._asked, ask)

    def _asked(self, ask: Callable[[Client], _T]) -> _T:
        try:
            return ask(self._connected())
        except ClickHouseError as error:
            raise _translated(error) from error
        except OSError as error:
            raise UnavailableError(f"the warehouse is away: {error}") from error

    def _connected(self) -> Client:
        # Connecting asks the server already, so it waits until there is something to ask.
        if self._client is None:
            if not self._connecting.acquire(timeout=_CONNECT_SECONDS):
                raise UnavailableError("the warehouse is away: it does not answer")
            try:
                self._client = self._client or self._connect()
            finally:
                self._connecting.release()
        return self._client

    def _connect(self) -> Client:
        password = unquote(self._url.password or "")
        if self._password_file is not None:
            password = self._password_file.read_text(encoding="utf-8").strip()
        return clickhouse_connect.get_client(
            interface=self._url.scheme or "http",
            host=self._url.hostname or "localhost",
            port=self._url.port or (8443 if self._url.scheme == "https" else 8123),
            username=unquote(self._url.username or self._user),
            password=password,
            # Requests of several threads would be refused within one session.
            autogenerate_session_id=False,
            compress=False,
            query_retries=0,
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=int(self._timeout_seconds) + 1,
            pool_mgr=self._http,
        )


def _within(database: str, settings: Mapping[str, str] | None) -> dict[str, Any]:
    return {**({"database": database} if database else {}), **(settings or {})}


def _translated(error: ClickHouseError) -> HubError:
    code, words = getattr(error, "code", None), str(error)
    if code in _TOOK_TOO_MUCH:
        return QueryTimeoutError(
            f"the warehouse was asked for more than a query may take; ask for less: {words}"
        )
    if _TOO_MANY_PARTITIONS in words:
        return HubError(f"the rows of one insert are spread over too many months or days: {words}")
    if code in _AWAY or not code or isinstance(error, OperationalError):
        return UnavailableError(f"the warehouse is away or overloaded: {words}")
    return HubError(f"the warehouse refuses: {words}")
