"""The behaviour matrix, on real Starlette and FastAPI applications."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import FastAPIDeprecationWarning
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route

from claw_exporter import ArgumentError, Metrics, MetricsMiddleware
from claw_exporter import metrics as default_metrics
from claw_exporter.catalog import HTTP_ACTIVE, HTTP_REQUESTS, INTERNAL_ERRORS, OVERFLOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from starlette.middleware.base import RequestResponseEndpoint
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]
    Endpoint = Callable[[Request], Awaitable[Response]]


def counted(metrics: Metrics) -> dict[tuple[str, str, str], float]:
    """Requests by method, endpoint and status, without those at 0."""
    series = dict(metrics.traffic._read_requests())
    return {(labels[0], labels[1], labels[2]): child[0] for labels, child in series.items() if child[0]}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"claw_ai_{name}", labels)


# -- An application as users write them, in both frameworks --------------------------------------------------
async def ok(request: Request) -> Response:
    return PlainTextResponse("x" * 10, background=request.app.state.background)


async def not_found(_: Request) -> Response:
    raise HTTPException(404, "no such thing")


async def boom(_: Request) -> Response:
    raise RuntimeError("boom")


async def parts() -> AsyncIterator[bytes]:
    for _ in range(3):
        await asyncio.sleep(0)
        yield b"x" * 100


async def stream(_: Request) -> Response:
    return StreamingResponse(parts())


async def broken_stream(_: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError("lost the model")

    return StreamingResponse(body())


async def slow(request: Request) -> Response:
    request.app.state.entered.set()
    await asyncio.Event().wait()
    raise AssertionError


async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("opaque")(scope, receive, send)


ENDPOINTS: dict[str, Endpoint] = {
    "/users/{user_id}": ok,
    "/slash/{number:int}/": ok,
    "/nf/{x}": not_found,
    "/boom": boom,
    "/stream": stream,
    "/broken-stream": broken_stream,
    "/slow": slow,
}


def inner() -> Starlette:
    return Starlette(routes=[Route("/items/{item_id}", ok)])


def starlette_app() -> Starlette:
    routes = [Route(path, endpoint, methods=["GET", "POST"]) for path, endpoint in ENDPOINTS.items()]
    mounts = [Mount("/api", inner()), Mount("/tenants/{tid}", inner()), Mount("/opaque", opaque)]
    return Starlette(routes=[*routes, *mounts])


def fastapi_app() -> FastAPI:
    app = FastAPI()
    for path, endpoint in ENDPOINTS.items():
        app.add_api_route(path, endpoint, methods=["GET", "HEAD", "POST"])
    app.mount("/api", inner())
    app.mount("/tenants/{tid}", inner())
    app.mount("/opaque", opaque)
    return app


@pytest.fixture(params=[starlette_app, fastapi_app], ids=["starlette", "fastapi"])
def app(request: pytest.FixtureRequest, metrics: Metrics) -> Starlette:
    application: Starlette = request.param()
    application.add_middleware(MetricsMiddleware, metrics=metrics)
    application.state.background = None
    _share_state(application)
    return application


def _share_state(application: Starlette) -> None:
    """Mounted applications have a state of their own; the endpoints look for one thing in it."""
    for route in application.routes:
        below = getattr(route, "app", None)
        if isinstance(below, Starlette):
            below.state.background = None


Row = tuple[str, list[tuple[str, str]], dict[tuple[str, str, str], int]]
MATRIX: list[Row] = [
    (
        "a route with a parameter",
        [("GET", "/users/1"), ("GET", "/users/2")],
        {("GET", "/users/{user_id}", "200"): 2},
    ),
    ("no route", [("GET", "/nope/1"), ("GET", "/nope/2")], {("GET", "unmatched", "404"): 2}),
    ("a slash redirect", [("GET", "/slash/1"), ("GET", "/slash/2")], {("GET", "unmatched", "307"): 2}),
    ("a wrong method", [("DELETE", "/users/1")], {("DELETE", "/users/{user_id}", "405"): 1}),
    ("odd methods", [("FOO1", "/users/1"), ("FOO2", "/users/1")], {("OTHER", "/users/{user_id}", "405"): 2}),
    ("HEAD", [("HEAD", "/users/1")], {("HEAD", "/users/{user_id}", "200"): 1}),
    ("an HTTPException in a route", [("GET", "/nf/1"), ("GET", "/nf/2")], {("GET", "/nf/{x}", "404"): 2}),
    (
        "a static mount",
        [("GET", "/api/items/1"), ("GET", "/api/items/2")],
        {("GET", "/api/items/{item_id}", "200"): 2},
    ),
    (
        "a mount with a parameter",
        [("GET", "/tenants/1/items/1"), ("GET", "/tenants/2/items/2")],
        {("GET", "/tenants/{tid}/items/{item_id}", "200"): 2},
    ),
    ("an opaque mount", [("GET", "/opaque/a"), ("GET", "/opaque/b/c")], {("GET", "/opaque", "200"): 2}),
    ("a mount that matched nothing", [("GET", "/api/no"), ("GET", "/api/nope")], {("GET", "/api", "404"): 2}),
    ("a stream", [("GET", "/stream")], {("GET", "/stream", "200"): 1}),
    ("an unhandled exception", [("GET", "/boom")], {("GET", "/boom", "500"): 1}),
    ("an exception in mid-stream", [("GET", "/broken-stream")], {("GET", "/broken-stream", "500"): 1}),
]


@pytest.mark.parametrize("row", MATRIX, ids=[row[0] for row in MATRIX])
async def test_each_request_counts_under_its_template(
    app: Starlette, metrics: Metrics, drive: Drive, row: Row
) -> None:
    _, requests, expected = row
    for method, path in requests:
        with contextlib.suppress(RuntimeError):
            await drive(app, path, method=method)
    assert counted(metrics) == expected
    assert metrics.traffic.in_flight == [0.0]


async def test_an_exception_passes_through_unchanged(app: Starlette, drive: Drive) -> None:
    with pytest.raises(RuntimeError, match=r"^boom$"):
        await drive(app, "/boom")


async def test_a_root_path_is_no_part_of_the_template(app: Starlette, metrics: Metrics, drive: Drive) -> None:
    await drive(app, "/proxy/users/1", root_path="/proxy")
    await drive(app, "/proxy/api/items/1", root_path="/proxy")
    await drive(app, "/users/1", root_path="/proxy")  # a proxy that strips the prefix
    assert counted(metrics) == {
        ("GET", "/users/{user_id}", "200"): 2,
        ("GET", "/api/items/{item_id}", "200"): 1,
    }


async def test_a_cancelled_request_is_499(app: Starlette, metrics: Metrics, drive: Drive) -> None:
    app.state.entered = asyncio.Event()
    request = asyncio.create_task(drive(app, "/slow"))
    await app.state.entered.wait()
    assert value(metrics, "http_active_connections") == 1
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert counted(metrics) == {("GET", "/slow", "499"): 1}
    assert metrics.traffic.in_flight == [0.0]


async def test_all_bytes_of_a_stream_count_and_its_first_byte(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    await drive(app, "/stream")
    labels = {"method": "GET", "endpoint": "/stream"}
    assert value(metrics, "http_response_size_bytes_sum", **labels) == 300
    assert value(metrics, "http_time_to_first_byte_seconds_count", **labels) == 1
    first = value(metrics, "http_time_to_first_byte_seconds_sum", **labels)
    whole = value(metrics, "http_request_duration_seconds_sum", **labels, status_class="2xx")
    assert first is not None
    assert whole is not None
    assert 0 < first < whole


async def test_a_response_in_one_part_has_no_first_byte(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    await drive(app, "/users/1")
    labels = {"method": "GET", "endpoint": "/users/{user_id}"}
    assert value(metrics, "http_time_to_first_byte_seconds_count", **labels) is None
    assert value(metrics, "http_response_size_bytes_bucket", **labels, le="100.0") == 1


async def test_both_ways_find_the_same_bucket(metrics: Metrics, drive: Drive) -> None:
    """The first request goes the slow way, the others the fast one: in the first bucket, and in another."""

    async def pause(request: Request) -> Response:
        await asyncio.sleep(int(request.path_params["milliseconds"]) / 1000)
        return PlainTextResponse("x" * 2_000)

    app = MetricsMiddleware(Starlette(routes=[Route("/{milliseconds}", pause)]), metrics=metrics)
    for milliseconds in (0, 0, 0, 60, 60):
        await drive(app, f"/{milliseconds}")
    labels = {"method": "GET", "endpoint": "/{milliseconds}"}
    seconds = "http_request_duration_seconds"
    below = value(metrics, f"{seconds}_bucket", **labels, status_class="2xx", le="0.05")
    assert below == 3
    assert value(metrics, f"{seconds}_count", **labels, status_class="2xx") == 5
    total = value(metrics, f"{seconds}_sum", **labels, status_class="2xx")
    assert total is not None
    assert total >= 0.12
    assert value(metrics, "http_response_size_bytes_bucket", **labels, le="1000.0") == 0
    assert value(metrics, "http_response_size_bytes_bucket", **labels, le="10000.0") == 5


async def test_a_body_of_head_is_not_sent_and_not_counted(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    for _ in range(2):
        await drive(app, "/users/1", method="HEAD")
    labels = {"method": "HEAD", "endpoint": "/users/{user_id}"}
    assert value(metrics, "http_response_size_bytes_count", **labels) == 2
    assert value(metrics, "http_response_size_bytes_sum", **labels) == 0


async def test_background_tasks_take_no_time(app: Starlette, metrics: Metrics, drive: Drive) -> None:
    async def work() -> None:
        await asyncio.sleep(0.05)

    app.state.background = BackgroundTask(work)
    await drive(app, "/users/1")
    labels = {"method": "GET", "endpoint": "/users/{user_id}", "status_class": "2xx"}
    seconds = value(metrics, "http_request_duration_seconds_sum", **labels)
    assert seconds is not None
    assert seconds < 0.05


async def test_a_background_task_that_breaks_leaves_the_status(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    async def work() -> None:
        raise RuntimeError("too late")

    app.state.background = BackgroundTask(work)
    with pytest.raises(RuntimeError, match="too late"):
        await drive(app, "/users/1")
    assert counted(metrics) == {("GET", "/users/{user_id}", "200"): 1}


async def test_a_500_at_zero_is_there_from_the_first_request_on(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    await drive(app, "/users/1")
    labels = {"method": "GET", "endpoint": "/users/{user_id}"}
    assert value(metrics, "http_requests_total", **labels, status="500") == 0
    assert value(metrics, "http_request_duration_seconds_count", **labels, status_class="5xx") is None


# -- FastAPI's routers ---------------------------------------------------------------------------------------
def nested(metrics: Metrics) -> FastAPI:
    """Routers in routers, one of them included twice, with mounts and plain routes inside."""
    deep = APIRouter()

    @deep.get("/things/{thing_id}")
    async def thing(thing_id: int) -> int:
        return thing_id

    deep.add_route("/plain/{x}", plain)
    sub = FastAPI()

    @sub.get("/zone/{zone}")
    async def zone(zone: str) -> str:
        return zone

    deep.mount("/mounted/{m}", sub)
    middle, outer = APIRouter(prefix="/middle"), APIRouter()
    middle.include_router(deep, prefix="/v1")
    middle.include_router(deep, prefix="/v2/{tenant}")
    outer.include_router(middle, prefix="/outer")
    app = FastAPI()
    app.include_router(outer)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    return app


async def plain(_: Request) -> Response:
    return PlainTextResponse("plain")


@pytest.mark.parametrize(
    ("path", "status", "template"),
    [
        ("/outer/middle/v1/things/1", 200, "/outer/middle/v1/things/{thing_id}"),
        ("/outer/middle/v2/acme/things/1", 200, "/outer/middle/v2/{tenant}/things/{thing_id}"),
        ("/outer/middle/v1/things/x", 422, "/outer/middle/v1/things/{thing_id}"),
        ("/outer/middle/v1/plain/1", 200, "/outer/middle/v1/plain/{x}"),
        ("/outer/middle/v1/mounted/7/zone/eu", 200, "/outer/middle/v1/mounted/{m}/zone/{zone}"),
        ("/outer/middle/v2/me/mounted/7/zone/eu", 200, "/outer/middle/v2/{tenant}/mounted/{m}/zone/{zone}"),
        ("/outer/middle/v1/mounted/7/nope", 404, "/outer/middle/v1/mounted/{m}"),
        ("/outer/middle/v1/nope", 404, "unmatched"),
    ],
)
async def test_included_routers_keep_their_prefixes(
    metrics: Metrics, drive: Drive, path: str, status: int, template: str
) -> None:
    app = nested(metrics)
    for _ in range(2):  # the second one by the fast path
        await drive(app, path)
    assert counted(metrics) == {("GET", template, str(status)): 2}


async def test_one_router_included_twice_is_two_endpoints(metrics: Metrics, drive: Drive) -> None:
    app = nested(metrics)
    for _ in range(2):
        await drive(app, "/outer/middle/v1/things/1")
        await drive(app, "/outer/middle/v2/acme/things/1")
    assert counted(metrics) == {
        ("GET", "/outer/middle/v1/things/{thing_id}", "200"): 2,
        ("GET", "/outer/middle/v2/{tenant}/things/{thing_id}", "200"): 2,
    }


async def test_a_fastapi_application_with_a_root_path(metrics: Metrics, drive: Drive) -> None:
    with pytest.warns(FastAPIDeprecationWarning, match="root_path"):
        app = FastAPI(root_path="/proxy")
    app.add_api_route("/users/{user_id}", plain)
    app.mount("/api", inner())
    _share_state(app)
    wrapped = MetricsMiddleware(app, metrics=metrics)  # outside, where root_path is not set yet
    await drive(wrapped, "/users/1")
    await drive(wrapped, "/proxy/users/1")
    await drive(wrapped, "/proxy/api/items/1")
    assert counted(metrics) == {
        ("GET", "/users/{user_id}", "200"): 2,
        ("GET", "/api/items/{item_id}", "200"): 1,
    }


async def test_files_of_a_frontend_are_one_endpoint(metrics: Metrics, drive: Drive, tmp_path: Any) -> None:  # noqa: ANN401  # a Path
    (tmp_path / "index.html").write_text("<p>hello")
    (tmp_path / "app.js").write_text("1")
    app = FastAPI()
    app.frontend("/shop", directory=str(tmp_path))
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    await drive(app, "/shop/index.html")
    await drive(app, "/shop/app.js")
    await drive(app, "/elsewhere")
    assert counted(metrics) == {("GET", "/shop/{path}", "200"): 2, ("GET", "unmatched", "404"): 1}


# -- Several middlewares, applications, metrics --------------------------------------------------------------
async def test_the_same_middleware_twice_counts_once(app: Starlette, metrics: Metrics, drive: Drive) -> None:
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    await drive(app, "/users/1")
    assert counted(metrics) == {("GET", "/users/{user_id}", "200"): 1}


async def test_a_mounted_application_with_its_own_middleware_counts_once(
    metrics: Metrics, drive: Drive
) -> None:
    below = inner()
    below.state.background = None
    below.add_middleware(MetricsMiddleware, metrics=metrics)
    app = Starlette(
        routes=[Mount("/api", below)], middleware=[Middleware(MetricsMiddleware, metrics=metrics)]
    )
    await drive(app, "/api/items/1")
    assert counted(metrics) == {("GET", "/api/items/{item_id}", "200"): 1}


async def test_a_mounted_application_alone_has_templates_of_its_own(metrics: Metrics, drive: Drive) -> None:
    deepest = inner()
    deepest.state.background = None
    below = Starlette(
        routes=[Route("/own", plain), Mount("/deep/{d}", deepest)],
        middleware=[Middleware(MetricsMiddleware, metrics=metrics)],
    )
    app = Starlette(routes=[Mount("/tenants/{tid}", below)])
    await drive(app, "/tenants/1/own")
    await drive(app, "/tenants/2/deep/3/items/4")
    assert counted(metrics) == {("GET", "/own", "200"): 1, ("GET", "/deep/{d}/items/{item_id}", "200"): 1}


async def test_two_metrics_around_one_application_both_count(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    other = Metrics(registry=CollectorRegistry())
    app.add_middleware(MetricsMiddleware, metrics=other)
    await drive(app, "/users/1")
    assert counted(metrics) == counted(other) == {("GET", "/users/{user_id}", "200"): 1}


async def test_two_applications_of_one_metrics_add_up(metrics: Metrics, drive: Drive) -> None:
    for _ in range(2):
        app = Starlette(routes=[Route("/x", plain)])
        app.add_middleware(MetricsMiddleware, metrics=metrics)
        await drive(app, "/x")
    assert counted(metrics) == {("GET", "/x", "200"): 2}


@pytest.mark.parametrize("make", [starlette_app, fastapi_app], ids=["starlette", "fastapi"])
async def test_an_application_made_again_and_again_leaves_nothing(
    metrics: Metrics, drive: Drive, make: Callable[[], Starlette]
) -> None:
    """As test suites do it: one Metrics, many applications, each of which is used and let go."""
    alive: list[weakref.ref[object]] = []
    for _ in range(20):
        app = make()
        app.state.background = None
        app.add_middleware(MetricsMiddleware, metrics=metrics)
        metrics.mount(app)
        await drive(app, "/users/1")
        await drive(app, "/metrics")
        alive += [weakref.ref(app), weakref.ref(app.middleware_stack)]
        del app
    for _ in range(100):  # the thread that rendered the page may still be letting go of it
        gc.collect()
        if not any(reference() for reference in alive):
            break
        await asyncio.sleep(0.01)
    assert [reference() for reference in alive if reference() is not None] == []
    assert len(metrics.traffic._recorders) == 0
    assert counted(metrics) == {("GET", "/users/{user_id}", "200"): 20}


async def test_metrics_let_go_leave_their_applications_alone(drive: Drive) -> None:
    registry = CollectorRegistry()
    apps = []
    for _ in range(3):
        app = Starlette(routes=[Route("/x", plain)])
        app.add_middleware(MetricsMiddleware, metrics=Metrics(registry=registry))
        apps.append(app)
    for app in apps:
        await drive(app, "/x")
    labels = {"method": "GET", "endpoint": "/x", "status": "200"}
    assert registry.get_sample_value("claw_ai_http_requests_total", labels) == 3


async def test_the_default_metrics_are_used_where_none_are_given(drive: Drive) -> None:
    app = MetricsMiddleware(Starlette(routes=[Route("/default-metrics-test", plain)]))
    await drive(app, "/default-metrics-test")
    assert counted(default_metrics)["GET", "/default-metrics-test", "200"] == 1


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
async def test_middleware_of_other_kinds_changes_nothing(
    metrics: Metrics,
    drive: Drive,
    outside: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    class Stamp(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            response.headers["x-stamp"] = "1"
            return response

    ours = [Middleware(MetricsMiddleware, metrics=metrics)]
    others = [Middleware(GZipMiddleware, minimum_size=1), Middleware(Stamp)]
    app = Starlette(
        routes=[Route("/stream/{x}", stream), Route("/broken", broken_stream), Mount("/api/{y}", opaque)],
        middleware=others + ours if outside else ours + others,
    )
    start, *_ = await drive(app, "/stream/1", headers={"accept-encoding": "gzip"})
    await drive(app, "/api/1/x")
    with pytest.raises(RuntimeError, match="lost the model"):
        await drive(app, "/broken")
    assert (b"x-stamp", b"1") in start["headers"]
    # Starlette's BaseHTTPMiddleware ends the body of a broken stream properly, before the exception goes on.
    broken = "500" if outside else "200"
    assert counted(metrics) == {
        ("GET", "/stream/{x}", "200"): 1,
        ("GET", "/api/{y}", "200"): 1,
        ("GET", "/broken", broken): 1,
    }


# -- Excluding -----------------------------------------------------------------------------------------------
async def test_excluded_templates_are_not_counted(metrics: Metrics, drive: Drive) -> None:
    routes = [Route("/healthz", plain), Route("/users/{user_id}", plain), Route("/stream", stream)]
    middleware = Middleware(MetricsMiddleware, metrics=metrics, exclude=["/healthz", "/stream", "unmatched"])
    app = Starlette(routes=routes, middleware=[middleware])
    for path in ("/healthz", "/healthz", "/nope", "/users/1", "/stream"):
        await drive(app, path)
    assert counted(metrics) == {("GET", "/users/{user_id}", "200"): 1}


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ("/healthz", r"exclude is the string '/healthz': pass a list of templates, \['/healthz'\]"),
        (["healthz"], "exclude contains 'healthz': pass a route template, which starts with '/'"),
        ([7], "exclude contains 7: pass a route template, which starts with '/'"),
    ],
)
def test_what_is_excluded_is_checked(metrics: Metrics, exclude: Any, message: str) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError, match=message):
        MetricsMiddleware(opaque, metrics=metrics, exclude=exclude)


# -- Any ASGI application ------------------------------------------------------------------------------------
def answering(*messages: Message, error: BaseException | None = None) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"777")]}
PART = {"type": "http.response.body", "body": b"12345", "more_body": True}
END = {"type": "http.response.body"}


Sequence = tuple[list["Message"], BaseException | None, str, int]
SEQUENCES: list[Sequence] = [
    ([START, PART, END], None, "200", 5),
    ([START, PART, PART], None, "499", 10),
    ([START], None, "499", 0),
    ([], None, "500", 0),
    ([START, PART], ClientDisconnect(), "499", 5),
    ([START, PART], BaseExceptionGroup("", [asyncio.CancelledError()]), "499", 5),
    ([START, PART], BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]), "500", 5),
    ([START, PART, END], ValueError(), "200", 5),
    ([START, PART, END, {"type": "http.response.trailers", "headers": []}], None, "200", 5),
    ([START, {"type": "http.response.pathsend", "path": "/x"}], None, "200", 777),
    ([{**START, "headers": []}, {"type": "http.response.pathsend", "path": "/x"}], None, "200", 0),
    ([START, {"type": "http.response.zerocopysend", "file": 3, "count": 42}], None, "200", 42),
    ([START, {"type": "http.response.zerocopysend", "file": 3, "more_body": True}, END], None, "200", 0),
    ([{**START, "status": 999}, END], None, "OTHER", 0),
    ([{"type": "http.response.debug", "info": {}}, START, END], None, "200", 0),
    ([START, {"type": "http.response.body", "body": b"123"}, PART], None, "200", 8),
    ([START, {"type": "http.response.body", "body": b"123", "more_body": False}], None, "200", 3),
    ([{"type": "http.response.body", "body": b"123"}], None, "500", 3),
]


@pytest.mark.parametrize("sequence", SEQUENCES)
async def test_every_sequence_of_messages_has_a_status_and_a_size(
    metrics: Metrics, drive: Drive, sequence: Sequence
) -> None:
    messages, error, status, size = sequence
    app = MetricsMiddleware(answering(*messages, error=error), metrics=metrics)
    if error is None:
        assert await drive(app) == messages
    else:
        with pytest.raises(type(error)) as raised:
            await drive(app)
        assert raised.value is error
    assert counted(metrics) == {("GET", "unmatched", status): 1}
    assert value(metrics, "http_response_size_bytes_sum", method="GET", endpoint="unmatched") == size
    assert value(metrics, "exporter_internal_errors_total", where="send") is None


class Refusing:
    """A server's ``send`` that is no function, so that nobody can see where its errors come from."""

    async def __call__(self, message: Message) -> None:
        raise OSError(message["type"])


async def refuse(message: Message) -> None:
    raise OSError(message["type"])


@pytest.mark.parametrize(
    ("send", "error", "status"),
    [
        (refuse, None, "499"),
        (Refusing().__call__, None, "499"),
        (Refusing(), None, "500"),
        (opaque, ConnectionRefusedError("the database"), "500"),
    ],
)
async def test_only_an_error_of_the_servers_send_means_that_the_client_left(
    metrics: Metrics,
    send: Any,  # noqa: ANN401  # of several kinds
    error: OSError | None,
    status: str,
) -> None:
    app = MetricsMiddleware(answering(*([] if error else [START]), error=error), metrics=metrics)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(OSError, match=r"http.response.start|the database"):
        await app(scope, send, send)
    assert counted(metrics) == {("GET", "unmatched", status): 1}


async def test_a_status_outside_of_http_has_a_class_of_its_own(metrics: Metrics, drive: Drive) -> None:
    await drive(MetricsMiddleware(answering({**START, "status": 999}, END), metrics=metrics))
    labels = {"method": "GET", "endpoint": "unmatched", "status_class": "OTHER"}
    assert value(metrics, "http_request_duration_seconds_count", **labels) == 1


async def test_a_path_sent_before_the_start_is_no_error_of_ours(metrics: Metrics, drive: Drive) -> None:
    message = {"type": "http.response.pathsend", "path": "/x"}
    assert await drive(MetricsMiddleware(answering(message), metrics=metrics)) == [message]
    assert counted(metrics) == {("GET", "unmatched", "500"): 1}


async def test_messages_that_cannot_be_read_are_passed_on_and_counted(metrics: Metrics, drive: Drive) -> None:
    messages: list[Message] = [{"no": "type"}, {"type": "http.response.body", "body": None}]
    assert await drive(MetricsMiddleware(answering(*messages), metrics=metrics)) == messages
    assert value(metrics, "exporter_internal_errors_total", where="send") == 2


async def test_an_error_while_recording_does_not_reach_the_request(metrics: Metrics, drive: Drive) -> None:
    app = MetricsMiddleware(answering({**START, "status": "two hundred"}, END), metrics=metrics)
    assert len(await drive(app)) == 2
    assert value(metrics, "exporter_internal_errors_total", where="http") == 1
    assert metrics.traffic.in_flight == [0.0]


async def test_without_a_gil_everything_happens_under_a_lock(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys._is_gil_enabled", lambda: False, raising=False)
    metrics = Metrics(registry=CollectorRegistry())
    seen: list[float | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(value(metrics, "http_active_connections"))
        if scope["type"] == "http":
            await opaque(scope, receive, send)

    async def nothing(*_: Any) -> Any:  # noqa: ANN401  # never called
        raise AssertionError

    measured = MetricsMiddleware(Starlette(routes=[Mount("/api", app)]), metrics=metrics)
    for _ in range(3):
        await drive(measured, "/api/1")
    await MetricsMiddleware(app, metrics=metrics)({"type": "lifespan"}, nothing, nothing)
    assert counted(metrics) == {("GET", "/api", "200"): 3}
    assert seen == [1.0, 1.0, 1.0, 0.0]
    assert metrics.traffic.in_flight == [0.0]


async def test_a_forked_process_begins_anew(app: Starlette, metrics: Metrics, drive: Drive) -> None:
    """What `Store.on_fork` calls in the child, where every list of the parent is void."""
    app.state.entered = asyncio.Event()
    for _ in range(2):
        await drive(app, "/users/1")
    before = metrics.traffic.in_flight
    for callback in metrics.store._on_fork:
        callback()
    assert counted(metrics) == {}
    for _ in range(3):
        await drive(app, "/users/1")
    request = asyncio.create_task(drive(app, "/slow"))
    await app.state.entered.wait()
    assert (before, metrics.traffic.in_flight) == ([0.0], [1.0])
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert counted(metrics) == {("GET", "/users/{user_id}", "200"): 3, ("GET", "/slow", "499"): 1}


async def test_a_framework_that_changed_its_insides_does_not_reach_the_request(
    metrics: Metrics, drive: Drive
) -> None:
    class Changed:
        @property
        def routes(self) -> list[object]:
            raise RuntimeError("renamed in 9.0")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["router"] = Changed()
        await opaque(scope, receive, send)

    await drive(MetricsMiddleware(app, metrics=metrics))
    assert counted(metrics) == {("GET", "unmatched", "200"): 1}
    assert value(metrics, "exporter_internal_errors_total", where="routes") == 1


async def test_lifespan_passes_through(metrics: Metrics) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope)

    async def nothing(*_: Any) -> Any:  # noqa: ANN401  # never called
        raise AssertionError

    scope = {"type": "lifespan"}
    await MetricsMiddleware(app, metrics=metrics)(scope, nothing, nothing)
    assert seen == [scope]
    assert counted(metrics) == {}


def test_the_wrapped_application_can_be_found(metrics: Metrics) -> None:
    assert MetricsMiddleware(opaque, metrics=metrics).app is opaque  # type: ignore[attr-defined]  # for walkers


# -- Bounds --------------------------------------------------------------------------------------------------
async def test_thousands_of_paths_and_methods_make_few_series(
    app: Starlette, metrics: Metrics, drive: Drive
) -> None:
    for number in range(1_500):
        await drive(app, f"/users/{number}")
        await drive(app, f"/nope/{number}", method=f"M{number}")
        await drive(app, f"/tenants/{number}/items/{number}")
    assert counted(metrics) == {
        ("GET", "/users/{user_id}", "200"): 1_500,
        ("OTHER", "unmatched", "404"): 1_500,
        ("GET", "/tenants/{tid}/items/{item_id}", "200"): 1_500,
    }


async def test_endless_routes_overflow_into_one_series_per_status(drive: Drive) -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=10)
    app = Starlette(routes=[Route(f"/r{number}", stream) for number in range(50)])
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    metrics.register()
    for _ in range(2):
        for number in range(50):
            await drive(app, f"/r{number}")
    total = counted(metrics)
    assert len(total) == 6
    assert total["OTHER", "__overflow__", "200"] == 90
    assert dict(metrics.store.counter(OVERFLOW).series())[HTTP_REQUESTS.name,] == [90.0]


async def test_a_hostile_client_and_hostile_routes_make_a_bounded_number_of_series(drive: Drive) -> None:
    """Whoever chooses paths, methods, statuses, close codes and label values: the store has its bound."""
    bound = 25

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        number = int(scope["path"].rpartition("/")[2])
        scope["route"] = Route(f"/hostile/{number % 90}", plain)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 3000 + number})
            return
        await send({"type": "http.response.start", "status": number, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def silent(*_: Any) -> Any:  # noqa: ANN401  # not called, or not looked at
        return {"type": "websocket.connect"}

    metrics = Metrics(registry=CollectorRegistry(), max_series=bound)
    measured = MetricsMiddleware(app, metrics=metrics, labels={"user": lambda scope: scope["path"]})
    for number in range(700):
        await drive(measured, f"/{number}", method=f"M{number}" if number % 3 else "GET")
        await measured({"type": "websocket", "path": f"/{number}", "headers": []}, silent, silent)
    snapshot = {spec.name: dict(series) for spec, series in metrics.store.snapshot()}
    rows = {name: [key for key in series if "__overflow__" not in key] for name, series in snapshot.items()}
    assert {name: len(found) for name, found in rows.items() if len(found) > bound} == {}
    folded = {name: len(snapshot[name]) - len(rows[name]) for name in snapshot}
    # One row for each status or class of it that HTTP has, and OTHER; one where no label is a closed list.
    assert folded.pop("claw_ai_http_requests_total") <= 501
    assert folded.pop("claw_ai_http_request_duration_seconds") <= 6
    assert set(folded.values()) <= {0, 1}
    assert len(metrics.traffic._label_values["user"]) == 20
    counted_as = {labels[0]: child[0] for labels, child in snapshot[OVERFLOW.name].items()}
    assert counted_as["claw_ai_http_requests_total"] > 600
    assert counted_as["claw_ai_websocket_duration_seconds"] > 600
    assert sum(child[0] for child in snapshot["claw_ai_http_requests_total"].values()) == 700


async def test_a_full_cache_of_routes_is_emptied(
    metrics: Metrics, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claw_exporter.middleware._CACHED_ROUTES", 3)
    app = Starlette(routes=[Route(f"/r{number}", plain) for number in range(10)])
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    for _ in range(2):
        for number in range(10):
            await drive(app, f"/r{number}")
    assert counted(metrics) == {("GET", f"/r{number}", "200"): 2 for number in range(10)}


class StaticApp:
    @staticmethod
    async def __call__(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(START, END)(scope, receive, send)


class MethodApp:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answering(START, END)(scope, receive, send)


class HidingApp(MethodApp):
    def __init__(self) -> None:
        vars(self)["__call__"] = None  # Python calls that of the class


@pytest.mark.parametrize(
    "app",
    [StaticApp(), MethodApp(), MethodApp().__call__, HidingApp()],
    ids=["static", "class", "bound", "own"],
)
async def test_anything_that_can_be_called_is_an_application(
    app: ASGIApp, metrics: Metrics, drive: Drive
) -> None:
    assert await drive(MetricsMiddleware(app, metrics=metrics)) == [START, END]


def test_gauges_and_faults_exist_only_where_needed(metrics: Metrics) -> None:
    assert metrics.store.gauge(HTTP_ACTIVE).series() == []
    assert metrics.store.counter(INTERNAL_ERRORS).series() == []


async def test_hosts_consume_no_path(metrics: Metrics, drive: Drive) -> None:
    below = inner()
    below.state.background = None
    app = Starlette(routes=[Host("api.example.org", Starlette(routes=[Mount("/in", below)]))])
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    await drive(app, "/in/items/1", headers={"host": "api.example.org"})
    assert counted(metrics) == {("GET", "/in/items/{item_id}", "200"): 1}
