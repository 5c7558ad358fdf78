"""Days in Parquet files: in them is what the warehouse had, as DuckDB reads them, and they come back."""

from __future__ import annotations

import dataclasses
import random
import threading
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - Starlette reads the annotations of handlers
from starlette.responses import Response
from starlette.routing import Route

from claw_hub.errors import HubError, NotFoundError, QueryTimeoutError, SettingsError
from claw_hub.warehouse.archive import Archive, open_store
from claw_hub.warehouse.connection import Server
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.retention import POLICIES, Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from claw_hub.warehouse.testing import EmbeddedProcess

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
FIRST = datetime(2026, 11, 10, tzinfo=UTC)
USAGE = tuple(policy for policy in POLICIES if policy.table == "stg_usage")
SUMS = (
    "intDiv(toUnixTimestamp64Micro(ts), 86400000000) AS day, count() AS rows, sum(input_tokens) AS input, "
    "sum(cost_nano_usd) AS cost, min(toUnixTimestamp64Micro(ts)) AS first, uniqExact(event_id) AS events"
)
SUMS_OF_DUCKDB = (
    "epoch_us(ts) // 86400000000, count(*), sum(input_tokens), sum(cost_nano_usd), min(epoch_us(ts)), "
    "count(DISTINCT event_id)"
)


@pytest.fixture
async def server(warehouse: EmbeddedProcess, database: str) -> AsyncIterator[Server]:
    server = Server(warehouse.url, password_file=warehouse.password_file)
    await migrate(server, database=database)
    yield server
    await server.close()


@pytest.fixture
def archive(server: Server, database: str, tmp_path: Path) -> Archive:
    return Archive(server=server, store=open_store(f"file://{tmp_path}/archive"), database=database)


def usage(count: int, *, seed: int, start: datetime = FIRST, days: int = 5) -> pa.Table:
    chosen = random.Random(seed)
    times = [start + timedelta(microseconds=chosen.randrange(days * 86_400_000_000)) for _ in range(count)]
    return pa.table(
        {
            "tenant_id": pa.array([chosen.randrange(3) for _ in range(count)], pa.uint32()),
            "ts": pa.array(times, pa.timestamp("us", "UTC")),
            "event_id": pa.array([chosen.randbytes(16) for _ in range(count)], pa.binary(16)),
            "project_id": pa.array([f"Projekt ☃ {n % 7}" for n in range(count)]).dictionary_encode(),
            "input_tokens": pa.array([chosen.randrange(2**32) for _ in range(count)], pa.uint32()),
            "cost_nano_usd": pa.array([chosen.randrange(2**40) for _ in range(count)], pa.uint64()),
            "cost_source": pa.array([("client", "priced")[n % 2] for n in range(count)]),
            "origin": pa.array(["json"] * count),
            "ver": pa.array([1] * count, pa.uint64()),
        }
    )


async def sums(server: Server, database: str) -> list[tuple[object, ...]]:
    """One row for each day."""
    sql = f"SELECT {SUMS} FROM stg_usage FINAL GROUP BY day ORDER BY day"  # noqa: S608
    return [tuple(row.values()) for row in await server.query(sql, database=database)]


async def test_an_archive_has_what_the_warehouse_had(
    server: Server, database: str, archive: Archive, tmp_path: Path
) -> None:
    rows = usage(20_000, seed=1)
    for _ in range(2):  # delivered twice
        await server.insert("stg_usage", rows, database=database)
    done = await archive.run(USAGE, older_than_days=2, now=NOW)
    assert [one.day for one in done] == [date(2026, 11, 10) + timedelta(days=n) for n in range(5)]
    assert sum(one.rows for one in done) == 20_000
    with duckdb.connect() as duck:
        files = f"{tmp_path}/archive/{database}/stg_usage/*.parquet"
        sql = f"SELECT {SUMS_OF_DUCKDB} FROM '{files}' GROUP BY 1 ORDER BY 1"  # noqa: S608
        assert duck.execute(sql).fetchall() == await sums(server, database)


async def test_rows_that_are_too_many_at_once_are_archived_in_parts(
    server: Server, database: str, archive: Archive
) -> None:
    rows = usage(400, seed=1, days=1)
    close = [FIRST + timedelta(seconds=7, microseconds=n) for n in range(400)]
    rows = rows.set_column(1, "ts", pa.array(close, pa.timestamp("us", "UTC")))
    await server.insert("stg_usage", rows, database=database)
    small = dataclasses.replace(archive, max_chunk_bytes=60_000)
    (done,) = await small.run(USAGE, older_than_days=2, now=NOW)
    assert done.rows == 400
    await server.insert("stg_usage", usage(400, seed=2, days=1), database=database)
    (done,) = await small.run(USAGE, older_than_days=2, now=NOW)
    assert done.rows == 800
    assert await archive.restore("stg_usage", done.day, into=database) == 800


async def test_a_single_second_that_is_too_much_is_an_error(
    server: Server, database: str, archive: Archive
) -> None:
    await server.insert("stg_usage", usage(1, seed=1, days=1), database=database)
    with pytest.raises(QueryTimeoutError):
        await dataclasses.replace(archive, max_chunk_bytes=1).run(USAGE, older_than_days=2, now=NOW)


async def test_an_archived_day_is_not_archived_again_but_where_rows_came_late(
    server: Server, database: str, archive: Archive
) -> None:
    await server.insert("stg_usage", usage(500, seed=1), database=database)
    assert len(await archive.run(USAGE, older_than_days=2, now=NOW)) == 5
    assert await archive.run(USAGE, older_than_days=2, now=NOW) == []
    late = usage(10, seed=2, days=1)
    await server.insert("stg_usage", late, database=database)
    (again,) = await archive.run(USAGE, older_than_days=2, now=NOW)
    assert again.day == date(2026, 11, 10)


async def test_days_that_are_not_over_long_enough_stay(
    server: Server, database: str, archive: Archive
) -> None:
    start = datetime(2026, 11, 17, tzinfo=UTC)
    await server.insert("stg_usage", usage(500, seed=1, start=start), database=database)
    done = await archive.run(USAGE, older_than_days=2, now=NOW)
    assert [one.day.day for one in done] == [17, 18]


async def test_what_was_deleted_comes_back_into_a_database_of_its_own(
    server: Server, database: str, archive: Archive
) -> None:
    await server.insert("stg_usage", usage(2_000, seed=3), database=database)
    wanted = await sums(server, database)
    done = await archive.run(USAGE, older_than_days=2, now=NOW)
    later = NOW + timedelta(days=3_000)
    await Retention(executor=server, database=database, policies=USAGE).run(now=later, tenants={})
    assert await sums(server, database) == []
    assert await archive.run(USAGE, older_than_days=2, now=later) == []
    restored = f"{database}_restored"
    await migrate(server, database=restored)
    for _ in range(2):  # again, after it was cut off
        rows = [await archive.restore("stg_usage", one.day, into=restored) for one in done]
    assert (sum(rows), await sums(server, restored)) == (2_000, wanted)
    (row,) = await server.query(
        "SELECT groupUniqArray(cost_source) AS a, any(origin) AS b, any(project_id) AS c FROM stg_usage",
        database=restored,
    )
    assert (sorted(row["a"]), row["b"], row["c"][:9]) == (["client", "priced"], "json", "Projekt ☃")
    await server.execute(f"DROP DATABASE {restored}")


async def test_every_table_goes_there_and_back(server: Server, database: str, archive: Archive) -> None:
    yesterday = NOW - timedelta(days=5)
    for policy in POLICIES:
        columns, day = f"tenant_id, {policy.column}", f"{yesterday:%Y-%m-%d %H:%M:%S}"
        sql = f"INSERT INTO {policy.table} ({columns}) VALUES (7, '{day}')"  # noqa: S608
        await server.execute(sql, database=database)
    done = await archive.run(POLICIES, older_than_days=2, now=NOW)
    assert {one.table for one in done} == {policy.table for policy in POLICIES}
    restored = f"{database}_restored"
    await migrate(server, database=restored)
    for one in done:
        await archive.restore(one.table, one.day, into=restored)
        sql = f"SELECT * FROM {one.table}"  # noqa: S608
        assert await server.query(sql, database=restored) == await server.query(sql, database=database)
    await server.execute(f"DROP DATABASE {restored}")


async def test_a_day_that_is_not_there_is_an_error(archive: Archive) -> None:
    with pytest.raises(NotFoundError, match="is not in the archive"):
        await archive.restore("stg_usage", date(2020, 1, 1), into="default")
    with pytest.raises(NotFoundError, match="has nothing of"):
        await archive.write(USAGE[0], date(2020, 1, 1))


async def test_an_archive_that_was_not_written_to_its_end_is_not_one(
    server: Server, database: str, archive: Archive, tmp_path: Path
) -> None:
    await server.insert("stg_usage", usage(100, seed=1, days=1), database=database)
    (done,) = await archive.run(USAGE, older_than_days=2, now=NOW)
    manifest = tmp_path / "archive" / database / "stg_usage" / f"{done.day}.json"
    written = manifest.read_text()
    manifest.unlink()
    with pytest.raises(NotFoundError):
        await archive.restore("stg_usage", done.day, into=database)
    assert await archive.run(USAGE, older_than_days=2, now=NOW) == [done]
    manifest.write_text(written.replace('"rows":100', '"rows":101'))
    with pytest.raises(HubError, match="is damaged"):
        await archive.restore("stg_usage", done.day, into=database)


@pytest.mark.parametrize("url", ["nowhere", "ftp://host/x", "file:///dev/null/x"])
def test_an_odd_place_for_archives_is_refused_with_examples(url: str) -> None:
    with pytest.raises(SettingsError, match=r"is no place for archives .* s3://bucket/folder"):
        open_store(url)


class Bucket:
    """As much of S3 as an archive needs, over real HTTP."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def handle(self, request: Request) -> Response:
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
        if request.method == "PUT":
            self.objects[request.url.path] = await request.body()
            return Response(headers={"ETag": '"1"'})
        if request.url.path not in self.objects:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404)
        headers = {"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 12:00:00 GMT"}
        return Response(self.objects[request.url.path], headers=headers)


@pytest.fixture
def bucket(free_port: Callable[[], int]) -> Iterator[tuple[Bucket, str]]:
    bucket = Bucket()
    app = Starlette(routes=[Route("/{path:path}", bucket.handle, methods=["GET", "HEAD", "PUT"])])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield bucket, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


async def test_an_archive_may_be_in_s3(server: Server, database: str, bucket: tuple[Bucket, str]) -> None:
    s3, endpoint = bucket
    options = {"access_key_id": "key", "secret_access_key": "secret", "region": "here"}
    store = open_store("s3://bucket/folder", endpoint=endpoint, **options)
    archive = Archive(server=server, store=store, database=database)
    await server.insert("stg_usage", usage(500, seed=1, days=1), database=database)
    (done,) = await archive.run(USAGE, older_than_days=2, now=NOW)
    name = f"/bucket/folder/{database}/stg_usage/{done.day}"
    assert s3.objects.keys() == {f"{name}.parquet", f"{name}.json"}
    assert len(s3.objects[f"{name}.parquet"]) == done.bytes
    assert await archive.run(USAGE, older_than_days=2, now=NOW) == []
    assert await archive.restore("stg_usage", done.day, into=database) == 500
