"""What only FastAPI has: included routers, sub-applications, a root path of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import PlainTextResponse, Response

from claw_exporter import MetricsMiddleware

pytest.importorskip("fastapi")

from fastapi import APIRouter, FastAPI, WebSocket  # after the question whether it is there

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.types import Message

    from claw_exporter import Metrics

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]
    Count = Callable[[], dict[tuple[str, str, str], float]]


async def plain(_: Request) -> Response:
    return PlainTextResponse("plain")


async def thing(thing_id: int) -> int:
    await asyncio.sleep(0)
    return thing_id


def threaded(thing_id: int) -> int:
    return thing_id


async def room(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(4001)


def sub_application() -> FastAPI:
    sub, router = FastAPI(), APIRouter(prefix="/in")
    router.add_api_route("/things/{thing_id}", thing)
    sub.include_router(router, prefix="/sub")
    sub.add_api_route("/direct/{thing_id}", thing)
    return sub


def nested(metrics: Metrics) -> FastAPI:
    """Routers in routers three deep, one of them included twice, and sub-applications."""
    deep, middle, outer = APIRouter(), APIRouter(prefix="/middle"), APIRouter()
    deep.add_api_route("/things/{thing_id}", thing)
    deep.add_api_route("/threaded/{thing_id}", threaded)
    deep.add_route("/plain/{x}", plain)
    deep.mount("/mounted/{m}", sub_application())
    deep.add_api_websocket_route("/room/{room}", room)
    middle.include_router(deep, prefix="/v1")
    middle.include_router(deep, prefix="/v2/{tenant}")
    outer.include_router(middle, prefix="/outer")
    app = FastAPI()
    app.include_router(outer)
    app.mount("/app", sub_application())
    app.mount("/apps/{name}", sub_application())
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    return app


ROWS = [
    ("/outer/middle/v1/things/1", "/outer/middle/v1/things/{thing_id}", "200"),
    ("/outer/middle/v2/acme/things/1", "/outer/middle/v2/{tenant}/things/{thing_id}", "200"),
    ("/outer/middle/v1/things/x", "/outer/middle/v1/things/{thing_id}", "422"),
    ("/outer/middle/v1/threaded/1", "/outer/middle/v1/threaded/{thing_id}", "200"),
    ("/outer/middle/v1/nope", "unmatched", "404"),
    ("/outer/middle/v1/things/1/", "unmatched", "307"),
    ("/app/sub/in/things/1", "/app/sub/in/things/{thing_id}", "200"),
    ("/app/direct/1", "/app/direct/{thing_id}", "200"),
    ("/app/nope", "/app", "404"),
    ("/apps/shop/sub/in/things/1", "/apps/{name}/sub/in/things/{thing_id}", "200"),
    ("/apps/shop/nope", "/apps/{name}", "404"),
    ("/docs", "/docs", "200"),
    ("/openapi.json", "/openapi.json", "200"),
]


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize(("path", "template", "status"), ROWS)
async def test_included_routers_and_sub_applications_keep_their_prefixes(  # noqa: PLR0913, PLR0917  # parameters
    metrics: Metrics, counted: Count, drive: Drive, root_path: str, path: str, template: str, status: str
) -> None:
    app = nested(metrics)
    for _ in range(2):  # the second one by the fast path
        await drive(app, root_path + path, root_path=root_path)
    assert counted() == {("GET", template, status): 2}
    assert metrics.registry.get_sample_value("claw_ai_exporter_internal_errors_total") is None


async def test_a_wrong_method_in_an_included_router(metrics: Metrics, counted: Count, drive: Drive) -> None:
    app = nested(metrics)
    for method in ("DELETE", "HEAD", "ODD"):
        await drive(app, "/outer/middle/v1/things/1", method=method)
    endpoint = "/outer/middle/v1/things/{thing_id}"
    assert counted() == {(method, endpoint, "405"): 1 for method in ("DELETE", "HEAD", "OTHER")}


async def test_one_router_included_twice_is_two_endpoints(
    metrics: Metrics, counted: Count, drive: Drive
) -> None:
    app = nested(metrics)
    for _ in range(2):
        await drive(app, "/outer/middle/v1/things/1")
        await drive(app, "/outer/middle/v2/acme/things/1")
    assert counted() == {
        ("GET", "/outer/middle/v1/things/{thing_id}", "200"): 2,
        ("GET", "/outer/middle/v2/{tenant}/things/{thing_id}", "200"): 2,
    }


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/plain/1", "/v1/plain/{x}"),
        ("/v2/me/mounted/7/direct/1", "/v2/{tenant}/mounted/{m}/direct/{thing_id}"),
        ("/v2/me/mounted/7/sub/in/things/1", "/v2/{tenant}/mounted/{m}/sub/in/things/{thing_id}"),
    ],
)
async def test_mounts_and_plain_routes_in_included_routers(
    metrics: Metrics, counted: Count, drive: Drive, path: str, template: str
) -> None:
    app = nested(metrics)
    start, *_ = await drive(app, f"/outer/middle{path}")
    if start["status"] == 404:  # FastAPI before 0.137 leaves them out, or out of their router's own prefix
        assert counted() == {("GET", "unmatched", "404"): 1}
    else:
        assert counted() == {("GET", f"/outer/middle{template}", "200"): 1}


async def test_a_websocket_in_an_included_router(
    metrics: Metrics, connect: Drive, sampled: Callable[..., float | None]
) -> None:
    await connect(nested(metrics), "/outer/middle/v2/acme/room/1")
    labels = {"endpoint": "/outer/middle/v2/{tenant}/room/{room}", "close_code": "4001"}
    assert sampled("websocket_duration_seconds_count", **labels) == 1


async def test_an_application_with_a_root_path_of_its_own(
    metrics: Metrics, counted: Count, drive: Drive
) -> None:
    app = FastAPI()
    app.root_path = "/proxy"  # what the argument of this name sets, which newer versions warn about
    app.add_api_route("/things/{thing_id}", thing)
    app.mount("/apps/{name}", sub_application())
    wrapped = MetricsMiddleware(app, metrics=metrics)  # outside, where root_path is not set yet
    for _ in range(2):
        await drive(wrapped, "/things/1")
        await drive(wrapped, "/proxy/things/1")
        await drive(wrapped, "/proxy/apps/shop/direct/1")
    assert counted() == {
        ("GET", "/things/{thing_id}", "200"): 4,
        ("GET", "/apps/{name}/direct/{thing_id}", "200"): 2,
    }
