"""Exemplars: the current OpenTelemetry trace as an example of each duration bucket."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from prometheus_client.samples import Exemplar

from claw_exporter.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    # The labels of the trace that runs now, if it is sampled.
    Trace = Callable[[], dict[str, str] | None]

__all__ = ["current_trace", "exemplar", "traced"]


def current_trace() -> Trace:
    """Return the function that reads the current trace from OpenTelemetry.

    Raises:
        ArgumentError: OpenTelemetry's API is not installed.
    """
    try:
        from opentelemetry import trace  # noqa: PLC0415  # only with exemplars
    except ImportError as error:
        raise ArgumentError(
            "exemplars=True needs OpenTelemetry's API: pip install opentelemetry-api"
        ) from error

    def read() -> dict[str, str] | None:
        context = trace.get_current_span().get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return None
        # 63 characters with the names: OpenMetrics allows 128.
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    return read


def traced(app: ASGIApp, key: str, read: Trace, fault: Callable[[str], None]) -> ASGIApp:
    """Return an application that leaves the trace in its scope, under ``key``, when its response begins.

    There, because a span that was begun inside of the middleware has ended when the application has.
    """

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        def on_send(message: Message) -> Awaitable[None]:
            try:
                if message["type"] == "http.response.start":
                    scope[key] = read() or True
            except Exception:  # noqa: BLE001  # a request must not notice
                fault("exemplars")
            return send(message)

        await app(scope, receive, on_send)

    return watched


def exemplar(labels: Any, seconds: float) -> Exemplar | None:  # noqa: ANN401  # what the scope has
    """Return the exemplar of a request, if `traced` left a trace."""
    return Exemplar(labels, seconds, time()) if isinstance(labels, dict) else None
