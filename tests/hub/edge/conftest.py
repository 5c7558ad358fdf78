"""An edge over a bus in memory, and the same edge behind a real server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from claw_hub.bus import Lag
from claw_hub.edge.json_api import router
from claw_hub.errors import CredentialsError, HubError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from claw_hub.bus import Bus, Delivered, Entry
    from claw_hub.records import Kind

NOW = 1_763_712_000.25
MAX_BODY_BYTES = 1_000_000


class FakeBus:
    """Keeps entries in a list; `refusal` makes it fail."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.refusal: HubError | None = None

    async def append(self, entry: Entry) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.entries.append(entry)
        return f"{len(self.entries)}-0"

    async def read(self, consumer: str, *, count: int, block_seconds: float) -> Sequence[Delivered]:
        raise NotImplementedError

    async def done(self, delivered: Sequence[Delivered]) -> None:
        raise NotImplementedError

    async def lag(self) -> Lag:
        return Lag()

    async def close(self) -> None:
        """Has nothing to let go of."""


@dataclass(frozen=True)
class FakeTenant:
    id: int


@dataclass(frozen=True)
class FakePrincipal:
    tenant: FakeTenant
    role: str | None = None


@dataclass(frozen=True)
class FakeAdmission:
    headers: dict[str, str] = field(default_factory=lambda: {"X-Quota-Limit": "500000"})


PRINCIPALS = {
    "hc_test": FakePrincipal(FakeTenant(7)),
    "hc_other": FakePrincipal(FakeTenant(8)),
    "admin-token": FakePrincipal(FakeTenant(7), "admin"),
    "audit-token": FakePrincipal(FakeTenant(7), "audit"),
}


@dataclass
class Edge:
    """An edge, and what came of requests to it."""

    bus: Bus
    counted: list[tuple[Kind, str, int, int]] = field(default_factory=list)
    admitted: list[dict[str, Any]] = field(default_factory=list)
    refusal: HubError | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def authenticate(self, *, api_key: str = "", bearer: str = "") -> FakePrincipal:
        principal = PRINCIPALS.get(api_key or bearer)
        if principal is None:
            raise CredentialsError("no such key: make one with claw-hub key create")
        return principal

    async def admit(
        self, principal: FakePrincipal, *, records: int, tokens: int, projects: Collection[str]
    ) -> FakeAdmission:
        if self.refusal is not None:
            raise self.refusal
        self.admitted.append(
            {
                "tenant": principal.tenant.id,
                "records": records,
                "tokens": tokens,
                "projects": sorted(projects),
            }
        )
        return FakeAdmission()

    def count(self, kind: Kind, outcome: str, *, records: int, body_bytes: int) -> None:
        self.counted.append((kind, outcome, records, body_bytes))
        self.told.set()

    def app(self) -> FastAPI:
        app = FastAPI()
        app.include_router(
            router(
                bus=self.bus,
                authenticate=self.authenticate,
                admit=self.admit,
                clock=lambda: NOW,
                max_body_bytes=MAX_BODY_BYTES,
                count=self.count,
            )
        )
        return app


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def edge(bus: FakeBus) -> Edge:
    return Edge(bus)


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the edge without a network; what it raises, a test sees."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(edge.app()), base_url="http://edge", headers={"X-API-Key": "hc_test"}
    ) as made:
        yield made


@pytest.fixture
async def served(edge: Edge, free_port: Callable[[], int]) -> AsyncIterator[int]:
    """The port of the edge behind a real server."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(edge.app(), port=port, lifespan="off", ws="none", log_level="error", http="h11")
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await running
