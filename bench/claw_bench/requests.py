"""Requests as a server would hand them to an application, without the server."""

from __future__ import annotations

from time import process_time_ns
from typing import TYPE_CHECKING, Any, Final

from claw_bench.apps import APPS, PATHS
from claw_bench.variants import VARIANTS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

__all__ = ["RequestError", "pair", "run", "verify"]

_SCOPES: Final[list[dict[str, Any]]] = [
    {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"user-agent", b"bench"),
            (b"accept", b"*/*"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"connection", b"keep-alive"),
        ],
        "state": {},
    }
    for path in PATHS
]


class RequestError(Exception):
    """An application with a variant in it does not answer as it does without."""


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    pass


async def run(app: ASGIApp, requests: int) -> float:
    """Send requests, one after the other; return the processor time of one in microseconds."""
    routes = len(_SCOPES)
    started = process_time_ns()
    for number in range(requests):
        await app(dict(_SCOPES[number % routes]), _receive, _send)
    return (process_time_ns() - started) / requests / 1000


async def verify(app: ASGIApp) -> None:
    """Send one request to each route.

    Raises:
        RequestError: The answer is an exception, or its status is not 200.
    """
    for scope in _SCOPES:
        statuses: list[int] = []

        async def send(message: Message, statuses: list[int] = statuses) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        try:
            await app(dict(scope), _receive, send)
        except Exception as error:
            raise RequestError(f"{type(error).__name__}: {error}") from error
        if statuses != [200]:
            raise RequestError(f"{scope['path']} answered {statuses}, not 200")


async def pair(app_name: str, variant_name: str) -> tuple[ASGIApp, ASGIApp]:
    """Return an application without and with a variant, both of them verified.

    Raises:
        RequestError: One of them does not answer.
    """
    make = APPS[app_name]
    bare, measured = make(), VARIANTS[variant_name].install(make)
    for app in (bare, measured):
        await verify(app)
    return bare, measured
