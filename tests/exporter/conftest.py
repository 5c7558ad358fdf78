"""What the tests of the library share: metrics of their own, and a way to call an ASGI application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
