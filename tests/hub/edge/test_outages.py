"""The edge over a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.hub.bus.contract import noticed
from tests.hub.bus.servers import DurableRedis
from tests.hub.edge.conftest import Edge

from claw_hub.bus.redis_streams import RedisStreams, connect
from claw_hub.edge.spool import Spool
from claw_hub.edge.spooled import Spooled
from claw_hub.records import Kind
from claw_native.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claw_hub.bus import Bus

USAGE = "/api/v1/observability/ingest/usage/"


@pytest.fixture
def redis(tools: Path, tmp_path: Path) -> Iterator[DurableRedis]:
    with DurableRedis(tools, tmp_path / "redis", free_port()) as server:
        yield server


def speaking_to(bus: Bus) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Edge(bus).app()),
        base_url="http://edge",
        headers={"X-API-Key": "hc_test", "Content-Type": "application/json"},
    )


async def send(client: httpx.AsyncClient, numbers: range) -> Counter[int]:
    """Sends a record for each number, all at once; returns how often each status was answered."""
    posts = (client.post(USAGE, content=json.dumps({"model_name": "m", "input_tokens": n})) for n in numbers)
    return Counter(response.status_code for response in await asyncio.gather(*posts))


async def numbers_on(bus: Bus, wanted: int) -> set[int]:
    """Reads until there are so many different ones."""
    found: set[int] = set()
    async with asyncio.timeout(10):
        while len(found) < wanted:
            read = await bus.read("a", count=100, block_seconds=0.1)
            found |= {json.loads(delivered.entry.body)["input_tokens"] for delivered in read}
    return found


async def test_without_a_spool_an_outage_is_503_and_over_when_redis_is_back(redis: DurableRedis) -> None:
    bus = RedisStreams(connect(redis.url), timeout_seconds=0.5)
    async with speaking_to(bus) as client:
        assert await send(client, range(10)) == {201: 10}
        redis.kill()
        assert await send(client, range(10, 20)) == {503: 10}
        redis.start()
        await noticed()
        assert await send(client, range(20, 30)) == {201: 10}
    assert await numbers_on(bus, 20) == {*range(10), *range(20, 30)}
    assert (await bus.lag()).records == {Kind.USAGE: 20, Kind.EXECUTION: 0, Kind.TIMELINE: 0}
    await bus.close()


@pytest.mark.parametrize("silent", [False, True])
async def test_with_a_spool_an_outage_is_not_noticed(
    redis: DurableRedis, tmp_path: Path, *, silent: bool
) -> None:
    behind = RedisStreams(connect(redis.url), timeout_seconds=0.5)
    bus = Spooled(behind, Spool(tmp_path / "spool"), retry_seconds=0.05)
    await bus.start()
    async with speaking_to(bus) as client:
        assert await send(client, range(10)) == {201: 10}
        redis.freeze() if silent else redis.kill()
        for first in (10, 20, 30):
            assert await send(client, range(first, first + 10)) == {201: 10}
        redis.thaw() if silent else redis.start()
        assert await send(client, range(40, 50)) == {201: 10}
    assert await numbers_on(behind, 50) == set(range(50))
    await bus.close()
