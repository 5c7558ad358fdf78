"""The hub as a web application: which routes each part has, and how errors are answered."""

from __future__ import annotations

import importlib.metadata
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse

from claw_exporter import MetricsMiddleware
from claw_hub import api
from claw_hub.accounts import api as accounts_api
from claw_hub.edge import json_api
from claw_hub.edge.answers import answer, refusal
from claw_hub.errors import BadRequestError, HubError, NotFoundError, TooLargeError
from claw_hub.numbers import Numbers, new_metrics
from claw_hub.running import Part, Running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from claw_hub.settings import Settings

__all__ = ["create_app"]

MAX_FORM_BYTES: Final = 1_000_000
"""Of requests that bring no records."""
DESCRIPTION: Final = """Usage, executions and timelines of AI agents: accepted once, never lost.

Machines send `X-API-Key: hc_...`; people send `Authorization: Bearer` with a token of `/api/v1/auth/token`.
Every error is `{"error": "err-claw-hub-...", "message": "..."}`; the ids never change.
"""


def create_app(
    settings: Settings, parts: Collection[Part] = tuple(Part), *, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Wires everything; what is in the background runs from the application's start to its end.

    Args:
        settings: Checked.
        parts: What this process does; all of it by default.
        clock: Seconds since 1970.
    """
    metrics = new_metrics("claw-hub")
    numbers = Numbers(metrics)
    numbers.declare()
    running = Running(settings, parts, numbers, clock=clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        metrics.watch_logs()
        async with running.started():
            yield

    app = FastAPI(
        title="Claw hub",
        version=importlib.metadata.version("claw-hub"),
        description=DESCRIPTION,
        lifespan=lifespan,
        exception_handlers={
            HubError: refused,
            RequestValidationError: misunderstood,
            HTTPException: unknown,
            Exception: broken,
        },
    )
    app.state.running = running
    _add_routes(app, running)
    app.add_middleware(_Bounded, max_bytes=MAX_FORM_BYTES, unless=json_api.PREFIX)
    app.add_middleware(MetricsMiddleware, metrics=metrics, exclude=["/healthz", "/readyz"])
    metrics.mount(app)
    return app


def _add_routes(app: FastAPI, running: Running) -> None:
    app.add_api_route("/healthz", _healthz(running), include_in_schema=False)
    app.add_api_route("/readyz", _readyz(running), include_in_schema=False)
    routers = []
    if Part.EDGE in running.parts:
        routers.append(
            json_api.router(
                bus=running.spooled or running.bus,
                authenticate=running.accounts.authenticate,
                admit=running.limits.admit,
                clock=running.clock,
                max_body_bytes=running.settings.max_body_bytes,
                count=running.numbers.count_request,
            )
        )
    if Part.API in running.parts:
        running.numbers.show_live(running.live)
        routers += accounts_api.routers(running.accounts)
        routers += api.routers(
            warehouse=running.warehouse,
            authenticate=running.accounts.authenticate,
            live=running.live,
            tickets=running.tickets,
            clock=running.clock,
        )
    for router in routers:
        app.include_router(router)


def _healthz(running: Running) -> Callable[[], Any]:
    async def healthz() -> Response:
        if running.failed:
            return PlainTextResponse(f"{running.failed}; restart this process\n", 503)
        return PlainTextResponse("ok\n")

    return healthz


def _readyz(running: Running) -> Callable[[], Any]:
    async def readyz() -> Response:
        """Tells whether records would be accepted now."""
        try:
            lag = await running.bus.lag()
        except HubError as error:
            spooled = running.spooled is not None
            return JSONResponse({"bus": str(error), "spool": spooled}, 200 if spooled else 503)
        return JSONResponse({"bus": "ok", "waiting_records": sum(lag.records.values())})

    return readyz


async def refused(_: Request, error: Exception) -> Response:
    """Answers with an error's id, and what it says."""
    assert isinstance(error, HubError)  # noqa: S101 - what it is registered for
    return refusal(error)


async def misunderstood(_: Request, error: Exception) -> Response:
    """Answers what FastAPI finds wrong with a request."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    found = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return refusal(BadRequestError(found or "the request cannot be read"))


async def unknown(_: Request, error: Exception) -> Response:
    """Answers what Starlette finds: no such path, no such method, a body that cannot be read."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    known = NotFoundError if error.status_code == NotFoundError.status else BadRequestError
    content = {"error": known.error_id, "message": str(error.detail)}
    return answer(content, error.status_code, error.headers)


async def broken(_: Request, __: Exception) -> Response:
    """Answers where the hub itself is wrong; the server logs it."""
    return refusal(HubError("the hub failed; its log says how"))


class _Bounded:
    """Refuses bodies that no endpoint needs, except where an endpoint looks after that itself.

    Args:
        app: What is behind it.
        max_bytes: The largest body.
        unless: How paths begin that are let through.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, unless: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._unless = unless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._unless):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                error = TooLargeError(f"more than {self._max_bytes} bytes, which nothing here takes")
                await refusal(error)(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        await self._app(scope, _again(message, bytes(body), receive), send)


def _again(last: Any, body: bytes, receive: Receive) -> Receive:  # noqa: ANN401 - an ASGI message
    """Returns what gives a body that was read once more, and then what comes after it."""
    waiting = [last if last["type"] == "http.disconnect" else {"type": "http.request", "body": body}]

    async def again() -> Any:  # noqa: ANN401 - the same
        return waiting.pop() if waiting else await receive()

    return again
