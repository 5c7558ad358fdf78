"""kill -9 of the loader and of the warehouse in the middle of their work: nothing is lost, nothing double.

What was appended is summed up by another engine (DuckDB), by other means (ids that only this test knows),
and has to be what the warehouse and its sums by the hour say.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from tests.hub.worker.conftest import NOON, entry

from claw_hub.records import Kind
from claw_hub.warehouse.client import Warehouse
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.testing import EmbeddedProcess
from claw_hub.worker.marts import Marts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from claw_hub.bus.redis_streams import RedisStreams
    from claw_native.servers import Redis

ROUNDS = 8
ENTRIES_A_ROUND = 250
HOURS = 30
PROCESS = Path(__file__).parent / "loader_process.py"
BAD = {"model_name": 1.5}


@dataclass
class Sender:
    """Makes entries, and remembers what is in them."""

    random: random.Random
    calls: list[dict[str, Any]] = field(default_factory=list)
    executions: dict[tuple[int, str], str] = field(default_factory=dict)
    events: int = 0
    bad: int = 0
    entries: int = 0
    requests: list[tuple[int, list[Any], str]] = field(default_factory=list)

    async def send(self, bus: RedisStreams, entries: int) -> None:
        makers = [self._usage] * 6 + [self._again, self._execution, self._timeline]
        await asyncio.gather(*(self._append(bus, self.random.choice(makers)) for _ in range(entries)))

    async def _append(self, bus: RedisStreams, make: Callable[[], tuple[Kind, int, list[Any], str]]) -> None:
        kind, tenant_id, records, key = make()
        self.entries += 1
        received_us = time.time_ns() // 1000
        await bus.append(entry(kind, *records, tenant_id=tenant_id, received_us=received_us, key=key))

    def _usage(self) -> tuple[Kind, int, list[Any], str]:
        tenant_id = self.random.randint(1, 3)
        records: list[Any] = [self._call(tenant_id) for _ in range(self.random.randint(1, 40))]
        if self.random.random() < 0.05:
            records.insert(self.random.randrange(len(records) + 1), BAD)
            self.bad += 1
        else:
            self.requests.append((tenant_id, records, f"key-{self.entries}"))
        return Kind.USAGE, tenant_id, records, f"key-{self.entries}" if self.random.random() < 0.5 else ""

    def _again(self) -> tuple[Kind, int, list[Any], str]:
        """What a client sends that has had no answer: the same request, with or without a key."""
        if not self.requests:
            return self._usage()
        tenant_id, records, _ = self.random.choice(self.requests)
        return Kind.USAGE, tenant_id, records, ""

    def _call(self, tenant_id: int) -> dict[str, Any]:
        call = {
            "event_id": f"call-{len(self.calls)}",
            "timestamp": NOON - self.random.randrange(HOURS * 3600),
            "agentscope_project_id": f"proj-{self.random.randrange(3)}",
            "agent_name": f"Agent {self.random.randrange(5)}",
            "model_name": self.random.choice(["gpt-4", "qwen"]),
            "input_tokens": self.random.randrange(10_000),
            "output_tokens": self.random.randrange(1_000),
            "cost_usd": self.random.randrange(10**6) / 10**6,
            "duration_ms": self.random.randrange(10_000),
        }
        self.calls.append({"tenant_id": tenant_id, **call})
        return call

    def _execution(self) -> tuple[Kind, int, list[Any], str]:
        tenant_id, name = self.random.randint(1, 3), f"e{self.random.randrange(200)}"
        status = self.random.choice(["running", "completed"])
        if self.executions.get((tenant_id, name)) != "completed":
            self.executions[tenant_id, name] = status
        return Kind.EXECUTION, tenant_id, [{"execution_id": name, "status": status}], ""

    def _timeline(self) -> tuple[Kind, int, list[Any], str]:
        records = [{"event_type": "step", "project_id": "p"} for _ in range(self.random.randint(1, 5))]
        self.events += len(records)
        return Kind.TIMELINE, self.random.randint(1, 3), records, ""


@dataclass
class Drill:
    """All processes, and what was sent."""

    redis: Redis
    bus: RedisStreams
    process: EmbeddedProcess
    warehouse: Warehouse
    sender: Sender
    kills: int = 0

    @contextmanager
    def loader(self) -> Iterator[subprocess.Popen[bytes]]:
        """A loader that is killed at the end."""
        command = [sys.executable, str(PROCESS), self.redis.url, self.process.url, self.warehouse.database]
        with subprocess.Popen(command) as running:
            try:
                yield running
            finally:
                assert running.poll() is None, "the loader ended by itself"
                running.kill()
                self.kills += 1

    async def entries(self) -> int:
        return sum((await self.bus.lag()).entries.values())

    async def until(self, is_so: Callable[[int], bool]) -> None:
        """Waits until so many entries are left."""
        async with asyncio.timeout(60):
            while not is_so(await self.entries()):  # noqa: ASYNC110 - Redis does not say when
                await asyncio.sleep(0.005)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found = await self.warehouse.server.query(sql, database=self.warehouse.database)
        return sorted(tuple(row.values()) for row in found)


@pytest.fixture
async def drill(
    redis_server: Redis, streams: RedisStreams, tmp_path: Path, free_port: Callable[[], int]
) -> Any:  # noqa: ANN401 - a generator of one
    with EmbeddedProcess(tmp_path / "data", free_port()) as process:
        warehouse = Warehouse(process.url)
        await migrate(warehouse.server, database=warehouse.database)
        yield Drill(redis_server, streams, process, warehouse, Sender(random.Random(20261121)))
        await warehouse.close()


STORED = """
SELECT tenant_id, toInt64(intDiv(toUnixTimestamp(ts), 3600) * 3600) AS hour, toString(project_id) AS project,
  count() AS calls, sum(input_tokens), sum(output_tokens), sum(total_tokens), sum(cost_nano_usd),
  sum(duration_us)
FROM stg_usage FINAL GROUP BY tenant_id, hour, project
"""
SUMMED_UP = """
SELECT tenant_id, toInt64(toUnixTimestamp(hour)), toString(project_id), toString(dimension), toString(key),
  calls, input_tokens, output_tokens, total_tokens, cost_nano_usd, duration_us
FROM mart_usage_hour FINAL WHERE calls > 0
"""
# nano-USD of gpt-4: 2.5 and 10 USD for a million tokens.
CALLS = """
SELECT tenant_id, timestamp // 3600 * 3600 AS hour, agentscope_project_id AS project, agent_name, model_name,
  input_tokens AS input, output_tokens AS output, input_tokens + output_tokens AS total,
  CASE model_name WHEN 'gpt-4' THEN input_tokens * 2500 + output_tokens * 10000
    ELSE round(cost_usd * 1e9)::BIGINT END AS nano_usd,
  duration_ms * 1000 AS us
FROM sent
"""
SUMS = "count(*), " + ", ".join(
    f"sum({name})::BIGINT" for name in ("input", "output", "total", "nano_usd", "us")
)


def by_hour(sender: Sender) -> Sequence[tuple[Any, ...]]:
    return _oracle(sender, f"SELECT tenant_id, hour, project, {SUMS} FROM calls GROUP BY ALL")  # noqa: S608 - as above


def by_key(sender: Sender) -> Sequence[tuple[Any, ...]]:
    parts = [("all", "''"), ("agent", "agent_name"), ("model", "model_name")]
    statements = [
        f"SELECT tenant_id, hour, project, '{name}', {key}, {SUMS} FROM calls GROUP BY ALL"  # noqa: S608 - as above
        for name, key in parts
    ]
    return _oracle(sender, " UNION ALL ".join(statements))


def _oracle(sender: Sender, sql: str) -> Sequence[tuple[Any, ...]]:
    with duckdb.connect() as engine:
        engine.register("sent", pa.Table.from_pylist(sender.calls))
        engine.execute(f"CREATE VIEW calls AS {CALLS}")
        return sorted(engine.execute(sql).fetchall())


async def check(drill: Drill) -> None:
    sender = drill.sender
    executions = "SELECT tenant_id, execution_id, toString(status) FROM stg_executions FINAL"
    assert await drill.rows(STORED) == by_hour(sender)
    assert await drill.rows(SUMMED_UP) == by_key(sender)
    assert await drill.rows(executions) == sorted((*key, status) for key, status in sender.executions.items())
    for sql, wanted in (
        ("SELECT count() FROM stg_timeline FINAL", sender.events),
        ("SELECT count() FROM quarantine FINAL", sender.bad),
        ("SELECT count() FROM raw_batches FINAL", sender.entries),
    ):
        assert await drill.rows(sql) == [(wanted,)]


async def test_kills_in_mid_work_lose_nothing_and_double_nothing(drill: Drill) -> None:
    chance = random.Random(7)
    for number in range(ROUNDS):
        await drill.sender.send(drill.bus, ENTRIES_A_ROUND)
        before = await drill.entries()
        with drill.loader():
            await drill.until(lambda left, before=before: left < before)  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0, 0.3))
            if number % 3 == 2:
                drill.process.kill()
                drill.kills += 1
                await asyncio.sleep(chance.uniform(0, 0.3))
                drill.process.start()
    with drill.loader():
        await drill.until(lambda left: left == 0)
    # Done, and killed before all was summed up: the next one has to find out.
    marts = Marts(drill.warehouse, clock=time.time, count=lambda *_: None)
    with drill.loader():
        async with asyncio.timeout(60):
            while await marts.differing(NOON - (HOURS + 1) * 3600, NOON + 3600):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)

    await check(drill)
    sys.stdout.write(
        f"{drill.kills} kills, {drill.sender.entries} entries, {len(drill.sender.calls)} calls, "
        f"{drill.sender.events} events, {drill.sender.bad} set aside: nothing lost, nothing double\n"
    )
