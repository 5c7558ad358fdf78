"""The query API over a real warehouse and a real Redis; who asks is made up."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pyarrow as pa
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from redis.asyncio import Redis

from claw_hub.api import Live, Pace, Tickets, routers
from claw_hub.errors import CredentialsError, HubError
from claw_hub.warehouse.client import Warehouse
from claw_hub.warehouse.migrate import migrate
from claw_hub.warehouse.testing import EmbeddedProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from claw_native.servers import Redis as RedisServer

BASE = "/api/v1/observability"
NOW = 1_795_264_496.789  # 2026-11-21 12:34:56.789 UTC

# What the worker does for every hour that it was told of.
FILL_MART = """
INSERT INTO mart_usage_hour
SELECT tenant_id, toStartOfHour(ts) AS hour, project_id, entry.1 AS dimension, entry.2 AS key, count(),
  sum(input_tokens), sum(output_tokens), sum(total_tokens), sum(cost_nano_usd), sum(duration_us), 1
FROM stg_usage FINAL
ARRAY JOIN [('all', ''), ('agent', toString(agent_name)), ('model', toString(model_name))] AS entry
GROUP BY tenant_id, hour, project_id, dimension, key
"""
CAST = {
    "event_id": pa.binary(16),
    "status": pa.string(),
    "cost_source": pa.string(),
    "ended_at": pa.timestamp("us", "UTC"),
    "duration_us": pa.uint64(),
}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Returns rows as the worker inserts them: times in microseconds, ids in bytes."""
    arrays = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        kind = CAST.get(name)
        if name in {"ts", "received_at", "started_at"}:
            kind = pa.timestamp("us", "UTC")
        arrays[name] = pa.array(values, type=kind)
    return pa.table(arrays)


def usage(**changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "tenant_id": 1,
        "ts": int(NOW * 1e6) - 60_000_000,
        "event_id": bytes(16),
        "project_id": "p1",
        "agent_id": "a1",
        "agent_name": "Strategy Agent",
        "model_name": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "cost_nano_usd": 10_000_000,
        "cost_source": "client",
        "duration_us": 1_500_500,
        "span_id": "",
        "origin": "json",
        "received_at": int(NOW * 1e6),
        "ver": 1,
    }
    return row | changed


def execution(**changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "tenant_id": 1,
        "execution_id": "e1",
        "project_id": "p1",
        "agent_id": "a1",
        "agent_name": "Strategy Agent",
        "node_id": "n1",
        "round_index": 0,
        "started_at": int(NOW * 1e6) - 60_000_000,
        "ended_at": None,
        "duration_us": None,
        "status": "running",
        "content": "",
        "error_message": "",
        "llm_calls": 2,
        "total_tokens": 300,
        "total_cost_nano_usd": 20_000_000,
        "received_at": int(NOW * 1e6),
        "ver": 1,
    }
    return row | changed


def event(**changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "tenant_id": 1,
        "ts": int(NOW * 1e6) - 60_000_000,
        "event_id": bytes(16),
        "event_type": "llm_call",
        "project_id": "p1",
        "agent_id": "a1",
        "node_id": "n1",
        "message": "asked",
        "metadata": "{}",
        "received_at": int(NOW * 1e6),
        "ver": 1,
    }
    return row | changed


MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
    "stg_usage": usage,
    "stg_executions": execution,
    "stg_timeline": event,
}


@dataclass(frozen=True)
class Tenant:
    id: int
    naive_timezone: str = "UTC"


@dataclass(frozen=True)
class Principal:
    tenant: Tenant
    subject: str


@dataclass
class People:
    """Knows the keys ``hc_<tenant>`` and the tokens ``token_<tenant>``; not what is `revoked`."""

    revoked: set[str] = field(default_factory=set)
    zones: dict[int, str] = field(default_factory=dict)
    error: HubError | None = None

    async def __call__(self, *, api_key: str = "", bearer: str = "") -> Principal:
        if self.error is not None:
            raise self.error
        shown = api_key or bearer
        number = shown.removeprefix("hc_" if api_key else "token_")
        if not number.isdecimal() or shown in self.revoked:
            raise CredentialsError("unknown, expired or revoked")
        return Principal(Tenant(int(number), self.zones.get(int(number), "UTC")), f"key:{shown}")


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    """Makes rows and inserts them; every test has tenants of its own."""

    warehouse: Warehouse
    tenants: Iterator[int]

    def tenant(self) -> int:
        return next(self.tenants)

    async def insert(self, name: str, rows: list[dict[str, Any]]) -> pa.Table:
        rows = [MAKERS[name](**row) for row in rows]
        made = table(rows)
        await self.warehouse.insert(name, made)
        return made

    async def fill_mart(self) -> None:
        await self.warehouse.server.execute(FILL_MART, database=self.warehouse.database)


@pytest.fixture(scope="session")
def _warehouse_url(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[tuple[str, Iterator[int]]]:
    with EmbeddedProcess(tmp_path_factory.mktemp("warehouse") / "data", free_port()) as process:

        async def prepare() -> None:
            warehouse = Warehouse(process.url)
            await migrate(warehouse.server)
            await warehouse.close()

        asyncio.run(prepare())
        yield process.url, iter(range(1000, 100_000))


@pytest.fixture
async def store(_warehouse_url: tuple[str, Iterator[int]]) -> AsyncIterator[Store]:
    url, tenants = _warehouse_url
    warehouse = Warehouse(url)
    yield Store(warehouse, tenants)
    await warehouse.close()


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def people() -> People:
    return People()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace() -> Pace:
    return Pace(heartbeat_seconds=0.2, send_seconds=1.0)


@pytest.fixture
async def live(redis: Redis) -> AsyncIterator[Live]:
    live = Live(redis)
    yield live
    await live.close()


@pytest.fixture
def app(  # noqa: PLR0913, PLR0917 - fixtures
    store: Store, redis: Redis, people: People, live: Live, clock: Clock, pace: Pace
) -> FastAPI:
    app = FastAPI(redirect_slashes=False)

    async def refused(_: Request, error: HubError) -> JSONResponse:
        body = {"error": error.error_id, "message": str(error)}
        return JSONResponse(body, error.status, error.headers)

    app.exception_handler(HubError)(refused)
    parts = routers(
        warehouse=store.warehouse,
        authenticate=people,
        live=live,
        tickets=Tickets(redis),
        clock=clock,
        pace=pace,
    )
    for part in parts:
        app.include_router(part)
    return app


@dataclass
class Api:
    """Asks as a tenant."""

    client: httpx.AsyncClient
    tenant: int

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.ask(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, path: str, **parameters: Any) -> httpx.Response:
        headers = {"X-API-Key": f"hc_{self.tenant}"}
        return await self.client.get(BASE + path, params=parameters, headers=headers)

    async def refusal(self, path: str, **parameters: Any) -> tuple[int, str, str]:
        answer = await self.ask(path, **parameters)
        body = answer.json()
        return answer.status_code, body["error"], body["message"]


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


@pytest.fixture
def api(client: httpx.AsyncClient, store: Store) -> Api:
    """Asks as a tenant that is new."""
    return Api(client, store.tenant())


@pytest.fixture
def api_of(client: httpx.AsyncClient) -> Callable[[int], Api]:
    return lambda tenant: Api(client, tenant)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@pytest.fixture
async def url(app: FastAPI, free_port: Callable[[], int]) -> AsyncIterator[str]:
    """The same application behind a real server: streams need one."""
    port = free_port()
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=2)
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    await server.ready.wait()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


@dataclass
class Listener:
    """Reads server-sent events."""

    answer: httpx.Response
    lines: AsyncIterator[str]
    comments: int = 0
    last_id: str = ""

    async def next(self) -> tuple[str, Any]:
        """Returns the name and the data of the next event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self.lines:
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    fields[name] = value
                    self.last_id = value if name == "id" else self.last_id
                elif "data" in fields:
                    return fields["event"], orjson.loads(fields["data"])
        raise EOFError

    async def expect(self, count: int) -> list[Any]:
        return [(await self.next())[1] for _ in range(count)]


@pytest.fixture
async def listen(url: str) -> AsyncIterator[Callable[..., Any]]:
    """Call it for a stream that is connected."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        answers = []

        async def opened(key: str = "", headers: dict[str, str] | None = None, **parameters: str) -> Listener:
            headers = (headers or {}) | ({"X-API-Key": key} if key else {})
            request = client.build_request("GET", f"{BASE}/stream", params=parameters, headers=headers)
            answer = await client.send(request, stream=True)
            answers.append(answer)
            if answer.status_code != 200:
                await answer.aread()
                return Listener(answer, answer.aiter_lines())
            listener = Listener(answer, answer.aiter_lines())
            assert await listener.next() == ("connected", {"status": "ok"})
            return listener

        yield opened
        for answer in answers:
            await answer.aclose()
