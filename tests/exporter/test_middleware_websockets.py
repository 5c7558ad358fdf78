from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, WebSocketRoute

from claw_exporter import Metrics, MetricsMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ACCEPT = {"type": "websocket.accept"}


async def connect(app: ASGIApp, path: str, *incoming: Message) -> list[Message]:
    """Open a WebSocket; the client sends ``incoming`` and then waits."""
    sent: list[Message] = []
    messages = iter(({"type": "websocket.connect"}, *incoming))

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "root_path": "", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent


def closed(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Connections that ended, by endpoint and close code."""
    return {labels: sum(child[:-1]) for labels, child in metrics.traffic.socket_seconds.series()}


def open_now(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {labels: child[0] for labels, child in metrics.traffic.sockets.series()}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        if text == "boom":
            raise RuntimeError(text)
        if text == "bye":
            await socket.close(4001)
            return
        await socket.send_text(text)


def included() -> FastAPI:
    router, app = APIRouter(), FastAPI()
    router.add_api_websocket_route("/chat/{room}", echo)
    app.include_router(router, prefix="/v1")
    return app


def mounted() -> Starlette:
    return Starlette(routes=[Mount("/v1", Starlette(routes=[WebSocketRoute("/chat/{room}", echo)]))])


@pytest.fixture(params=[included, mounted], ids=["fastapi", "starlette"])
def app(request: pytest.FixtureRequest, metrics: Metrics) -> Starlette:
    application: Starlette = request.param()
    application.add_middleware(MetricsMiddleware, metrics=metrics)
    return application


def say(text: str) -> Message:
    return {"type": "websocket.receive", "text": text}


def leave(code: object) -> Message:
    return {"type": "websocket.disconnect", "code": code}


async def test_a_connection_counts_under_its_template_while_it_is_open(
    app: Starlette, metrics: Metrics
) -> None:
    task = asyncio.create_task(connect(app, "/v1/chat/7"))
    while not open_now(metrics):  # noqa: ASYNC110  # the application cannot tell
        await asyncio.sleep(0)
    assert open_now(metrics) == {("/v1/chat/{room}",): 1}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_now(metrics) == {("/v1/chat/{room}",): 0}
    assert closed(metrics) == {("/v1/chat/{room}", "1001"): 1}


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (say("bye"), "4001"),  # the server closes, with a code of the application's
        (leave(1000), "1000"),
        (leave(1005), "1005"),
        (leave(3999), "3xxx"),  # the client must not be able to make a series per number
        (leave(4711), "4xxx"),
        (leave(2000), "1005"),
        (leave(None), "1005"),
    ],
)
async def test_a_connection_ends_with_a_close_code(
    app: Starlette, metrics: Metrics, last: Message, code: str
) -> None:
    sent = await connect(app, "/v1/chat/7", say("hello"), last)
    assert sent[1]["text"] == "hello"
    assert closed(metrics) == {("/v1/chat/{room}", code): 1}
    assert open_now(metrics) == {("/v1/chat/{room}",): 0}


async def test_an_exception_is_1011_and_passes_through(app: Starlette, metrics: Metrics) -> None:
    with pytest.raises(RuntimeError, match="boom"):
        await connect(app, "/v1/chat/7", say("boom"))
    assert closed(metrics) == {("/v1/chat/{room}", "1011"): 1}


async def test_a_path_without_a_route_is_refused_and_bounded(app: Starlette, metrics: Metrics) -> None:
    for number in range(3):
        await connect(app, f"/nope/{number}")
    assert closed(metrics) == {("unmatched", "403"): 3}
    assert open_now(metrics) == {}


async def test_excluded_templates_are_not_counted(metrics: Metrics) -> None:
    middleware = Middleware(MetricsMiddleware, metrics=metrics, exclude=["/live"])
    app = Starlette(routes=[WebSocketRoute("/live", echo)], middleware=[middleware])
    await connect(app, "/live", say("bye"))
    assert closed(metrics) == open_now(metrics) == {}


async def test_the_same_middleware_twice_counts_once(app: Starlette, metrics: Metrics) -> None:
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    await connect(app, "/v1/chat/7", say("bye"))
    assert closed(metrics) == {("/v1/chat/{room}", "4001"): 1}


def sending(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        for message in messages:
            await send(message)

    return app


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([ACCEPT], "1006"),  # the application ended without closing
        ([ACCEPT, {"type": "websocket.close"}], "1000"),
        ([ACCEPT, {"type": "websocket.close", "code": None}], "1000"),
        ([{"type": "websocket.close", "code": 1008}], "403"),
        ([{"type": "websocket.http.response.start", "status": 401, "headers": []}], "401"),
        (
            [ACCEPT, {"type": "websocket.send", "text": "x"}, {"type": "websocket.close", "code": 1012}],
            "1012",
        ),
    ],
)
async def test_any_application_is_measured(metrics: Metrics, messages: list[Message], code: str) -> None:
    assert await connect(MetricsMiddleware(sending(*messages), metrics=metrics), "/") == messages
    assert closed(metrics) == {("unmatched", code): 1}


async def test_messages_that_cannot_be_read_are_passed_on_and_counted(metrics: Metrics) -> None:
    messages: list[Message] = [{"no": "type"}, {"type": "websocket.close", "code": "odd"}, ACCEPT]
    app = MetricsMiddleware(sending(ACCEPT, *messages), metrics=metrics)
    assert await connect(app, "/") == [ACCEPT, *messages]
    errors = metrics.registry.get_sample_value(
        "claw_ai_exporter_internal_errors_total", {"where": "websocket"}
    )
    assert errors == 2


async def test_an_error_while_recording_does_not_reach_the_connection(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:  # noqa: ANN401  # any call
        raise RuntimeError("not today")

    monkeypatch.setattr(metrics.traffic.socket_seconds, "observe", broken)
    await connect(MetricsMiddleware(sending(ACCEPT), metrics=metrics), "/")
    errors = metrics.registry.get_sample_value(
        "claw_ai_exporter_internal_errors_total", {"where": "websocket"}
    )
    assert errors == 1
