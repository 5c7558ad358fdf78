"""What is put around an application: (almost) nothing, our middleware, a peer's, as its documentation says.

A variant takes the factory of an application and returns the application with the variant in it.
Its package is imported only there: one process measures one variant, and has no other in its memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Make = Callable[..., Starlette]

__all__ = ["OURS", "VARIANTS", "Variant", "chosen"]

OURS: Final = "claw"
_FASTAPI: Final = ("fastapi-flat", "fastapi-routers")
_ALL: Final = ("starlette", *_FASTAPI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the tables.

    Attributes:
        title: How people know it.
        install: Makes the application with the variant in it.
        package: Distribution whose version is told, if any.
        records: What it measures as it is installed here.
        apps: Applications it is meant for.
        histogram: Whether a histogram of durations is among it.
        multiprocess: Whether it can measure several worker processes together.
    """

    title: str
    install: Callable[[Make], Starlette]
    package: str = ""
    records: str
    apps: tuple[str, ...] = _ALL
    histogram: bool = False
    multiprocess: bool = False


class _Empty:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class _EmptySend:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def on_send(message: Message) -> Awaitable[None]:
            return send(message)

        await self.app(scope, receive, on_send)


def _empty(make: Make) -> Starlette:
    app = make()
    app.add_middleware(_Empty)
    return app


def _empty_send(make: Make) -> Starlette:
    app = make()
    app.add_middleware(_EmptySend)
    return app


def _claw(make: Make) -> Starlette:
    from claw_exporter import Metrics, MetricsMiddleware

    app = make()
    app.add_middleware(MetricsMiddleware, metrics=Metrics(registry=CollectorRegistry()))
    return app


def _instrumentator(make: Make) -> Starlette:
    from prometheus_fastapi_instrumentator import Instrumentator

    app = make()
    Instrumentator().instrument(app)
    return app


def _starlette_exporter(make: Make) -> Starlette:
    from starlette_exporter import PrometheusMiddleware

    app = make()
    app.add_middleware(PrometheusMiddleware)
    return app


def _aioprometheus(make: Make) -> Starlette:
    from aioprometheus import MetricsMiddleware

    app = make()
    app.add_middleware(MetricsMiddleware)
    return app


def _meter_provider() -> Any:  # noqa: ANN401  # its package is not among the packages of the checks
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    return MeterProvider(metric_readers=[PrometheusMetricReader()])


def _opentelemetry_asgi(make: Make) -> Starlette:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    app = make()
    app.add_middleware(OpenTelemetryMiddleware, meter_provider=_meter_provider())
    return app


def _opentelemetry_fastapi(make: Make) -> Starlette:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = make()
    FastAPIInstrumentor.instrument_app(app, meter_provider=_meter_provider())
    return app


def _fastapi_telemetry(make: Make) -> Starlette:
    # Not the global provider: every FastAPI application of the process would use it, the bare one too.
    return make(telemetry={"meter_provider": _meter_provider(), "tracing": False, "logs": False})


VARIANTS: Final[dict[str, Variant]] = {
    "empty": Variant(
        title="empty wrapper (the floor)",
        install=_empty,
        records="nothing",
    ),
    "empty-send": Variant(
        title="empty wrapper of the application and of `send`",
        install=_empty_send,
        records="nothing; the least that can see a status",
    ),
    OURS: Variant(
        title="**claw-exporter**",
        install=_claw,
        histogram=True,
        multiprocess=True,
        package="claw-exporter",
        records="requests, duration and size histograms, time to first byte of streams, requests in flight",
    ),
    "aioprometheus": Variant(
        title="aioprometheus",
        install=_aioprometheus,
        package="aioprometheus",
        records="four counters, no histogram",
    ),
    "instrumentator": Variant(
        title="prometheus-fastapi-instrumentator",
        install=_instrumentator,
        histogram=True,
        multiprocess=True,
        package="prometheus-fastapi-instrumentator",
        records="requests, two duration histograms, two size summaries",
    ),
    "fastapi-telemetry": Variant(
        title="FastAPI's own telemetry",
        install=_fastapi_telemetry,
        histogram=True,
        package="fastapi",
        records="duration histogram, requests in flight; tracing and logs off",
        apps=_FASTAPI,
    ),
    "starlette-exporter": Variant(
        title="starlette_exporter",
        install=_starlette_exporter,
        histogram=True,
        multiprocess=True,
        package="starlette-exporter",
        records="requests, duration histogram, requests in flight",
    ),
    "opentelemetry-asgi": Variant(
        title="opentelemetry-instrumentation-asgi",
        install=_opentelemetry_asgi,
        histogram=True,
        package="opentelemetry-instrumentation-asgi",
        records="duration and size histograms, requests in flight; no tracer, but its span code runs",
    ),
    "opentelemetry-fastapi": Variant(
        title="opentelemetry-instrumentation-fastapi",
        install=_opentelemetry_fastapi,
        histogram=True,
        package="opentelemetry-instrumentation-fastapi",
        records="the same, with route templates",
        apps=_FASTAPI,
    ),
}


def chosen(names: Sequence[str] | None, app: str) -> list[str]:
    """Return those of the named variants (all of them if None) that are meant for an application."""
    return [name for name, variant in VARIANTS.items() if app in variant.apps and name in (names or VARIANTS)]
