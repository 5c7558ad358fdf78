"""A real warehouse in a process of its own with a database for each test, a real Redis, and small fakes."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from claw_hub.bus import Delivered, Entry
from claw_hub.bus.redis_streams import RedisStreams, connect
from claw_hub.errors import HubError, NotFoundError, UnavailableError
from claw_hub.warehouse.client import Warehouse
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.testing import EmbeddedProcess
from claw_hub.worker.knowledge import Knowledge
from claw_hub.worker.loader import Loader
from claw_hub.worker.marts import Marts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    import pyarrow as pa
    from tests.hub.worker.test_pricing import Price

    from claw_hub.records import Kind, LiveEvent
    from claw_native.servers import Redis

NOON_US = 1_795_262_400_000_000  # 2026-11-21 12:00 UTC
NOON = NOON_US // 1_000_000
HOUR = 3600
_numbers = itertools.count()


@dataclass
class Clock:
    now: float = float(NOON)

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Tenant:
    naive_timezone: str = "UTC"


@dataclass
class Accounts:
    """Knows prices, and every tenant but those that are `missing`."""

    found: list[Price] = field(default_factory=list)
    zones: dict[int, str] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    error: HubError | None = None
    asked: int = 0

    async def tenant(self, tenant_id: int) -> Tenant:
        self._answer()
        if tenant_id in self.missing:
            raise NotFoundError(f"there is no tenant {tenant_id}")
        return Tenant(self.zones.get(tenant_id, "UTC"))

    async def prices(self) -> Sequence[Price]:
        self._answer()
        return self.found

    def _answer(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


@dataclass
class Refusing:
    """A warehouse that refuses what it is told to."""

    behind: Warehouse
    refuse: Callable[[str, pa.Table], HubError | None] = lambda _table, _rows: None
    inserts: int = 0

    async def insert(self, table: str, rows: pa.Table) -> None:
        self.inserts += 1
        error = self.refuse(table, rows)
        if error is not None:
            raise error
        await self.behind.insert(table, rows)

    async def system(self, name: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as there
        return await self.behind.system(name, **parameters)


@dataclass
class MemoryBus:
    """Gives out what is in `waiting`, with the number of deliveries that is asked for."""

    waiting: list[Delivered] = field(default_factory=list)
    done_ids: list[str] = field(default_factory=list)
    errors: list[HubError] = field(default_factory=list)

    async def append(self, entry: Entry) -> str:
        self.waiting.append(Delivered(id=f"{next(_numbers)}-0", entry=entry))
        return self.waiting[-1].id

    async def read(self, consumer: str, *, count: int, block_seconds: float) -> Sequence[Delivered]:
        del consumer, block_seconds
        if self.errors:
            raise self.errors.pop()
        return self.waiting[:count]

    async def done(self, delivered: Sequence[Delivered]) -> None:
        gone = {each.id for each in delivered}
        self.done_ids += gone
        self.waiting = [each for each in self.waiting if each.id not in gone]

    async def lag(self) -> Any:  # noqa: ANN401 - nobody asks
        raise NotImplementedError

    async def close(self) -> None:
        return


@dataclass
class Counts:
    """What was counted: name and the labels' values -> amount."""

    amounts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __call__(self, name: str, amount: float, **labels: object) -> None:
        self.amounts[name, *map(str, labels.values())] += int(amount)

    def of(self, name: str) -> int:
        return sum(amount for key, amount in self.amounts.items() if key[0] == name)


@dataclass
class Workshop:
    """A loader with all it needs."""

    warehouse: Refusing
    bus: MemoryBus | RedisStreams
    accounts: Accounts
    clock: Clock
    counts: Counts
    marts: Marts
    loader: Loader
    told: list[LiveEvent]
    pauses: list[float]

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        behind = self.warehouse.behind
        return await behind.server.query(sql, database=behind.database)

    async def size(self, table: str) -> int:
        return await self.number(f"SELECT count() FROM {table} FINAL")  # noqa: S608 - a test's own word

    async def paused(self, times: int) -> None:
        """Waits until the loader has paused so often."""
        while len(self.pauses) < times:  # noqa: ASYNC110 - the pauses are counted, nothing more
            await asyncio.sleep(0)

    async def number(self, sql: str) -> int:
        (row,) = await self.rows(sql)
        (value,) = row.values()
        return int(value)


@pytest.fixture(scope="session")
def _process(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[EmbeddedProcess]:
    with EmbeddedProcess(tmp_path_factory.mktemp("worker") / "data", free_port()) as process:
        yield process


@pytest.fixture
async def warehouse(_process: EmbeddedProcess) -> AsyncIterator[Warehouse]:
    """A warehouse with all tables, and nothing in them."""
    made = Warehouse(_process.url, database=f"worker_{next(_numbers)}")
    await migrate(made.server, database=made.database)
    yield made
    await made.server.execute(f"DROP DATABASE {made.database}")
    await made.close()


def assemble(
    warehouse: Warehouse,
    bus: MemoryBus | RedisStreams,
    publish: Callable[[Sequence[LiveEvent]], Awaitable[None]] | None = None,
) -> Workshop:
    clock, counts, accounts, told, pauses = Clock(), Counts(), Accounts(), list[Any](), list[float]()
    refusing = Refusing(warehouse)
    marts = Marts(refusing, clock=clock, count=counts)

    async def tell(events: Sequence[LiveEvent]) -> None:
        told.extend(events)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    loader = Loader(
        bus,
        refusing,
        knowledge=Knowledge(accounts, clock=clock),
        marts=marts,
        publish=publish or tell,
        clock=clock,
        count=counts,
        sleep=sleep,
    )
    return Workshop(refusing, bus, accounts, clock, counts, marts, loader, told, pauses)


@pytest.fixture
def shop(warehouse: Warehouse) -> Workshop:
    """A loader between a bus in memory and a real warehouse; its pauses are noted and not made."""
    return assemble(warehouse, MemoryBus())


@pytest.fixture
async def streams(redis_server: Redis) -> AsyncIterator[RedisStreams]:
    redis = connect(redis_server.url)
    await redis.flushall()
    bus = RedisStreams(redis)
    yield bus
    await bus.close()


def usage(**changes: object) -> dict[str, Any]:
    """As the seed's client sends it; each one is another."""
    number = next(_numbers)
    return {
        "timestamp": "2026-11-21T11:30:00Z",
        "agentscope_project_id": "proj-1",
        "agentscope_agent_id": "a1",
        "agent_name": "Strategy Agent",
        "model_name": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "cost_usd": 0.0123456789,
        "duration_ms": 1500.5,
        "span_id": f"span-{number}",
        **changes,
    }


def execution(**changes: object) -> dict[str, Any]:
    return {
        "execution_id": "e1",
        "agentscope_project_id": "proj-1",
        "agentscope_agent_id": "a1",
        "agent_name": "S",
        "node_id": "n",
        "round_index": 0,
        "start_time": "2026-11-21T11:30:00Z",
        "end_time": None,
        "duration_ms": None,
        "status": "running",
        "content": "",
        "error_message": "",
        "llm_calls": 0,
        "total_tokens": 0,
        "total_cost_usd": 0.0,
        **changes,
    }


def timeline(**changes: object) -> dict[str, Any]:
    return {
        "event_type": "llm_call",
        "project_id": "proj-1",
        "agent_id": "a1",
        "node_id": "n",
        "message": "m",
        "metadata": {"message": "m", "x": 1},
        **changes,
    }


def entry(
    kind: Kind,
    *records: object,
    tenant_id: int = 7,
    received_us: int = NOON_US,
    body: bytes | None = None,
    key: str = "",
) -> Entry:
    """A request with these records: alone, or as an array."""
    sent = records[0] if len(records) == 1 else list(records)
    return Entry(
        kind=kind,
        tenant_id=tenant_id,
        received_us=received_us,
        body=orjson.dumps(sent) if body is None else body,
        count=max(1, len(records)),
        idempotency_key=key,
    )


def delivered(made: Entry, *, deliveries: int = 1) -> Delivered:
    return Delivered(id=f"{next(_numbers)}-0", entry=made, deliveries=deliveries)


AWAY = UnavailableError("the warehouse is away")
