"""Exemplars: the real API of OpenTelemetry, with spans as an SDK would make them current."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from claw_exporter import ArgumentError, Metrics, MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    Drive = Callable[..., Coroutine[Any, Any, Any]]

EXAMPLE = re.compile(
    r'^(\w+)\{.*le="([^"]+)".*\} \S+ # \{span_id="(\w+)",trace_id="(\w+)"\} (\S+) (\S+)$', re.MULTILINE
)


def span(number: int, *, sampled: bool = True) -> trace.Span:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
    context = trace.SpanContext(trace_id=number, span_id=number + 1, is_remote=False, trace_flags=flags)
    return trace.NonRecordingSpan(context)


class Traced:
    """Middleware that makes a span current, as an instrumentation does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = dict(scope["headers"]).get(b"x-trace", b"0")
        with trace.use_span(span(int(header), sampled=int(header) < 100)):
            await self.app(scope, receive, send)


async def plain(request: Request) -> Response:
    if "x-stream" in request.headers:
        return StreamingResponse(iter(["a", "b"]))
    return PlainTextResponse("x")


def application(metrics: Metrics, *, inside: bool = False, **options: Any) -> Starlette:  # noqa: ANN401  # options
    middleware = [
        Middleware(MetricsMiddleware, metrics=metrics, exemplars=True, **options),
        Middleware(Traced),
    ]
    return Starlette(routes=[Route("/x/{y}", plain)], middleware=middleware if inside else middleware[::-1])


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("headers", [{}, {"x-stream": "1"}])
async def test_the_newest_sampled_trace_of_a_bucket_is_its_exemplar(
    metrics: Metrics,
    drive: Drive,
    inside: bool,  # noqa: FBT001  # a parameter of the test
    headers: dict[str, str],
) -> None:
    app = application(metrics, inside=inside)
    for number in (7, 8, 100, 0):  # the last two: not sampled, not valid
        await drive(app, "/x/1", headers={"x-trace": str(number), **headers})
    found = EXAMPLE.findall(metrics.render(openmetrics=True).decode())
    assert found
    for name, bound, span_id, trace_id, seconds, _ in found:
        assert name == "claw_ai_http_request_duration_seconds_bucket"
        assert float(seconds) <= float(bound)
        assert (int(trace_id, 16), int(span_id, 16)) in {(7, 8), (8, 9)}
        assert len(trace_id) == 32
        assert len(span_id) == 16
    assert f"{8:032x}" in {row[3] for row in found}


async def test_exemplars_are_written_as_prometheus_client_does(
    metrics: Metrics, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)
    await drive(application(metrics), "/x/1", headers={"x-trace": "7"})
    ours = metrics.render(openmetrics=True).decode()
    theirs: bytes = generate_openmetrics(metrics.registry)  # type: ignore[no-untyped-call]  # it has no types
    assert EXAMPLE.findall(ours)
    assert ours == theirs.decode()
    assert list(parse_openmetrics(ours))  # type: ignore[no-untyped-call]  # as above


async def test_the_text_format_has_no_exemplars(metrics: Metrics, drive: Drive) -> None:
    await drive(application(metrics), "/x/1", headers={"x-trace": "7"})
    assert b" # {" not in metrics.render()


async def test_without_the_option_there_are_no_exemplars(metrics: Metrics, drive: Drive) -> None:
    app = Traced(MetricsMiddleware(Starlette(routes=[Route("/x/{y}", plain)]), metrics=metrics))
    await drive(app, "/x/1", headers={"x-trace": "7"})
    assert b" # {" not in metrics.render(openmetrics=True)


async def test_excluded_requests_and_odd_statuses_leave_none(metrics: Metrics, drive: Drive) -> None:
    await drive(application(metrics, exclude=["/x/{y}"]), "/x/1", headers={"x-trace": "7"})

    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 999, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = Traced(MetricsMiddleware(odd, metrics=metrics, exemplars=True))
    await drive(app, "/x/1", headers={"x-trace": "7"})
    assert b" # {" not in metrics.render(openmetrics=True)


async def test_a_span_that_cannot_be_read_does_not_reach_the_request(
    metrics: Metrics, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application(metrics)
    monkeypatch.setattr(trace, "get_current_span", lambda: None)
    await drive(app, "/x/1", headers={"x-trace": "7"})
    where = {"where": "exemplars"}
    assert metrics.registry.get_sample_value("claw_ai_exporter_internal_errors_total", where) == 1
    assert metrics.registry.get_sample_value(
        "claw_ai_http_requests_total", {"method": "GET", "endpoint": "/x/{y}", "status": "200"}
    )


def test_without_opentelemetry_it_says_what_to_install(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ArgumentError, match="pip install opentelemetry-api"):
        MetricsMiddleware(plain, metrics=metrics, exemplars=True)  # type: ignore[arg-type]  # never called
