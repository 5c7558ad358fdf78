"""The relay as a web application: channels and heartbeats in, messages out."""

from __future__ import annotations

import asyncio
import binascii
import hmac
import importlib.metadata
import logging
import time
from base64 import b64decode
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from claw_exporter import Metrics, MetricsMiddleware
from claw_relay.errors import ForbiddenError, RelayError, TooLargeError, UnknownError
from claw_relay.heartbeats import Heartbeats
from claw_relay.message import Format, compose
from claw_relay.notification import parse
from claw_relay.sender import Sender
from claw_relay.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from claw_relay.settings import Channel, Heartbeat, Settings

__all__ = ["create_app"]

_log: Final = logging.getLogger("claw_relay.app")

VERSION: Final = importlib.metadata.version("claw-relay")
MAX_BODY_BYTES: Final = 4_000_000


def create_app(
    settings: Settings,
    *,
    client: httpx.AsyncClient | None = None,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Wires everything; heartbeats are watched from the application's start to its end.

    Args:
        settings: Channels, heartbeats and how messages are written.
        client: For the requests to chat services; by default one that uses the environment's proxy.
        clock: Seconds since 1970.
        ticks: Seconds, steadily growing.
    """
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    metrics = Metrics(registry=registry)
    metrics.build_info(app="claw-relay", version=VERSION)
    client = client or httpx.AsyncClient(timeout=settings.timeout_seconds)
    relay = Relay(settings, metrics, client, clock=clock, ticks=ticks)
    app = Starlette(
        lifespan=relay.lifespan,
        middleware=[Middleware(MetricsMiddleware, metrics=metrics, exclude=["/healthz"])],
        exception_handlers={RelayError: refused},
        routes=[
            Route("/healthz", relay.healthz),
            Route("/heartbeat/{name}", relay.heartbeat, methods=["POST"]),
            Route("/{type}/{name}", relay.notify, methods=["POST"]),
        ],
    )
    metrics.mount(app)
    return app


class Relay:
    """What the routes do.

    Args:
        settings: Channels, heartbeats and how messages are written.
        metrics: Where the numbers go.
        client: For the requests to chat services.
        clock: Seconds since 1970.
        ticks: Seconds, steadily growing.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._client = client
        self._clock = clock
        self._sender = Sender(client, metrics.store, clock=clock, ticks=ticks)
        self._channels = {channel.id: channel for channel in settings.channels}
        for channel in settings.channels:
            self._sender.declare(channel)
        self._heartbeats = Heartbeats(settings, self._sender, metrics.store, clock=clock)
        self._background: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Watches heartbeats, and counts log records, while the application runs."""
        self._metrics.watch_logs()
        self._background = asyncio.create_task(self._heartbeats.run(), name="heartbeats")
        _log.info("started", extra={"fields": {"channels": len(self._channels)}})
        try:
            yield
        finally:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background
            await self._client.aclose()
            _log.info("stopped")

    async def healthz(self, _: Request) -> Response:
        """Tells whether the process works: 200, or 503 where nobody watches heartbeats any more."""
        if self._background is None or self._background.done():
            return PlainTextResponse("heartbeats are not watched; restart this process\n", 503)
        return PlainTextResponse("ok\n")

    async def notify(self, request: Request) -> Response:
        """Takes a notification of Alertmanager, and sends it on before it answers."""
        name = f"{request.path_params['type']}/{request.path_params['name']}"
        channel = self._channels.get(name)
        if channel is None:
            raise UnknownError(
                f"no channel {name!r} is configured; there are: {', '.join(self._channels) or 'none'}"
            )
        message = compose(parse(await _body(request)), self._format(channel))
        fitted = await self._sender.send(channel, message)
        return JSONResponse({"sent": message.title, "left_out": fitted.left_out})

    async def heartbeat(self, request: Request) -> Response:
        """Notes that somebody is alive."""
        name = request.path_params["name"]
        heartbeat = self._heartbeats.get(name)
        if heartbeat is None:
            raise UnknownError(f"no heartbeat {name!r} is configured")
        _check_password(heartbeat, request.headers.get("authorization", ""))
        body = await _body(request)
        firing = [alert.name for alert in parse(body).firing] if heartbeat.alerts else []
        self._heartbeats.beat(heartbeat, firing)
        return JSONResponse({"heard": name})

    def _format(self, channel: Channel) -> Format:
        return Format(
            words=LANGUAGES[channel.language],
            zone=self._settings.time_zone,
            now=lambda: datetime.fromtimestamp(self._clock(), UTC),
            silences_url=self._settings.silences_url,
            max_alerts=self._settings.max_alerts,
        )


async def refused(_: Request, error: Exception) -> Response:
    """Answers with an error's id, and what it says; Alertmanager logs both."""
    if not isinstance(error, RelayError):
        raise error
    headers = {"WWW-Authenticate": "Basic"} if isinstance(error, ForbiddenError) else {}
    return JSONResponse({"error": error.error_id, "message": str(error)}, error.status, headers)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(
                f"more than {MAX_BODY_BYTES} bytes; set max_alerts of this webhook in Alertmanager"
            )
    return bytes(body)


def _check_password(heartbeat: Heartbeat, given: str) -> None:
    if heartbeat.password_file is None:
        return
    try:
        wanted = heartbeat.password_file.read()
    except (OSError, ValueError):
        raise ForbiddenError(
            f"the password file of the heartbeat {heartbeat.name!r} cannot be read"
        ) from None
    if not hmac.compare_digest(_password(given).encode(), wanted.encode()):
        raise ForbiddenError(f"the heartbeat {heartbeat.name!r} needs its password: https://any:PASSWORD@...")


def _password(header: str) -> str:
    """Returns the password of basic auth, or a bearer token; nothing where there is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    try:
        return b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
