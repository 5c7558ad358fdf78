"""The web application: one page, its static files, the dashboards, and a narrow door to Prometheus."""

import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from claw_preview.dashboards import Directory
from claw_preview.errors import BadQueryError, PreviewError, SettingsError
from claw_preview.loki import Loki
from claw_preview.prometheus import Prometheus
from claw_preview.settings import Settings
from claw_preview.source import Source, shown_url

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")
MAX_BODY_BYTES = 64 * 1024
HEADERS = {
    # The page must work, and be unable to do anything else, without a network: everything comes from here.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class FixedHeaders:
    """Adds the same headers to every response."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass through; add the headers when the response starts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_app(
    settings: Settings, *, prometheus: Prometheus | None = None, loki: Loki | None = None
) -> Starlette:
    """Wire the application.

    Raises:
        SettingsError: the chart library is not where its package puts it.
    """
    prometheus = prometheus or Prometheus(settings.prometheus_url, timeout_seconds=settings.timeout_seconds)
    if loki is None and settings.loki_url:
        loki = Loki(settings.loki_url, timeout_seconds=settings.timeout_seconds)
    directory = Directory(settings.dashboards)
    library = StaticFiles(directory=_chart_library())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await prometheus.aclose()
        if loki:
            await loki.aclose()

    async def plotly(request: Request) -> Response:
        return await library.get_response("plotly.min.js", request.scope)

    return Starlette(
        routes=[
            Route("/", _page),
            Route("/d/{uid}", _page),
            Route("/healthz", lambda _request: PlainTextResponse("ok\n")),
            Route("/api/config", _config(settings)),
            Route("/api/dashboards", _list(directory)),
            Route("/api/dashboards/{uid}", _dashboard(directory)),
            Route("/api/query", _proxy(prometheus, "query"), methods=["GET", "POST"]),
            Route("/api/query_range", _proxy(prometheus, "query_range"), methods=["GET", "POST"]),
            Route("/api/vars", _variables(prometheus), methods=["GET", "POST"]),
            *(_routes_of(loki) if loki else ()),
            Route("/vendor/plotly.min.js", plotly),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=_allowed_hosts(settings.host)),
            Middleware(FixedHeaders, headers=HEADERS),
        ],
        exception_handlers={PreviewError: _error},
        lifespan=lifespan,
    )


def _allowed_hosts(host: str) -> list[str]:
    """A page on loopback answers to loopback's names only, so that no other web site can read through it."""
    return list(LOOPBACK_HOSTS) if host in LOOPBACK_HOSTS else ["*"]


def _chart_library() -> Path:
    spec = importlib.util.find_spec("plotly")
    for location in (spec.submodule_search_locations or []) if spec else []:
        path = Path(location) / "package_data"
        if (path / "plotly.min.js").is_file():
            return path
    raise SettingsError("the package plotly holds no package_data/plotly.min.js; install plotly 6 or newer")


async def _page(_request: Request) -> Response:
    return Response((STATIC / "page.html").read_bytes(), media_type="text/html")


def _config(settings: Settings) -> Callable[[Request], Response]:
    body = {
        "prometheus_url": shown_url(settings.prometheus_url),
        "loki_url": shown_url(settings.loki_url) if settings.loki_url else None,
        "dashboards": str(settings.dashboards),
        "scrape_interval_seconds": settings.scrape_interval_seconds,
    }
    return lambda _request: JSONResponse(body)


def _list(directory: Directory) -> Callable[[Request], Response]:
    # A plain function: Starlette runs it in a thread, where reading files blocks nobody.
    def answer(_request: Request) -> Response:
        contents = directory.contents()
        dashboards = [dashboard.summary() for dashboard in contents.dashboards.values()]
        return JSONResponse(
            {"dashboards": dashboards, "broken": [item.summary() for item in contents.broken]}
        )

    return answer


def _dashboard(directory: Directory) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return Response(directory.find(request.path_params["uid"]).body, media_type="application/json")

    return answer


def _routes_of(loki: Loki) -> Iterable[Route]:
    yield Route("/api/loki/query", _proxy(loki, "query"), methods=["GET", "POST"])
    yield Route("/api/loki/query_range", _proxy(loki, "query_range"), methods=["GET", "POST"])
    yield Route("/api/loki/vars", _variables(loki), methods=["GET", "POST"])


def _proxy(source: Source, endpoint: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        result = await source.ask(endpoint, await _parameters(request))
        return Response(result.body, status_code=result.status, media_type="application/json")

    return answer


def _variables(source: Prometheus | Loki) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        given = await _parameters(request)
        missing = [name for name in ("query", "start", "end") if not given.get(name)]
        if missing:
            raise BadQueryError(f"missing parameters: {', '.join(missing)}")
        values = await source.variable(given["query"], start=given["start"], end=given["end"])
        return JSONResponse({"status": "success", "data": values})

    return answer


async def _parameters(request: Request) -> dict[str, str]:
    """Parameters of the query string and, for a POST, of a form body of bounded size."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadQueryError(f"the request is larger than {MAX_BODY_BYTES} bytes")
    try:
        form = parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise BadQueryError("the request body is not UTF-8") from error
    return dict(request.query_params) | dict(form)


def _error(_request: Request, error: Exception) -> Response:
    """An error in the form of Prometheus' own, so that the page reads one form only."""
    status, error_id = (
        (error.status, error.error_id) if isinstance(error, PreviewError) else (500, "internal")
    )
    body: dict[str, Any] = {"status": "error", "errorType": error_id, "error": str(error)}
    return Response(json.dumps(body), status_code=status, media_type="application/json")
