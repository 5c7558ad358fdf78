"""The exporter process: collectors by the settings, and what they read over HTTP."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

from claw_exporter import auth, catalog
from claw_exporter.collectors.canary import CanaryCollector
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
    from collections.abc import AsyncIterator, Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from claw_exporter.collectors.base import Collector
    from claw_exporter.reload import Reloads
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
    settings: Settings,
    *,
    address: str = "",
    clock: Callable[[], float] = time.monotonic,
    reloads: Reloads | None = None,
    configure_log: Callable[[Settings], None] = lambda _: None,
) -> Starlette:
    """Wire everything; the probes run from the application's start to its end.

    Args:
        settings: What to collect, and who may read it.
        address: Where it is served, for the log.
        clock: Seconds, steadily growing.
        reloads: Who reads the settings again; None where nobody does.
        configure_log: Puts the log's part of settings that were read again to use.

    Raises:
        ArgumentError: A secret file of ``auth`` cannot be read any more.
    """
    process = Process(settings, address=address, clock=clock, reloads=reloads, configure_log=configure_log)
    return Starlette(
        lifespan=process.lifespan,
        routes=[
            Route("/", process.page),
            Route("/healthz", process.healthz),
            Route("/readyz", process.readyz),
            Route("/metrics", process.metrics),
        ],
    )


def collectors(settings: Settings, running: Iterable[Collector] = ()) -> list[Collector]:
    """Make the collectors that the settings ask for.

    Args:
        settings: Which.
        running: Those that run now; a database that stays as it is keeps its link.
    """
    known = {one.target: one.link for one in running if isinstance(one, PostgresCollector)}
    links = {target.name: known.get(target) or link_to_postgres(target) for target in settings.postgres}
    return [
        *([HostCollector(settings.host)] if settings.host.enabled else []),
        *(PostgresCollector(target, links[target.name]) for target in settings.postgres),
        *(RedisCollector(target) for target in settings.redis),
        *(QueryCollector(query, links[query.database]) for query in settings.queries),
        *(CanaryCollector(canary) for canary in settings.canaries),
    ]


def guard(settings: Auth | None) -> auth.Auth | None:
    """Make what lets through who may read ``/metrics``; None where everybody may."""
    if settings is None:
        return None
    password, token = settings.password_file, settings.token_file
    return auth.Auth(
        username=settings.username,
        password_file=password.path if password else None,
        token_file=token.path if token else None,
    )


class Process:
    """The pages, and the background they tell about.

    Args:
        settings: What to collect, and who may read it.
        address: Where it is served, for the log.
        clock: Seconds, steadily growing.
        reloads: Who reads the settings again.
        configure_log: Puts the log's part of settings to use.

    Attributes:
        metrics: The ASGI application behind ``/metrics``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        address: str,
        clock: Callable[[], float],
        reloads: Reloads | None,
        configure_log: Callable[[Settings], None],
    ) -> None:
        self._settings = settings
        self._address = address
        self._reloads = reloads
        self._configure_log = configure_log
        self._store = Store()  # what stays whatever the settings say
        self._store.gauge(catalog.BUILD_INFO).set(1, "claw-exporter", VERSION, VERSION)
        if reloads is not None:
            reloads.register(self._store)
        self._records = Records(self._store)
        self._probes = Probes(
            collectors(settings), stale_after_seconds=settings.stale_after_seconds, clock=clock
        )
        self._exposition = self._expose(guard(settings.auth))
        self.metrics: Final = _Metrics(self)
        self._background: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the probes, and count log records, while the application runs."""
        self._records.watch()
        self._background = asyncio.create_task(self._run(), name="background")
        _log.info("started", extra={"fields": {"url": self._address, "probes": len(self._probes.all)}})
        try:
            yield
        finally:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background
            _log.info("stopped")
            self._records.unwatch()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probes.run(), name="probes")
            if self._reloads is not None:
                group.create_task(self._reloads.serve(self.apply), name="reloads")

    def apply(self, settings: Settings) -> dict[str, object]:
        """Put settings that were read again to use; the address to listen on stays.

        Returns:
            Fields for the log.

        Raises:
            Exception: Something cannot be used; then nothing has changed.
        """
        wanted = collectors(settings, [probe.collector for probe in self._probes.all])
        admitting = guard(settings.auth)
        change = self._probes.replace(wanted, stale_after_seconds=settings.stale_after_seconds)
        self._exposition = self._expose(admitting)
        self._configure_log(settings)
        fields: dict[str, object] = {
            "kept": len(change.kept),
            "started": change.started,
            "ended": change.ended,
        }
        if settings.listen != self._settings.listen:
            fields["needs_restart"] = f"listen: {settings.listen.host}:{settings.listen.port}"
        return fields

    def _expose(self, admitting: auth.Auth | None) -> Exposition:
        """Make what serves the probes of now, and this process about itself."""
        store = Store()
        self._probes.register(store)
        registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        attach(registry, self._store)
        return Exposition(registry, attach(registry, store), self._store, auth=admitting)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the metrics."""
        await self._exposition(scope, receive, send)

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


class _Metrics:
    """An object, because a route takes a bare method for a function of requests."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._process.serve(scope, receive, send)


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
