"""The ASGI middleware: what happens on every request, and therefore written for speed.

The class hands back a closure instead of an instance: names of an enclosing function are read faster than
attributes. What is rare (a new route, a mount, an odd method, a stream's first byte) happens outside of it.
"""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from time import perf_counter
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final, cast

from claw_exporter.catalog import HTTP_REQUEST_DURATION, HTTP_RESPONSE_SIZE
from claw_exporter.endpoint import Exposition
from claw_exporter.errors import ArgumentError
from claw_exporter.instruments import Metrics
from claw_exporter.instruments import metrics as default_metrics
from claw_exporter.routes import UNMATCHED, Templates
from claw_exporter.tracking import is_cancellation
from claw_exporter.traffic import BYTES_SUM_AT, METHODS, OTHER, SECONDS_SUM_AT, SIZE_AT, Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection
    from typing import Self

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from claw_exporter.store import Child, Store

__all__ = ["MetricsMiddleware"]

CLIENT_LEFT: Final = 499
FAILED: Final = 500
_CACHED_ROUTES: Final = 4096


class MetricsMiddleware:
    """Measures every HTTP request and WebSocket of an application, by route template.

    ``app.add_middleware(MetricsMiddleware)``, or ``MetricsMiddleware(app)`` around any ASGI application. It
    changes no message, and no error of its own reaches a request (they are counted in
    ``claw_ai_exporter_internal_errors_total``). A request that passes several counts once per `Metrics`.

    * The endpoint is the route's template; ``unmatched`` where no route answered.
    * Methods that HTTP does not know are ``OTHER``.
    * Time ends with the last part of the body: background tasks do not count.
    * 499: the client left before the response was complete. 500: an exception, or a stream that broke.
    * The path that ``Metrics.mount`` added is not measured.

    Args:
        app: The application.
        metrics: Where to record; the default instance if None.
        exclude: Route templates that are not measured, as they stand in the ``endpoint`` label
            (``"/healthz"``, ``"/users/{user_id}"``, ``"unmatched"``).

    Raises:
        ArgumentError: ``exclude`` is a string, or an entry is not a template.
        RegistryError: The registry has another collector with metrics of our names.
    """

    if TYPE_CHECKING:

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            """For type checkers: what ``__new__`` returns is an ASGI application, though no instance."""

    def __new__(cls, app: ASGIApp, *, metrics: Metrics | None = None, exclude: Collection[str] = ()) -> Self:
        """Return an ASGI application around ``app``."""
        owner = metrics or default_metrics
        owner.register()
        owner.traffic.measuring = True
        recorder = _Recorder(owner.store, owner.traffic, _templates(exclude))
        return cast("Self", _measured(app, recorder))


def _templates(exclude: Collection[str]) -> frozenset[str]:
    if isinstance(exclude, str):
        raise ArgumentError(f"exclude is the string {exclude!r}: pass a list of templates, [{exclude!r}]")
    for template in exclude:
        if not isinstance(template, str) or not (template.startswith("/") or template == UNMATCHED):
            raise ArgumentError(
                f"exclude contains {template!r}: a route template starts with '/' (or is {UNMATCHED!r})"
            )
    return frozenset(exclude)


class _Recorder:
    """The slow half of the middleware: finds the list of a request that the closure does not know yet."""

    def __init__(self, store: Store, traffic: Traffic, exclude: frozenset[str]) -> None:
        self.store = store
        self.traffic = traffic
        self.exclude = exclude
        self.templates = Templates()
        # (identity of route context, identity of route, method, status) -> list; the objects are kept below.
        self.fast: dict[tuple[int, int, str, int], Child] = {}
        self._kept: list[object] = []
        self._lock = Lock()

    def find(self, scope: Scope, root_path: str, context: object, route: object, status: int) -> Child:
        """Return the list for a request, and remember it where the closure can find it by itself."""
        child, stable = self._child(scope, root_path, context, route, status)
        method = scope["method"]
        # HEAD always comes here, because its size is not what was handed to the server.
        if stable and method in METHODS and method != "HEAD" and scope.get("root_path", "") == root_path:
            self._remember((id(context), id(route), method, status), child, context, route)
        return child

    def _remember(self, key: tuple[int, int, str, int], child: Child, *objects: object) -> None:
        with self._lock:  # applications may run in several event loops at once
            if len(self.fast) >= _CACHED_ROUTES:
                self.fast.clear()
                self._kept.clear()
            self._kept += objects
            self.fast[key] = child

    def _child(
        self, scope: Scope, root_path: str, context: object, route: object, status: int
    ) -> tuple[Child, bool]:
        if isinstance(scope.get("endpoint"), Exposition):
            return self.traffic.ignored, True
        endpoint, stable = self.template(scope, root_path, context, route)
        if endpoint in self.exclude:
            return self.traffic.ignored, stable
        method = scope["method"]
        child, own = self.traffic.series(method if method in METHODS else OTHER, endpoint, status)
        return child, stable and own

    def template(self, scope: Scope, root_path: str, context: object, route: object) -> tuple[str, bool]:
        """Return the route template of a scope; where that fails, the request is still counted."""
        try:
            return self.templates.find(scope, root_path, context, route)
        except Exception:  # noqa: BLE001  # frameworks change their internals; a request must not notice
            self.store.fault("routes")
            return UNMATCHED, False


def _measured(app: ASGIApp, recorder: _Recorder) -> ASGIApp:  # noqa: C901, PLR0915  # one closure: see the module
    traffic, fast, find, fault = recorder.traffic, recorder.fast, recorder.find, recorder.store.fault
    in_flight, mark = traffic.in_flight, traffic.mark
    seconds_bounds, size_bounds = HTTP_REQUEST_DURATION.buckets, tuple(map(int, HTTP_RESPONSE_SIZE.buckets))
    clock, bisect = perf_counter, bisect_left

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901, PLR0915  # the same
        if scope["type"] != "http" or mark in scope:
            await _other(app, recorder, scope, receive, send)
            return
        scope[mark] = True
        root_path = scope.get("root_path", "")
        start: Message | None = None
        size = broken = 0
        first = ended = 0.0

        def on_send(message: Message) -> Awaitable[None]:
            nonlocal start, size, first, ended
            try:
                if message["type"] == "http.response.body":
                    body = message.get("body", b"")
                    size += len(body)
                    if not message.get("more_body"):
                        ended = clock()
                    elif body and not first:
                        first = clock()
                elif message["type"] == "http.response.start":
                    start = message
                else:
                    more, last = _extension(message, start)
                    size += more
                    ended = clock() if last else ended
            except Exception:  # noqa: BLE001  # a message we cannot read is the server's business
                fault("send")
            return send(message)

        in_flight[0] += 1
        started = clock()
        try:
            await app(scope, receive, on_send)
        except BaseException as error:
            broken = CLIENT_LEFT if is_cancellation(error) or _refused(error, send) else FAILED
            raise
        finally:
            in_flight[0] -= 1
            try:
                if ended and start is not None:
                    status = start["status"]
                else:
                    ended = clock()
                    status = broken or (CLIENT_LEFT if start else FAILED)
                context = scope["fastapi"].get("effective_route_context") if "fastapi" in scope else None
                if (route := scope.get("route")) is None:
                    route = scope.get("endpoint")
                child = fast.get((id(context), id(route), scope["method"], status))
                if child is None or scope.get("root_path", "") is not root_path:
                    child = find(scope, root_path, context, route, status)
                    size = 0 if scope["method"] == "HEAD" else size
                seconds = ended - started
                child[bisect(seconds_bounds, seconds)] += 1
                child[SIZE_AT + bisect(size_bounds, size)] += 1
                child[SECONDS_SUM_AT] += seconds
                child[BYTES_SUM_AT] += size
                if first:
                    traffic.streamed(child, first - started)
            except Exception:  # noqa: BLE001  # a request must not notice
                fault("http")

    measured.app = app  # type: ignore[attr-defined]  # code that walks a middleware stack looks for it
    return measured


def _extension(message: Message, start: Message | None) -> tuple[int, bool]:
    """Return the bytes that a message of an ASGI extension sends, and whether the body ends with it."""
    if message["type"] == "http.response.zerocopysend":
        return int(message.get("count") or 0), not message.get("more_body", False)
    if message["type"] == "http.response.pathsend":
        headers = dict(start["headers"]) if start else {}
        return int(headers.get(b"content-length", 0)), True
    return 0, False  # trailers, early hints, debug


def _refused(error: BaseException, send: Send) -> bool:
    """Return whether an exception is the server's ``OSError`` in ``send``: the client left (ASGI 2.4).

    Newer frameworks turn it into an exception of their own. An ``OSError`` from elsewhere is a failure.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(_refused(inner, send) for inner in error.exceptions)
    code = getattr(send, "__code__", None)
    if not isinstance(error, OSError) or code is None:
        return False
    return any(frame.f_code is code for frame, _ in walk_tb(error.__traceback__))


async def _other(app: ASGIApp, recorder: _Recorder, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass on what is no HTTP request, or was measured by an outer middleware."""
    if scope["type"] != "websocket" or recorder.traffic.mark in scope:
        await app(scope, receive, send)
        return
    scope[recorder.traffic.mark] = True
    socket = _Socket(recorder, scope, receive, send)
    try:
        await app(scope, socket.receive, socket.send)
    except BaseException as error:
        socket.failed(error)
        raise
    finally:
        socket.ended()


class _Socket:
    """One WebSocket connection."""

    def __init__(self, recorder: _Recorder, scope: Scope, receive: Receive, send: Send) -> None:
        self._recorder = recorder
        self._scope = scope
        self._receive = receive
        self._send = send
        self._root_path = scope.get("root_path", "")
        self._started = perf_counter()
        self._open: Child | None = None
        self._endpoint = ""
        self._code = ""

    async def receive(self) -> Message:
        """Pass on a message from the client."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._closed(_client_code(message.get("code")))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on a message to the client."""
        try:
            self._sent(message)
        except Exception:  # noqa: BLE001  # a message we cannot read is the server's business
            self._recorder.store.fault("websocket")
        return self._send(message)

    def failed(self, error: BaseException) -> None:
        """The application ended with an exception."""
        self._closed("1001" if is_cancellation(error) else "1011")

    def ended(self) -> None:
        """The application ended."""
        recorder = self._recorder
        try:
            if self._open is not None:
                self._open[0] -= 1
            endpoint = self._endpoint or self._template()
            if endpoint not in recorder.exclude:
                seconds = perf_counter() - self._started
                recorder.traffic.socket_seconds.observe(seconds, endpoint, self._code or "1006")
        except Exception:  # noqa: BLE001  # the connection must not notice
            recorder.store.fault("websocket")

    def _sent(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self._endpoint = self._template()
            if self._endpoint not in self._recorder.exclude:
                self._open = self._recorder.traffic.sockets.child(self._endpoint)
                self._open[0] += 1
        elif kind == "websocket.close":
            self._closed(str(int(message.get("code") or 1000)) if self._endpoint else "403")
        elif kind == "websocket.http.response.start":
            self._closed(str(int(message["status"])))

    def _closed(self, code: str) -> None:
        self._code = self._code or code  # who closes first decides

    def _template(self) -> str:
        scope = self._scope
        context = (scope.get("fastapi") or {}).get("effective_route_context")
        route = scope.get("route", scope.get("endpoint"))
        return self._recorder.template(scope, self._root_path, context, route)[0]


def _client_code(code: Any) -> str:  # noqa: ANN401  # what a server puts there
    """Name a close code chosen by the client: it must not be able to make a series per number."""
    known = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015}
    if code in known:
        return str(int(code))
    return f"{str(code)[0]}xxx" if isinstance(code, int) and 3000 <= code <= 4999 else "1005"  # noqa: PLR2004  # RFC 6455 7.4.2
