"""What the tests of the library share: metrics of their own, and a way to call an ASGI application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import ASGIApp, Message


@pytest.fixture
def metrics() -> Metrics:
    """Metrics that no other test sees, registered already."""
    fresh = Metrics(registry=CollectorRegistry())
    fresh.register()
    return fresh


async def _drive(  # a scope has many parts
    app: ASGIApp,
    path: str = "/",
    *,
    method: str = "GET",
    root_path: str = "",
    headers: dict[str, str] | None = None,
    **scope: Any,  # noqa: ANN401  # any other part of a scope
) -> list[Message]:
    sent: list[Message] = []
    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        try:
            return next(body)
        except StopIteration:
            await asyncio.Event().wait()  # the client stays
            raise

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "server": ("test", 80),
            "method": method,
            "path": path,
            "root_path": root_path,
            "query_string": b"",
            "headers": raw,
            **scope,
        },
        receive,
        send,
    )
    return sent


@pytest.fixture
def drive() -> Callable[..., Awaitable[list[Message]]]:
    """Calls an application with one HTTP request, and returns what it sent."""
    return _drive


class Recorded:
    """What metrics say about stores and their pools, without what is 0."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def _read(self, metric: str, *labels: str) -> dict[tuple[str, ...], float]:
        values = {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in self._metrics.registry.collect()
            for sample in family.samples
            if sample.name == metric
        }
        return {key: value for key, value in values.items() if value}

    def db(self) -> dict[tuple[str, ...], float]:
        """Return how many operations there were by operation and status."""
        return self._read("claw_ai_db_operation_duration_seconds_count", "operation", "status")

    def db_seconds(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_db_operation_duration_seconds_sum", "operation", "status")

    def redis(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_redis_operation_duration_seconds_count", "operation", "status")

    def redis_seconds(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_redis_operation_duration_seconds_sum", "operation", "status")

    def waits(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_db_pool_wait_seconds_count", "pool")

    def wait_seconds(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_db_pool_wait_seconds_sum", "pool")

    def timeouts(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_db_pool_timeouts_total", "pool")

    def states(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_db_pool_connections", "pool", "state")

    def faults(self) -> dict[tuple[str, ...], float]:
        return self._read("claw_ai_exporter_internal_errors_total", "where")


@pytest.fixture
def recorded(metrics: Metrics) -> Iterator[Recorded]:
    """Reads what was recorded about stores; at the end nothing of ours may have gone wrong."""
    reader = Recorded(metrics)
    yield reader
    assert reader.faults() == {}
