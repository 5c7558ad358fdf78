"""What the behaviour matrix cannot show: other versions of the frameworks, and the bound of the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from claw_exporter.routes import UNMATCHED, Template, Templates, find

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]


async def shared(_: Request) -> PlainTextResponse:
    return PlainTextResponse("shared")


async def single(_: Request) -> PlainTextResponse:
    return PlainTextResponse("single")


async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("opaque")(scope, receive, send)


def wrapped(app: ASGIApp) -> ASGIApp:
    """Middleware as people write it: it keeps what it wraps in ``app``."""

    class Wrapper:
        def __init__(self, inner: ASGIApp) -> None:
            self.app = inner

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    return Wrapper(app)


def inner() -> list[Route | Mount]:
    return [
        Route("/one/{x}", single),
        Route("/first/{x}", shared),
        Route("/second/{x}", shared),
    ]


def application() -> Starlette:
    return Starlette(
        routes=[
            *inner(),
            Mount("/static", routes=inner()),
            Mount("/by/{name}", Starlette(routes=inner())),
            Mount("/wrapped", wrapped(Starlette(routes=[Mount("/deeper", routes=inner())]))),
            Mount("/opaque", opaque),
            Mount("/hidden", wrapped(opaque)),
            Mount("/", wrapped(opaque)),
        ]
    )


async def answered(drive: Drive, app: ASGIApp, path: str, *forgotten: str, root_path: str = "") -> Template:
    """Send a request and look its template up, as if routing had not left some things in the scope."""
    seen: list[Scope] = []

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await app(scope, receive, send)

    await drive(outer, path, root_path=root_path)
    for key in forgotten:
        seen[0].pop(key, None)
    return find(seen[0], root_path)


PATHS = [
    ("/one/1", "/one/{x}", True),
    ("/first/1", "/first/{x}", False),
    ("/second/1", "/second/{x}", False),
    ("/static/one/1", "/static/one/{x}", True),
    ("/static/second/1", "/static/second/{x}", False),
    ("/by/me/one/1", "/by/{name}/one/{x}", True),
    ("/by/me/second/1", "/by/{name}/second/{x}", False),
    ("/wrapped/deeper/one/1", "/wrapped/deeper/one/{x}", True),
    ("/opaque/any/thing", "/opaque", True),
    ("/hidden/any/thing", "/hidden", True),
    ("/static/nope", "/static", True),
    ("/anything", "/{path}", True),
]


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize("row", PATHS, ids=[row[0] for row in PATHS])
async def test_starlette_before_1_7_left_only_the_endpoint(
    drive: Drive, row: tuple[str, str, bool], root_path: str
) -> None:
    path, template, stable = row
    found = await answered(drive, application(), root_path + path, "route", root_path=root_path)
    assert found == Template(template, stable)


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize(("path", "template"), [row[:2] for row in PATHS])
async def test_starlette_leaves_the_route(drive: Drive, path: str, template: str, root_path: str) -> None:
    found = await answered(drive, application(), root_path + path, root_path=root_path)
    assert found == Template(template, stable=True)


@pytest.mark.parametrize("forgotten", [(), ("route",), ("route", "endpoint"), ("router",)])
async def test_whatever_is_missing_the_answer_is_bounded(drive: Drive, forgotten: tuple[str, ...]) -> None:
    expected = UNMATCHED if "endpoint" in forgotten else "/one/{x}"
    assert (await answered(drive, Starlette(routes=inner()), "/one/1", *forgotten)).path == expected


async def test_an_application_without_a_router_is_one_endpoint(drive: Drive) -> None:
    assert await answered(drive, opaque, "/any/thing") == Template(UNMATCHED, stable=True)


async def test_a_mount_that_cannot_be_found_costs_only_its_prefix(drive: Drive) -> None:
    async def hides(scope: Scope, receive: Receive, send: Send) -> None:
        await Starlette(routes=[Mount("/inner", routes=inner())])(scope, receive, send)

    app = Starlette(routes=[Mount("/outer", hides)])
    assert (await answered(drive, app, "/outer/inner/one/1")).path == "/one/{x}"


async def test_a_root_path_that_a_mounted_application_replaced_costs_only_the_prefix(drive: Drive) -> None:
    async def replaces(scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = "/elsewhere"
        scope["path"] = "/one/1"
        await Starlette(routes=inner())(scope, receive, send)

    app = Starlette(routes=[Mount("/outer", replaces)])
    assert (await answered(drive, app, "/outer/one/1")).path == "/one/{x}"


async def test_a_mount_after_an_included_router_is_found(drive: Drive) -> None:
    router, app = APIRouter(), FastAPI()
    router.add_api_route("/things/{x}", shared)
    app.include_router(router, prefix="/v1")
    app.mount("/late/{x}", Starlette(routes=inner()))
    assert (await answered(drive, app, "/late/7/one/1")).path == "/late/{x}/one/{x}"


async def test_files_of_an_included_frontend(drive: Drive, tmp_path: Any) -> None:  # noqa: ANN401  # a Path
    (tmp_path / "index.html").write_text("<p>hello")
    router, app = APIRouter(), FastAPI()
    router.frontend("/shop", directory=str(tmp_path))
    app.include_router(router, prefix="/v1")
    assert await answered(drive, app, "/v1/shop/index.html") == Template("/v1/shop/{path}", stable=False)


def test_a_context_of_another_route_is_stale_where_an_inner_application_went_on() -> None:
    class Context:
        original_route = object()
        starlette_route = Mount("/outer", routes=inner())

    scope: dict[str, Any] = {"path": "/x", "fastapi": {"effective_route_context": Context()}}
    assert find(scope | {"route": Route("/x", single)}, "").path == "/x"
    assert find(scope, "").path == "/outer/{path}"


def test_the_cache_is_bounded_and_keeps_what_its_keys_stand_for() -> None:
    templates = Templates(limit=3)
    for number in range(10):
        route = Route(f"/r{number}", single)  # let go at once, were it not for the cache
        scope = {"path": f"/r{number}", "route": route}
        assert templates.find(scope, "", None, route).path == f"/r{number}"
        assert templates.find(scope, "", None, route).path == f"/r{number}"
    assert len(templates._known) <= 3
