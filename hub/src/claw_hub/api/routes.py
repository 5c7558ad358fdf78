"""How a path becomes a route here: with and without a slash at its end, and with this package's errors."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from claw_hub.errors import QueryError

__all__ = ["PREFIX", "Refusal", "add", "query_router"]

PREFIX: Final = "/api/v1/observability"


class Refusal(BaseModel):
    """Why there is no answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error": "err-claw-hub-bad-query", "message": "limit is '0': greater than 0"}]
        }
    )

    error: str
    message: str


class QueryRoute(APIRoute):
    """A route whose parameters are refused as `QueryError`, not as FastAPI does it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns what answers a request."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                raise QueryError(_describe(error)) from None

        return handle


def query_router(**settings: Any) -> APIRouter:  # noqa: ANN401 - those of APIRouter
    """Returns an empty router below `PREFIX`."""
    return APIRouter(
        prefix=PREFIX,
        tags=["observability"],
        route_class=QueryRoute,
        responses={
            "4XX": {"model": Refusal, "description": "Refused; `error` says why, and never changes."},
            503: {"model": Refusal, "description": "Try again after `Retry-After` seconds."},
        },
        **settings,
    )


def add(
    router: APIRouter,
    path: str,
    endpoint: Callable[..., Awaitable[Any]],
    **settings: Any,  # noqa: ANN401 - those of add_api_route
) -> None:
    """Adds a route at `path`, and at the same path with a slash at its end, as the seed's clients ask."""
    settings = {"methods": ["GET"], "operation_id": endpoint.__name__, **settings}
    router.add_api_route(path, endpoint, **settings)
    router.add_api_route(f"{path}/", endpoint, include_in_schema=False, **settings)


def _describe(error: RequestValidationError) -> str:
    """Names each parameter, what was given, and what it should be."""
    return "; ".join(_mistake(mistake) for mistake in error.errors())


def _mistake(mistake: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in mistake["loc"][1:]) or "query"
    if mistake["type"] == "extra_forbidden":
        return f"{name[:64]!r} is not a parameter here"
    given = repr(mistake.get("input"))
    return f"{name} is {given if len(given) <= 64 else given[:64] + '...'}: {mistake['msg']}"  # noqa: PLR2004 - what fits a line
