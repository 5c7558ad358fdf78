"""Copies days that are over to Parquet files, in a directory or in S3, and reads them back.

A day of a table is ``<database>/<table>/<day>.parquet`` and, written after it, ``<day>.json`` with what is in
it: a day without the second is not archived. Any program that reads Parquet reads the first.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import obstore
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import from_url

from claw_hub.errors import HubError, NotFoundError, QueryTimeoutError, SettingsError
from claw_hub.warehouse.packaged import query_texts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from obstore.store import ObjectStore

    from claw_hub.warehouse.connection import Server
    from claw_hub.warehouse.retention import Policy

__all__ = ["Archive", "Archived", "open_store"]

_SHORTEST: Final = timedelta(seconds=1)
_RESTORED_ROWS: Final = 50_000
_SETTINGS: Final = {"max_execution_time": "600", "output_format_arrow_string_as_string": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """A day of a table that is in the archive.

    Attributes:
        table: Its name.
        day: Which, in UTC.
        rows: How many, each once.
        bytes: Size of the file.
    """

    table: str
    day: date
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Writes and reads archives of one warehouse.

    Attributes:
        server: The warehouse.
        store: Where the files go; `open_store` makes one.
        database: Where the tables are.
        max_chunk_bytes: Of rows that are in memory at a time, as the warehouse counts them.
    """

    server: Server
    store: ObjectStore
    database: str = "claw"
    max_chunk_bytes: int = 64_000_000

    async def run(self, policies: Sequence[Policy], *, older_than_days: int, now: datetime) -> list[Archived]:
        """Archives each day that is old enough and not archived; returns those.

        A day that has more rows than its archive, because some came late, is archived again; one that has
        fewer, because a tenant's were deleted, is not.

        Args:
            policies: Their tables and columns.
            older_than_days: Days between the end of a day and today's midnight, UTC.
            now: The time.

        Raises:
            UnavailableError: The warehouse is away.
            HubError: It refuses, or the store does.
        """
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        before = midnight - timedelta(days=older_than_days)
        return [
            await self.write(policy, day)
            for policy in policies
            for day, rows in await self._days(policy, before)
            if rows > await self._known_rows(policy.table, day)
        ]

    async def write(self, policy: Policy, day: date) -> Archived:
        """Archives one day of a table, anew where it was archived before.

        Raises:
            UnavailableError: The warehouse is away.
            HubError: It refuses, or the store does.
        """
        with TemporaryDirectory() as folder:
            file = Path(folder) / "day.parquet"
            rows = 0
            writer: pq.ParquetWriter | None = None
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            async for part in self._rows(policy, midnight, midnight + timedelta(days=1)):
                rows += part.num_rows
                writer = writer or pq.ParquetWriter(file, part.schema, compression="zstd")
                await asyncio.to_thread(writer.write_table, part)
            if writer is None:
                raise NotFoundError(f"{policy.table} has nothing of {day}")
            writer.close()
            done = Archived(table=policy.table, day=day, rows=rows, bytes=file.stat().st_size)
            await self._put(done, file)
        return done

    async def restore(self, table: str, day: date, *, into: str) -> int:
        """Inserts an archived day into the table of that name in another database; returns how many rows.

        Args:
            table: Its name.
            day: Which, in UTC.
            into: A database with the same tables, as `migrate` makes them; read it as any other. Rows that
                are there already stay there once.

        Raises:
            NotFoundError: This day is not archived.
            UnavailableError: The warehouse is away; to be restored again.
            HubError: The file is damaged, or the warehouse refuses.
        """
        known = await self._manifest(table, day)
        if known is None:
            raise NotFoundError(f"{day} of {table} is not in the archive")
        with TemporaryDirectory() as folder:
            file = Path(folder) / "day.parquet"
            await self._fetch(f"{self._name(table, day)}.parquet", file)
            read = await asyncio.to_thread(pq.ParquetFile, file)
            if read.metadata.num_rows != known["rows"]:
                raise HubError(f"the archive of {table} of {day} is damaged: it lacks rows; archive it again")
            for batch in read.iter_batches(_RESTORED_ROWS):
                await self.server.insert(table, pa.Table.from_batches([batch]), database=into)
        return int(known["rows"])

    async def _days(self, policy: Policy, before: datetime) -> list[tuple[date, int]]:
        parameters = {"table": policy.table, "column": policy.column, "before": _text(before)}
        sql = query_texts()["warehouse/archive_days"]
        rows = await self.server.execute(
            sql, database=self.database, parameters=parameters, settings=_SETTINGS
        )
        return [(date.fromisoformat(row["day"]), int(row["rows"])) for row in rows]

    async def _rows(self, policy: Policy, start: datetime, until: datetime) -> AsyncIterator[pa.Table]:
        """Yields the rows of a time; in halves, and halves of them, where they are too many at once."""
        times = {"start": _text(start), "until": _text(until)}
        try:
            rows = await self.server.arrow(
                query_texts()["warehouse/archive_rows"],
                database=self.database,
                parameters={"table": policy.table, "column": policy.column, **times},
                settings={**_SETTINGS, "max_result_bytes": str(self.max_chunk_bytes)},
            )
        except QueryTimeoutError:
            if until - start <= _SHORTEST:
                raise
        else:
            if rows.num_rows:
                yield rows
            return
        middle = start + (until - start) / 2
        for half in ((start, middle), (middle, until)):
            async for part in self._rows(policy, *half):
                yield part

    async def _known_rows(self, table: str, day: date) -> int:
        known = await self._manifest(table, day)
        return int(known["rows"]) if known else 0

    async def _manifest(self, table: str, day: date) -> Mapping[str, Any] | None:
        try:
            found = await obstore.get_async(self.store, f"{self._name(table, day)}.json")
            read: dict[str, Any] = orjson.loads(bytes(await found.bytes_async()))
        except FileNotFoundError:
            return None
        return read

    async def _put(self, done: Archived, file: Path) -> None:
        name = self._name(done.table, done.day)
        await obstore.put_async(self.store, f"{name}.parquet", file)
        await obstore.put_async(self.store, f"{name}.json", orjson.dumps(asdict(done)))

    async def _fetch(self, name: str, file: Path) -> None:
        found = await obstore.get_async(self.store, name)
        with file.open("wb") as written:
            async for chunk in found.stream():
                written.write(chunk)

    def _name(self, table: str, day: date) -> str:
        return f"{self.database}/{table}/{day.isoformat()}"


def open_store(url: str, **options: str) -> ObjectStore:
    """Opens where archives go.

    Args:
        url: Such as ``file:///var/lib/claw/archive`` (it is made), or ``s3://bucket/folder``.
        **options: Of the store, such as ``endpoint``; the rest comes from the environment (``AWS_...``).

    Raises:
        SettingsError: It is no such address.
    """
    # Each store has options of its own.
    given: dict[str, Any] = {"mkdir": True} if url.startswith("file://") else {**options}
    if options.get("endpoint", "").startswith("http://"):
        given["client_options"] = {"allow_http": True}
    try:
        store: ObjectStore = from_url(url, **given)
    except (ValueError, OSError, obstore.exceptions.BaseError) as error:
        words = str(error).partition("\n")[0]
        raise SettingsError(
            [f"{url!r} is no place for archives ({words}); examples: file:///var/archive, s3://bucket/folder"]
        ) from error
    return store


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S.%f}"
