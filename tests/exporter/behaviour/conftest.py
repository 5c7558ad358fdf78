"""Applications as users write them, in each framework that is installed, and what was counted of them.

The suite runs on many versions of the frameworks (`make matrix`), so it needs nothing but pytest, anyio and
Starlette, and drives applications with plain ASGI.
"""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002  # FastAPI reads annotations
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket  # noqa: TC002  # the same

from claw_exporter import MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from claw_exporter import Metrics

    Count = Callable[[], dict[tuple[str, str, str], float]]

FRAMEWORKS = ["starlette", *(["fastapi"] if importlib.util.find_spec("fastapi") else [])]
BACKGROUND_SECONDS = 0.3
PAUSE_SECONDS = 0.03


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def user(request: Request) -> Response:
    return PlainTextResponse(request.path_params.get("user_id", "").rjust(10, "x"))


async def not_found(_: Request) -> Response:
    raise HTTPException(404, "no such thing")


async def boom(_: Request) -> Response:
    raise RuntimeError("boom")


async def stream(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(PAUSE_SECONDS)
            yield b"x" * 100

    return StreamingResponse(parts())


async def broken_stream(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError("lost the model")

    return StreamingResponse(parts())


async def background(_: Request) -> Response:
    return PlainTextResponse("done", background=BackgroundTask(asyncio.sleep, BACKGROUND_SECONDS))


async def slow(request: Request) -> Response:
    request.app.state.entered.set()
    await asyncio.Event().wait()
    raise AssertionError


async def chat(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        if text == "boom":
            raise RuntimeError(text)
        if text == "bye":
            await socket.close(4001)
            return
        await socket.send_text(text)


async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("opaque")(scope, receive, send)


ENDPOINTS: dict[str, Callable[[Request], Awaitable[Response]]] = {
    "/flat": user,
    "/users/{user_id}": user,
    "/files/{path:path}": user,
    "/slash/{number:int}/": user,
    "/nf/{x}": not_found,
    "/boom": boom,
    "/stream": stream,
    "/broken-stream": broken_stream,
    "/background": background,
    "/slow": slow,
}


def inner() -> Starlette:
    deepest = Starlette(routes=[Route("/leaf/{leaf}", user), WebSocketRoute("/chat/{room}", chat)])
    return Starlette(routes=[Route("/items/{item_id}", user), Mount("/zones/{zone}", deepest)])


def mounts() -> list[Mount]:
    return [
        Mount("/api", inner()),
        Mount("/tenants/{tid}", inner()),
        Mount("/listed", routes=[Route("/items/{item_id}", user)]),
        Mount("/opaque", opaque),
    ]


def starlette_app() -> Starlette:
    routes = [Route(path, endpoint, methods=["GET", "POST"]) for path, endpoint in ENDPOINTS.items()]
    return Starlette(routes=[*routes, WebSocketRoute("/chat/{room}", chat), *mounts()])


def fastapi_app() -> Starlette:
    from fastapi import FastAPI  # noqa: PLC0415  # not in every environment

    app = FastAPI()
    for path, endpoint in ENDPOINTS.items():
        app.add_api_route(path, endpoint, methods=["GET", "HEAD", "POST"])
    app.add_api_websocket_route("/chat/{room}", chat)
    for mount in mounts():
        app.mount(mount.path, mount.app)
    return app


@pytest.fixture(params=FRAMEWORKS)
def app(request: pytest.FixtureRequest, metrics: Metrics) -> Starlette:
    application = {"starlette": starlette_app, "fastapi": fastapi_app}[request.param]()
    application.add_middleware(MetricsMiddleware, metrics=metrics)
    return application


@pytest.fixture
def counted(metrics: Metrics) -> Count:
    """Requests by method, endpoint and status, without those at 0."""

    def count() -> dict[tuple[str, str, str], float]:
        return {
            (sample.labels["method"], sample.labels["endpoint"], sample.labels["status"]): sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "claw_ai_http_requests_total" and sample.value
        }

    return count


@pytest.fixture
def sampled(metrics: Metrics) -> Callable[..., float | None]:
    """One sample of a metric, by its name without ``claw_ai_`` and its labels."""
    return lambda name, **labels: metrics.registry.get_sample_value(f"claw_ai_{name}", labels)


async def _connect(
    app: ASGIApp, path: str, *incoming: Message, root_path: str = "", sent: list[Message] | None = None
) -> list[Message]:
    sent = [] if sent is None else sent
    messages = iter(({"type": "websocket.connect"}, *incoming))

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": path, "root_path": root_path}
    await app(scope | {"headers": [], "query_string": b""}, receive, send)
    return sent


@pytest.fixture
def connect() -> Callable[..., Awaitable[list[Message]]]:
    """Opens a WebSocket and returns what the application sent; the client sends ``incoming``, then waits."""
    return _connect
