"""The one way to the warehouse, over the embedded one and its real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from claw_hub.errors import HubError, QueryTimeoutError, UnavailableError
from claw_hub.warehouse.client import Warehouse
from claw_hub.warehouse.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from claw_hub.warehouse.testing import EmbeddedProcess

NOON = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
QUERIES = {
    "api/rows": "-- of one tenant\nSELECT event_id, ts, event_type, message FROM stg_timeline "
    "WHERE tenant_id = {tenant_id:UInt32} AND ts >= {start:DateTime64(6, 'UTC')} ORDER BY ts",
    "api/hours": "SELECT count() AS n FROM mart_usage_hour "
    "WHERE tenant_id = {tenant_id:UInt32} AND hour >= {start:DateTime('UTC')} SETTINGS max_threads = 1",
    "api/leak": "SELECT * FROM stg_timeline WHERE ts > now() - {tenant_id:UInt32}",
    "api/unbound": "SELECT * FROM stg_timeline",
    "api/slow": "SELECT sum(number) AS n FROM numbers(1000000000000) WHERE number > {tenant_id:UInt32}",
    "api/large": "SELECT groupArray(number) AS n FROM numbers(90000000) WHERE number > {tenant_id:UInt32}",
    "api/wrong": "SELECT nothing FROM stg_timeline WHERE tenant_id = {tenant_id:UInt32}",
    "worker/all": "SELECT tenant_id, count() AS n FROM stg_timeline FINAL "
    "GROUP BY tenant_id ORDER BY tenant_id",
    "worker/copy": "-- writes\nINSERT INTO quarantine (tenant_id, kind, entry_id) "
    "SELECT tenant_id, {kind:String}, 'x' FROM stg_timeline WHERE tenant_id IN {tenants:Array(UInt32)}",
    "worker/copied": "SELECT tenant_id, kind FROM quarantine ORDER BY tenant_id",
}


@pytest.fixture
async def store(warehouse: EmbeddedProcess, database: str) -> AsyncIterator[Warehouse]:
    store = Warehouse(
        warehouse.url,
        database=database,
        queries=QUERIES,
        max_execution_seconds=1,
        max_memory_bytes=100_000_000,
        password_file=warehouse.password_file,
    )
    await migrate(store.server, database=database)
    yield store
    await store.close()


def timeline(tenant_id: int, count: int = 1, **columns: object) -> pa.Table:
    """Rows as the worker makes them: `count` of them, a microsecond apart."""
    given = {
        "tenant_id": pa.array([tenant_id] * count, pa.uint32()),
        "ts": pa.array([NOON + timedelta(microseconds=n) for n in range(count)], pa.timestamp("us", "UTC")),
        "event_id": pa.array([n.to_bytes(16, "big") for n in range(count)], pa.binary(16)),
        "event_type": pa.array(["started"] * count).dictionary_encode(),
        "message": pa.array(["a; 'message' ☃\n"] * count),
        "ver": pa.array([1] * count, pa.uint64()),
    }
    return pa.table({**given, **columns})


async def test_rows_come_back_as_they_were_inserted(store: Warehouse) -> None:
    await store.insert("stg_timeline", timeline(7))
    assert await store.query("api/rows", tenant_id=7, start=NOON) == [
        {"event_id": bytes(16), "ts": NOON, "event_type": "started", "message": "a; 'message' ☃\n"}
    ]


async def test_a_tenant_sees_its_own_rows_only(store: Warehouse) -> None:
    await store.insert("stg_timeline", timeline(7, 3))
    await store.insert("stg_timeline", timeline(8, 2))
    assert len(await store.query("api/rows", tenant_id=7, start=NOON)) == 3
    assert len(await store.query("api/rows", tenant_id=8, start=NOON)) == 2
    assert await store.query("api/rows", tenant_id=9, start=NOON) == []


async def test_times_are_bound_in_utc_to_the_microsecond(store: Warehouse) -> None:
    await store.insert("stg_timeline", timeline(7, 3))
    for start in (NOON, NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=8)))):
        later = start + timedelta(microseconds=1)
        assert len(await store.query("api/rows", tenant_id=7, start=later)) == 2
    assert await store.query("api/hours", tenant_id=7, start=NOON) == [{"n": 0}]


async def test_the_same_rows_twice_are_the_same_rows(store: Warehouse) -> None:
    for _ in range(2):
        await store.insert("stg_timeline", timeline(7, 5))
    assert await store.system("worker/all") == [{"tenant_id": 7, "n": 5}]


async def test_statements_about_all_tenants_may_write(store: Warehouse) -> None:
    for tenant_id in (7, 8, 9):
        await store.insert("stg_timeline", timeline(tenant_id))
    assert await store.system("worker/copy", kind="it's", tenants=[7, 9]) == []
    rows = [{"tenant_id": 7, "kind": "it's"}, {"tenant_id": 9, "kind": "it's"}]
    assert await store.system("worker/copied") == rows


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("api/leak", "without tenant_id"),
        ("api/unbound", r"does not bind \{tenant_id:UInt32\}"),
        ("worker/copied", "does not bind"),
        ("api/nothing", "no statement 'api/nothing'"),
        ("api/rows", r"takes \['start', 'tenant_id'\], not \['tenant_id'\]"),
        ("api/wrong", "UNKNOWN_IDENTIFIER"),
    ],
)
async def test_a_statement_that_is_not_sound_is_not_run(store: Warehouse, name: str, words: str) -> None:
    with pytest.raises(HubError, match=words):
        await store.query(name, tenant_id=7)


async def test_a_statement_that_ran_for_all_is_still_not_run_for_one(store: Warehouse) -> None:
    await store.system("worker/copied")
    with pytest.raises(HubError, match="does not bind"):
        await store.query("worker/copied", tenant_id=7)


async def test_only_statements_of_the_worker_run_for_all(store: Warehouse) -> None:
    with pytest.raises(HubError, match="not a statement about all tenants"):
        await store.system("api/rows", tenant_id=7)


@pytest.mark.parametrize("name", ["api/slow", "api/large"])
async def test_what_takes_too_much_is_ended(store: Warehouse, name: str) -> None:
    with pytest.raises(QueryTimeoutError):
        await store.query(name, tenant_id=7)


@pytest.mark.parametrize(
    "rows",
    [
        timeline(7).rename_columns(["tenant_id", "ts", "event_id", "event_type", "message", "nothing"]),
        timeline(7, event_id=pa.array([b"short and long" * 9])),
        timeline(7, ver=pa.array(["text"])),
    ],
)
async def test_rows_that_do_not_fit_are_an_error_for_good(store: Warehouse, rows: pa.Table) -> None:
    with pytest.raises(HubError) as caught:
        await store.insert("stg_timeline", rows)
    assert type(caught.value) is HubError


async def test_rows_of_more_months_than_an_insert_may_have_are_an_error_for_good(store: Warehouse) -> None:
    months = [datetime(1971 + n // 12, 1 + n % 12, 1, tzinfo=UTC) for n in range(1_200)]
    rows = timeline(7, 1_200, ts=pa.array(months, pa.timestamp("us", "UTC")))
    with pytest.raises(HubError, match="too many months") as caught:
        await store.insert("stg_timeline", rows)
    assert type(caught.value) is HubError


async def test_a_warehouse_that_is_away_is_unavailable_and_found_again(
    tmp_path: Path, free_port: Callable[[], int], embedded_process: Callable[..., EmbeddedProcess]
) -> None:
    process = embedded_process(tmp_path / "data", free_port())
    store = Warehouse(process.url, queries=QUERIES)
    try:
        with pytest.raises(UnavailableError):
            await store.query("api/rows", tenant_id=7, start=NOON)
        process.start()
        await migrate(store.server, database="claw")
        await store.insert("stg_timeline", timeline(7))
        process.kill()
        with pytest.raises(UnavailableError):
            await store.insert("stg_timeline", timeline(7, 2))
        process.start()
        assert len(await store.query("api/rows", tenant_id=7, start=NOON)) == 1
    finally:
        await store.close()
        process.stop()


async def test_a_wrong_password_is_unavailable(warehouse: EmbeddedProcess, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    store = Warehouse(warehouse.url, queries=QUERIES, password_file=tmp_path / "password")
    with pytest.raises(UnavailableError, match="516"):
        await store.query("api/rows", tenant_id=7, start=NOON)
    await store.close()
