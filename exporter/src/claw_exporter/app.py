"""The exporter process: collectors by the settings, and what they read over HTTP."""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import logging
import time
from contextlib import asynccontextmanager, suppress
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

from claw_exporter import catalog
from claw_exporter.collectors.host import HostCollector
from claw_exporter.collectors.postgres import PostgresCollector
from claw_exporter.collectors.postgres import link_to as link_to_postgres
from claw_exporter.collectors.redis import RedisCollector
from claw_exporter.collectors.sql import QueryCollector
from claw_exporter.endpoint import Exposition
from claw_exporter.probes import Probe, Probes
from claw_exporter.records import Records
from claw_exporter.registry import attach
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from claw_exporter.collectors.base import Collector
    from claw_exporter.settings import Auth, Settings

_log: Final = logging.getLogger("claw_exporter.app")

VERSION: Final = importlib.metadata.version("claw-exporter")

_PAGE: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>claw-exporter</title>
<h1>claw-exporter {version}</h1>
<ul>
<li><a href="metrics">metrics</a>: for Prometheus
<li><a href="healthz">healthz</a>: does the process work
<li><a href="readyz">readyz</a>: did every probe run, and how did it go
</ul>
</html>
"""


def create_app(
    settings: Settings, *, address: str = "", clock: Callable[[], float] = time.monotonic
) -> Starlette:
    """Wire everything; the probes run from the application's start to its end.

    Args:
        settings: What to collect, and who may read it.
        address: Where it is served, for the log.
        clock: Seconds, steadily growing.
    """
    probes = Probes(collectors(settings), stale_after_seconds=settings.stale_after_seconds, clock=clock)
    store = Store()
    process = Process(probes, address, Records(store))
    guard = [Middleware(Guard, auth=settings.auth)] if settings.auth else []
    return Starlette(
        lifespan=process.lifespan,
        routes=[
            Route("/", process.page),
            Route("/healthz", process.healthz),
            Route("/readyz", process.readyz),
            Route("/metrics", exposition(probes, store), middleware=guard),
        ],
    )


def collectors(settings: Settings) -> list[Collector]:
    """Make the collectors that the settings ask for."""
    links = {target.name: link_to_postgres(target) for target in settings.postgres}
    return [
        *([HostCollector(settings.host)] if settings.host.enabled else []),
        *(PostgresCollector(target, links[target.name]) for target in settings.postgres),
        *(RedisCollector(target) for target in settings.redis),
        *(QueryCollector(query, links[query.database]) for query in settings.queries),
    ]


def exposition(probes: Probes, store: Store) -> Exposition:
    """Make the ASGI application behind ``/metrics``: the probes, and this process about itself."""
    store.gauge(catalog.BUILD_INFO).set(1, "claw-exporter", VERSION, VERSION)
    probes.register(store)
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return Exposition(registry, attach(registry, store), store)


class Process:
    """The pages beside ``/metrics``, and the background they tell about.

    Args:
        probes: What runs in the background.
        address: Where it is served, for the log.
        records: What counts its log records.
    """

    def __init__(self, probes: Probes, address: str, records: Records) -> None:
        self._probes = probes
        self._address = address
        self._records = records
        self._background: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the probes, and count log records, while the application runs."""
        self._records.watch()
        self._background = asyncio.create_task(self._probes.run(), name="probes")
        _log.info("started", extra={"fields": {"url": self._address, "probes": len(self._probes.all)}})
        try:
            yield
        finally:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background
            _log.info("stopped")
            self._records.unwatch()

    async def page(self, _: Request) -> Response:
        """Link the others."""
        return HTMLResponse(_PAGE.format(version=VERSION))

    async def healthz(self, _: Request) -> Response:
        """Tell whether the process works: 200, or 503 where the background ended."""
        if self._background is None or self._background.done():
            return PlainTextResponse("the probes do not run; restart this process\n", 503)
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        """Tell whether every probe had its first run: 200 or 503, and how the last runs went."""
        ready = self._probes.ready
        probes = {probe.schedule.name: describe(probe) for probe in self._probes.all}
        return JSONResponse({"ready": ready, "probes": probes}, 200 if ready else 503)


class Guard:
    """Lets through who knows the password or the token.

    Args:
        app: What is guarded.
        auth: The password, the token or both.
    """

    def __init__(self, app: ASGIApp, *, auth: Auth) -> None:
        self.app = app
        self._expected: dict[str, str] = {}
        if auth.username is not None and auth.password_file is not None:
            pair = f"{auth.username}:{auth.password_file.value}"
            self._expected["basic"] = base64.b64encode(pair.encode()).decode()
        if auth.token_file is not None:
            self._expected["bearer"] = auth.token_file.value
        self._challenge = ", ".join(f'{scheme.title()} realm="claw-exporter"' for scheme in self._expected)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 where the credentials are missing or wrong."""
        scheme, _, credentials = Headers(scope=scope).get("authorization", "").partition(" ")
        expected = self._expected.get(scheme.lower())
        if expected is not None and compare_digest(credentials.strip().encode(), expected.encode()):
            await self.app(scope, receive, send)
            return
        response = PlainTextResponse(
            "who are you? see auth in exporter.yml\n", 401, {"WWW-Authenticate": self._challenge}
        )
        await response(scope, receive, send)


def describe(probe: Probe) -> dict[str, object]:
    """Give a probe's state as JSON; what exactly went wrong stands in the log, which is not public."""
    state = probe.state
    return {
        "state": {None: "waiting", "": "ok"}.get(state.error_type, "failing"),
        "error_type": state.error_type or None,
        "runs": state.runs,
        "age_seconds": round(probe.age_seconds, 3) if state.report else None,
        "interval_seconds": probe.schedule.interval_seconds,
    }
