"""The embedded warehouse is killed while it inserts: what it acknowledged is there, once."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from claw_hub.errors import UnavailableError
from claw_hub.warehouse.client import Warehouse
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.testing import EmbeddedProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 4
ROWS = 2_000
START = datetime(2026, 1, 1, tzinfo=UTC)
QUERIES = {
    "worker/batches": "SELECT project_id AS batch, count() AS n, sum(input_tokens) AS tokens "
    "FROM stg_usage FINAL GROUP BY batch",
}


def batch(number: int) -> pa.Table:
    """Rows over eight months: eight parts, which are not inserted at once or not at all."""
    times = [START + timedelta(days=30 * (n % 8), seconds=n) for n in range(ROWS)]
    return pa.table(
        {
            "tenant_id": pa.array([1] * ROWS, pa.uint32()),
            "ts": pa.array(times, pa.timestamp("us", "UTC")),
            "event_id": pa.array([f"{number:08}{n:08}".encode() for n in range(ROWS)], pa.binary(16)),
            "project_id": pa.array([str(number)] * ROWS),
            "input_tokens": pa.array(range(ROWS), pa.uint32()),
            "cost_source": pa.array(["none"] * ROWS),
            "origin": pa.array(["json"] * ROWS),
            "ver": pa.array([1] * ROWS, pa.uint64()),
        }
    )


async def insert_until_killed(store: Warehouse, first: int) -> int:
    """Returns the number of the batch that was not acknowledged."""
    number = first
    while True:
        try:
            await store.insert("stg_usage", batch(number))
        except UnavailableError:
            return number
        number += 1


async def test_no_acknowledged_row_is_lost_or_doubled_by_kills(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    process = EmbeddedProcess(tmp_path / "data", free_port())
    process.start()
    store = Warehouse(process.url, queries=QUERIES)
    await migrate(store.server)
    number = 0
    for _ in range(ROUNDS):
        inserting = asyncio.create_task(insert_until_killed(store, number))
        await asyncio.sleep(random.uniform(0.2, 0.8))  # the kill comes at any moment
        process.kill()
        number = await inserting
        await asyncio.to_thread(process.start)
    await store.insert("stg_usage", batch(number))
    rows = {row["batch"]: (row["n"], row["tokens"]) for row in await store.system("worker/batches")}
    await store.close()
    process.stop()
    assert number > ROUNDS
    assert rows == {str(one): (ROWS, sum(range(ROWS))) for one in range(number + 1)}
