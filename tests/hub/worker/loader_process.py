"""A worker as a process, for tests that kill it: ``loader_process.py REDIS WAREHOUSE DATABASE``."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from claw_hub.bus.redis_streams import RedisStreams, connect
from claw_hub.warehouse.client import Warehouse
from claw_hub.worker.knowledge import Knowledge
from claw_hub.worker.loader import Loader
from claw_hub.worker.marts import Marts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claw_hub.records import LiveEvent


@dataclass(frozen=True)
class Price:
    tenant_id: int | None = None
    model: str = "gpt-4"
    valid_from: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    valid_to: datetime | None = None
    input_usd_per_million: Decimal = Decimal("2.5")
    output_usd_per_million: Decimal = Decimal(10)
    cache_read_usd_per_million: Decimal | None = None
    cache_write_usd_per_million: Decimal | None = None


@dataclass(frozen=True)
class Tenant:
    naive_timezone: str = "UTC"


class Accounts:
    async def tenant(self, tenant_id: int) -> Tenant:
        del tenant_id
        return Tenant()

    async def prices(self) -> Sequence[Price]:
        return [Price()]


async def publish(_: Sequence[LiveEvent]) -> None:
    """Nobody watches."""


def count(_name: str, _amount: float, **_labels: object) -> None:
    """Nobody asks."""


async def main(redis_url: str, warehouse_url: str, database: str) -> None:
    warehouse = Warehouse(warehouse_url, database=database)
    marts = Marts(warehouse, clock=time.time, count=count)
    loader = Loader(
        RedisStreams(connect(redis_url)),
        warehouse,
        knowledge=Knowledge(Accounts(), clock=time.time),
        marts=marts,
        publish=publish,
        clock=time.time,
        count=count,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loader.run())
        tasks.create_task(marts.run(pause_seconds=0.2))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
