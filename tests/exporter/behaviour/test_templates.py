"""Under which template, method and status a request counts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from claw_exporter import Metrics, MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.applications import Starlette
    from starlette.requests import Request

    Drive = Callable[..., Coroutine[Any, Any, list[Any]]]
    Count = Callable[[], dict[tuple[str, str, str], float]]


async def user(_: Request) -> Response:
    return PlainTextResponse("user")


def inner() -> Route:
    return Route("/items/{item_id}", user)


# What it shows, the requests' method, their paths, and how each counts.
ROWS: dict[str, tuple[str, list[str], tuple[str, str]]] = {
    "a flat route": ("GET", ["/flat"], ("/flat", "200")),
    "a route with a parameter": ("GET", ["/users/1", "/users/2"], ("/users/{user_id}", "200")),
    "a converter": ("GET", ["/files/a", "/files/a/b"], ("/files/{path}", "200")),
    "no route": ("GET", ["/nope/1", "/nope/2"], ("unmatched", "404")),
    "a slash redirect": ("GET", ["/slash/1", "/slash/2"], ("unmatched", "307")),
    "a wrong method": ("DELETE", ["/users/1"], ("/users/{user_id}", "405")),
    "HEAD": ("HEAD", ["/users/1"], ("/users/{user_id}", "200")),
    "an HTTPException": ("GET", ["/nf/1", "/nf/2"], ("/nf/{x}", "404")),
    "a static mount": ("GET", ["/api/items/1", "/api/items/2"], ("/api/items/{item_id}", "200")),
    "a mount with a parameter": (
        "GET",
        ["/tenants/1/items/1", "/tenants/2/items/2"],
        ("/tenants/{tid}/items/{item_id}", "200"),
    ),
    "a mount of routes": ("GET", ["/listed/items/1"], ("/listed/items/{item_id}", "200")),
    "a mount in a mount": (
        "GET",
        ["/tenants/1/zones/eu/leaf/a", "/tenants/2/zones/us/leaf/b"],
        ("/tenants/{tid}/zones/{zone}/leaf/{leaf}", "200"),
    ),
    "an opaque mount": ("GET", ["/opaque/a", "/opaque/b/c"], ("/opaque", "200")),
    "a mount that matched nothing": ("GET", ["/api/no", "/api/nope"], ("/api", "404")),
    "a parametrised mount that matched nothing": (
        "GET",
        ["/tenants/1/no", "/tenants/2/nope"],
        ("/tenants/{tid}", "404"),
    ),
    "an inner mount that matched nothing": (
        "GET",
        ["/api/zones/eu/no", "/api/zones/us/nope"],
        ("/api/zones/{zone}", "404"),
    ),
    "an unhandled exception": ("GET", ["/boom"], ("/boom", "500")),
    "an exception in mid-stream": ("GET", ["/broken-stream"], ("/broken-stream", "500")),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_each_request_counts_under_its_template(
    app: Starlette,
    counted: Count,
    sampled: Callable[..., float | None],
    drive: Drive,
    row: tuple[str, list[str], tuple[str, str]],
) -> None:
    method, paths, (endpoint, status) = row
    for path in [*paths, *paths]:  # the second time by the fast path
        with contextlib.suppress(RuntimeError, ExceptionGroup):
            await drive(app, path, method=method)
    assert counted() == {(method, endpoint, status): 2 * len(paths)}
    assert sampled("http_active_connections") == 0
    assert sampled("exporter_internal_errors_total", where="routes") is None


async def test_odd_methods_are_one(app: Starlette, counted: Count, drive: Drive) -> None:
    for method in ("FOO1", "FOO2", "get"):
        await drive(app, "/users/1", method=method)
    assert counted() == {("OTHER", "/users/{user_id}", "405"): 3}


@pytest.mark.parametrize("root_path", ["/proxy", "/two/levels", "/api"])
@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/users/1", "/users/{user_id}"),
        ("/api/items/1", "/api/items/{item_id}"),
        ("/tenants/7/zones/eu/leaf/1", "/tenants/{tid}/zones/{zone}/leaf/{leaf}"),
        ("/opaque/x", "/opaque"),
    ],
)
async def test_a_root_path_is_no_part_of_the_template(  # noqa: PLR0913, PLR0917  # fixtures and parameters
    app: Starlette, counted: Count, drive: Drive, root_path: str, path: str, template: str
) -> None:
    for _ in range(2):
        await drive(app, root_path + path, root_path=root_path)
    assert counted() == {("GET", template, "200"): 2}


async def test_a_proxy_that_strips_its_prefix(app: Starlette, counted: Count, drive: Drive) -> None:
    for _ in range(2):
        await drive(app, "/users/1", root_path="/proxy")
    assert counted() == {("GET", "/users/{user_id}", "200"): 2}


async def test_requests_of_all_kinds_do_not_disturb_each_other(
    app: Starlette, counted: Count, drive: Drive
) -> None:
    expected: dict[tuple[str, str, str], float] = {}
    for _ in range(3):
        for method, paths, (endpoint, status) in ROWS.values():
            for path in paths:
                with contextlib.suppress(RuntimeError, ExceptionGroup):
                    await drive(app, path, method=method)
                expected[method, endpoint, status] = expected.get((method, endpoint, status), 0) + 1
    assert counted() == expected


async def test_a_hostile_client_makes_few_series(app: Starlette, counted: Count, drive: Drive) -> None:
    for number in range(200):
        await drive(app, f"/nope/{number}", method=f"M{number}")
        await drive(app, f"/tenants/{number}/items/{number}")
        await drive(app, f"/opaque/{number}")
    assert counted() == {
        ("OTHER", "unmatched", "404"): 200,
        ("GET", "/tenants/{tid}/items/{item_id}", "200"): 200,
        ("GET", "/opaque", "200"): 200,
    }


async def test_a_sub_application_with_a_middleware_of_its_own_counts_once(
    app: Starlette, metrics: Metrics, counted: Count, drive: Drive
) -> None:
    """Its middleware is made during the first request to it, which the outer one counts already."""
    for name in ("first", "second"):
        below = type(app)(routes=[Route("/leaf/{leaf}", user), Mount("/zones/{zone}", routes=[inner()])])
        below.add_middleware(MetricsMiddleware, metrics=metrics)
        app.mount(f"/sub/{name}/{{sub}}", below)
    for _ in range(2):
        await drive(app, "/sub/first/1/leaf/a")
        await drive(app, "/sub/second/2/leaf/b")
        await drive(app, "/sub/second/3/zones/eu/items/c")
        await drive(app, "/flat")
    assert counted() == {
        ("GET", "/sub/first/{sub}/leaf/{leaf}", "200"): 2,
        ("GET", "/sub/second/{sub}/leaf/{leaf}", "200"): 2,
        ("GET", "/sub/second/{sub}/zones/{zone}/items/{item_id}", "200"): 2,
        ("GET", "/flat", "200"): 2,
    }


async def test_a_sub_application_with_metrics_of_its_own_counts_in_both(
    app: Starlette, counted: Count, drive: Drive
) -> None:
    own = Metrics(registry=CollectorRegistry())
    below = type(app)(routes=[Route("/leaf/{leaf}", user)])
    below.add_middleware(MetricsMiddleware, metrics=own)
    app.mount("/sub/{sub}", below)
    for number in range(2):
        await drive(app, f"/sub/{number}/leaf/a")
    labels = {"method": "GET", "endpoint": "/leaf/{leaf}", "status": "200"}
    assert own.registry.get_sample_value("claw_ai_http_requests_total", labels) == 2
    assert counted() == {("GET", "/sub/{sub}/leaf/{leaf}", "200"): 2}
