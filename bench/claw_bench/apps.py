"""The three applications that are measured: the same twenty routes, declared in three ways."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import APIRouter, FastAPI
    from starlette.requests import Request

__all__ = ["APPS", "PATHS", "TITLES"]

_RESOURCES: Final = [f"resource-{number}" for number in range(10)]
# One request for each route; a run goes round them.
PATHS: Final = [f"/api/{name}{rest}" for name in _RESOURCES for rest in ("", "/42")]


async def _starlette_list(_request: Request) -> JSONResponse:
    return JSONResponse({"items": [1, 2, 3]})


async def _starlette_item(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["item_id"]})


async def _fastapi_list() -> dict[str, list[int]]:
    return {"items": [1, 2, 3]}


async def _fastapi_item(item_id: str) -> dict[str, str]:
    return {"id": item_id}


def _starlette() -> Starlette:
    routes = []
    for name in _RESOURCES:
        routes.append(Route(f"/api/{name}", _starlette_list))
        routes.append(Route(f"/api/{name}/{{item_id}}", _starlette_item))
    return Starlette(routes=routes)


def _resource(router: APIRouter | FastAPI, prefix: str) -> None:
    router.get(prefix)(_fastapi_list)
    router.get(f"{prefix}/{{item_id}}")(_fastapi_item)


def _fastapi(*, included: bool, **options: Any) -> FastAPI:  # noqa: ANN401  # FastAPI's own
    # Only here: under valgrind its import takes longer than all requests.
    from fastapi import APIRouter, FastAPI

    app = FastAPI(openapi_url=None, **options)  # without the documentation pages there are twenty routes
    if not included:
        for name in _RESOURCES:
            _resource(app, f"/api/{name}")
        return app
    api = APIRouter()
    for name in _RESOURCES:
        router = APIRouter()
        _resource(router, "")
        api.include_router(router, prefix=f"/{name}")
    app.include_router(api, prefix="/api")
    return app


# Each makes a new application; those of FastAPI take its own options.
APPS: Final[dict[str, Callable[..., Starlette]]] = {
    "starlette": _starlette,
    "fastapi-flat": partial(_fastapi, included=False),
    "fastapi-routers": partial(_fastapi, included=True),
}
TITLES: Final = {
    "starlette": "Starlette",
    "fastapi-flat": "FastAPI, flat",
    "fastapi-routers": "FastAPI, included routers",
}
