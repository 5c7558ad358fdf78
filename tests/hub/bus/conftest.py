"""A Redis that keeps everything, empty for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis as Client
from tests.hub.bus.servers import DurableRedis

from claw_native.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def _durable_redis(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableRedis]:
    with DurableRedis(tools, tmp_path_factory.mktemp("durable-redis"), free_port()) as server:
        yield server


@pytest.fixture
def durable_redis(_durable_redis: DurableRedis) -> DurableRedis:
    _durable_redis.start()
    with Client.from_url(_durable_redis.url) as client:
        client.flushall()
    return _durable_redis
