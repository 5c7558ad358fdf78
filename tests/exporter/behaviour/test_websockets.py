"""WebSockets: how many are open, how long they lived, how they were closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.applications import Starlette
    from starlette.types import Message

    Connect = Callable[..., Coroutine[Any, Any, list[Message]]]
    Sample = Callable[..., float | None]

BYE = {"type": "websocket.receive", "text": "bye"}
# The path of a connection, and its template.
PATHS = [
    ("/chat/7", "/chat/{room}"),
    ("/api/zones/eu/chat/7", "/api/zones/{zone}/chat/{room}"),
    ("/tenants/1/zones/eu/chat/7", "/tenants/{tid}/zones/{zone}/chat/{room}"),
]


def closed(sampled: Sample, endpoint: str, code: str) -> float | None:
    return sampled("websocket_duration_seconds_count", endpoint=endpoint, close_code=code)


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize(("path", "template"), PATHS)
async def test_a_connection_counts_under_its_template(  # noqa: PLR0913, PLR0917  # fixtures and parameters
    app: Starlette, sampled: Sample, connect: Connect, root_path: str, path: str, template: str
) -> None:
    sent = await connect(app, root_path + path, BYE, root_path=root_path)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert closed(sampled, template, "4001") == 1
    assert sampled("websocket_connections", endpoint=template) == 0


async def test_a_connection_is_open_until_it_ends(app: Starlette, sampled: Sample, connect: Connect) -> None:
    sent: list[Message] = []
    task = asyncio.create_task(connect(app, "/chat/7", sent=sent))
    while not sent:  # noqa: ASYNC110  # the application cannot tell
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)
    assert sampled("websocket_connections", endpoint="/chat/{room}") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    life = sampled("websocket_duration_seconds_sum", endpoint="/chat/{room}", close_code="1001")
    assert sampled("websocket_connections", endpoint="/chat/{room}") == 0
    assert life is not None
    assert life >= 0.03


@pytest.mark.parametrize(("said", "code"), [(1000, "1000"), (1001, "1001"), (4711, "4xxx"), (1005, "1005")])
async def test_the_client_closes_with_a_code(
    app: Starlette, sampled: Sample, connect: Connect, said: int, code: str
) -> None:
    await connect(app, "/chat/7", {"type": "websocket.disconnect", "code": said})
    assert closed(sampled, "/chat/{room}", code) == 1


async def test_an_exception_is_1011_and_passes_through(
    app: Starlette, sampled: Sample, connect: Connect
) -> None:
    with pytest.raises(RuntimeError, match="boom"):
        await connect(app, "/chat/7", {"type": "websocket.receive", "text": "boom"})
    assert closed(sampled, "/chat/{room}", "1011") == 1


async def test_paths_without_a_route_are_refused_and_bounded(
    app: Starlette, sampled: Sample, connect: Connect
) -> None:
    for number in range(3):
        await connect(app, f"/nope/{number}")
    assert closed(sampled, "unmatched", "403") == 3
    assert sampled("websocket_connections", endpoint="unmatched") is None
