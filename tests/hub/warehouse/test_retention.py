"""What is too old is gone, for each tenant in its own time, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from claw_hub.errors import HubError
from claw_hub.warehouse.connection import Server
from claw_hub.warehouse.isolation import tenant_tables
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.packaged import migration_texts
from claw_hub.warehouse.retention import POLICIES, Policy, Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claw_hub.warehouse.testing import EmbeddedProcess

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0)
TIMELINE = (Policy(table="stg_timeline", column="ts", keep_days=100),)
DEFAULT, SHORT, LONG = 1, 2, 3


@pytest.fixture
async def server(warehouse: EmbeddedProcess, database: str) -> AsyncIterator[Server]:
    server = Server(warehouse.url, password_file=warehouse.password_file)
    await migrate(server, database=database)
    yield server
    await server.close()


async def fill(server: Server, database: str, days: range) -> None:
    """A row of each tenant for each day back, a microsecond before the midnight that ends it."""
    for tenant in (DEFAULT, SHORT, LONG):
        times = [MIDNIGHT - timedelta(days=day, microseconds=1) for day in days]
        columns = {
            "tenant_id": pa.array([tenant] * len(times), pa.uint32()),
            "ts": pa.array(times, pa.timestamp("us", "UTC")),
            "event_id": pa.array([day.to_bytes(16, "big") for day in days], pa.binary(16)),
        }
        await server.insert("stg_timeline", pa.table(columns), database=database)


async def ages(server: Server, database: str) -> dict[int, tuple[int, float]]:
    """Tenant -> (rows, age in days of the oldest, from midnight)."""
    rows = await server.query(
        "SELECT tenant_id, count() AS n, min(ts) AS oldest FROM stg_timeline GROUP BY tenant_id",
        database=database,
    )
    return {row["tenant_id"]: (row["n"], (MIDNIGHT - row["oldest"]) / timedelta(days=1)) for row in rows}


async def test_each_tenant_keeps_its_rows_as_long_as_it_says(server: Server, database: str) -> None:
    await fill(server, database, range(200))
    retention = Retention(executor=server, database=database, policies=TIMELINE)
    (done,) = await retention.run(now=NOW, tenants={DEFAULT: None, SHORT: 10, LONG: 150})
    left = await ages(server, database)
    assert {tenant: rows for tenant, (rows, _) in left.items()} == {DEFAULT: 100, SHORT: 10, LONG: 150}
    assert {tenant: round(age) for tenant, (_, age) in left.items()} == {DEFAULT: 99, SHORT: 9, LONG: 149}
    assert done.left_rows == 0
    assert len(done.dropped_partitions) >= 1
    assert done.deleted_rows > 0


async def test_a_partition_that_is_old_for_all_is_dropped_and_not_rewritten(
    server: Server, database: str
) -> None:
    await fill(server, database, range(300, 330))
    (done,) = await Retention(executor=server, database=database, policies=TIMELINE).run(now=NOW, tenants={})
    assert (done.deleted_rows, await ages(server, database)) == (0, {})
    assert set(done.dropped_partitions) == {"202512", "202601"}


async def test_what_is_young_enough_stays_untouched(server: Server, database: str) -> None:
    await fill(server, database, range(10))
    (done,) = await Retention(executor=server, database=database, policies=TIMELINE).run(
        now=NOW, tenants={SHORT: 10}
    )
    assert (done.dropped_partitions, done.deleted_rows, done.left_rows) == ((), 0, 0)
    assert {rows for rows, _ in (await ages(server, database)).values()} == {10}


async def test_it_runs_over_all_tables_and_again(server: Server, database: str) -> None:
    await fill(server, database, range(390, 410))
    retention = Retention(executor=server, database=database)
    done = {one.table: one for one in await retention.run(now=NOW, tenants={SHORT: 30})}
    assert done.keys() == {policy.table for policy in POLICIES}
    assert all(one.left_rows == 0 for one in done.values())
    again = await retention.run(now=NOW, tenants={SHORT: 30})
    assert all((one.deleted_rows, one.dropped_partitions) == (0, ()) for one in again)


def test_every_table_of_tenants_has_a_policy() -> None:
    assert {policy.table for policy in POLICIES} == tenant_tables(migration_texts().values())


def test_a_tenant_shortens_every_time_and_lengthens_only_some() -> None:
    raw = Policy(table="t", column="c", keep_days=7, is_extendable=False)
    usage = Policy(table="t", column="c", keep_days=100)
    assert [raw.days(days) for days in (None, 3, 30)] == [7, 3, 7]
    assert [usage.days(days) for days in (None, 3, 300)] == [100, 3, 300]


async def test_a_deletion_that_does_not_happen_is_noticed(server: Server, database: str) -> None:
    class Liar:
        async def execute(self, sql: str, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any
            return [] if "ALTER" in sql else await server.execute(sql, **options)

    await fill(server, database, range(99, 102))
    with pytest.raises(HubError, match="6 rows of stg_timeline"):
        await Retention(executor=Liar(), database=database, policies=TIMELINE).run(now=NOW, tenants={})
