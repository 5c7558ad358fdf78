"""The ASGI middleware: what happens on every request, and therefore written for speed.

The class hands back a closure instead of an instance: names of an enclosing function are read faster than
attributes. What is rare (a new route, a mount, an odd method, a stream, a failure, an option) happens outside
of it. A request's cost is mostly that of the memory it touches after an application has used the caches: so
the closure has few names of its own, and one of them holds all that is known of the response.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import nullcontext
from threading import Lock
from time import perf_counter
from traceback import walk_tb
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Final, cast

from claw_exporter.endpoint import Exposition
from claw_exporter.instruments import Metrics
from claw_exporter.instruments import metrics as default_metrics
from claw_exporter.options import Options
from claw_exporter.routes import UNMATCHED, Templates
from claw_exporter.sockets import Socket
from claw_exporter.traces import current_trace, exemplar, traced
from claw_exporter.tracking import is_cancellation
from claw_exporter.traffic import BYTES_SUM_AT, METHODS, OTHER, SECONDS_AT, SECONDS_SUM_AT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from typing import Self

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from claw_exporter.store import Child
    from claw_exporter.traffic import Series

    Predicate = Callable[[Scope], bool]
    # What is known of a response: nothing, its start; once it is complete its status, end and size; or of one
    # in several parts its status, end (0 before), size so far and first byte (0 before).
    Progress = Message | tuple[int, float, int] | list[Any] | None

__all__ = ["MetricsMiddleware"]

CLIENT_LEFT: Final = 499
FAILED: Final = 500
_CACHED_ROUTES: Final = 4096
_NO_LABELS: Final[Mapping[str, Callable[[Any], object]]] = MappingProxyType({})


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

    The options cost nothing when they are not used. Functions given here are called after the application,
    so that they see what it and its routing left in the scope (``scope["state"]``, ``scope["path_params"]``);
    one that raises is counted in ``claw_ai_exporter_internal_errors_total``.

    Args:
        app: The application.
        metrics: Where to record; the default instance if None.
        exclude: What is not measured: route templates as they stand in the ``endpoint`` label
            (``"/healthz"``, ``"/users/{user_id}"``, ``"unmatched"``), and functions of the scope that say so.
        labels: Extra labels of requests, durations and sizes: name -> function of the scope. A label has at
            most 20 values; further ones are ``other`` (counted in ``claw_ai_exporter_overflow_total``). What
            is None, or raises, is ``unknown``.
        exemplars: Whether each duration bucket shows the trace of its newest sampled request (OpenTelemetry,
            OpenMetrics format only, not in multiprocess mode).

    Raises:
        ArgumentError: ``exclude`` or ``labels`` is wrong, or OpenTelemetry's API is missing for exemplars.
        RegistryError: The registry has another collector with metrics of our names.
    """

    if TYPE_CHECKING:

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            """For type checkers: what ``__new__`` returns is an ASGI application, though no instance."""

    def __new__(  # noqa: D102  # the class says it
        cls,
        app: ASGIApp,
        *,
        metrics: Metrics | None = None,
        exclude: Collection[str | Predicate] | Predicate = (),
        labels: Mapping[str, Callable[[Scope], object]] = _NO_LABELS,
        exemplars: bool = False,
    ) -> Self:
        owner = metrics or default_metrics
        options = Options(owner.store, exclude=exclude, labels=labels, exemplars=exemplars)
        trace = current_trace() if exemplars else None
        owner.register()
        recorder = _Recorder(app, owner, options)
        inner = app if trace is None else traced(app, recorder.traffic.mark, trace, owner.store.fault)
        measured = _measured(recorder.locked(inner), recorder)
        measured.app = app  # type: ignore[attr-defined]  # code that walks a middleware stack looks for it
        return cast("Self", measured)


class _Recorder:
    """The slow half of the middleware: records whatever the closure does not know by itself."""

    def __init__(self, app: ASGIApp, owner: Metrics, options: Options) -> None:
        self.app = app
        self.store = owner.store
        self.lock = owner.store.lock
        self.traffic = owner.traffic
        self.templates = Templates()
        # (identities of route context and route, method, status) -> series; the objects are kept below.
        self.fast: dict[tuple[int, int, str, int], Series] = {}
        self.renewed: Callable[[], None] = lambda: None
        self._options = options
        # Without a GIL the closure's additions would lose some: then it finds nothing, and all come here.
        self._may_remember = self.lock is None and not options.per_request
        self._guard = self.lock or nullcontext()
        self._kept: list[object] = []
        self._lock = Lock()
        self.traffic.join(self, options.labels)

    @property
    def in_flight(self) -> Child:
        """The number of running requests, as the closure counts it: for nobody where `locked` does it."""
        return self.traffic.in_flight if self.lock is None else [0.0]

    def renew(self) -> None:
        """Forget every child: this process was forked off another one."""
        self.fast.clear()
        self._kept.clear()
        self.renewed()

    def record(
        self, scope: Scope, root_path: str | None, progress: Progress, broken: int, started: float
    ) -> None:
        """Record a request, and remember its series where the closure can find it by itself."""
        try:
            status, ended, size, first = _outcome(progress, broken)
            with self._guard:
                self._add(scope, root_path or "", status, ended - started, size, first and first - started)
        except Exception:  # noqa: BLE001  # a request must not notice
            self.store.fault("http")

    def _add(  # noqa: PLR0913, PLR0917  # what there is to say about a request
        self, scope: Scope, root_path: str, status: int, seconds: float, size: int, first: float
    ) -> None:
        traffic, method = self.traffic, scope["method"]
        series, labels = self._series(scope, root_path, status)
        bucket = bisect_left(traffic.seconds_bounds, seconds)
        size = 0 if method == "HEAD" else size  # the server does not send what it was handed
        numbers, requests = series
        requests[0] += 1.0
        numbers[SECONDS_AT + bucket] += 1.0
        numbers[traffic.size_at + bisect_left(traffic.size_bounds, size)] += 1.0
        numbers[SECONDS_SUM_AT] += seconds
        numbers[BYTES_SUM_AT] += size
        if first:
            traffic.streamed(numbers, first)
        if labels and (example := exemplar(scope.get(traffic.mark), seconds)):
            traffic.exemplify(labels, bucket, example)

    def _series(self, scope: Scope, root_path: str, status: int) -> tuple[Series, tuple[str, ...]]:
        """Return the series of a request, and its labels where it has one of its own."""
        method, (context, route) = scope["method"], _routed(scope)
        key = (id(context), id(route), method, status)
        here = scope.get("root_path", "") == root_path
        if here and (known := self.fast.get(key)) is not None:
            return known, ()
        labels: tuple[str, ...] = ()
        if isinstance(scope.get("endpoint"), Exposition):
            series, stable = self.traffic.ignored, True
        else:
            endpoint, stable = self.template(scope, root_path)
            if self.excluded(scope, endpoint):
                series = self.traffic.ignored
            else:
                name = method if method in METHODS else OTHER
                extra = self.traffic.label_values(self._options.values(scope))
                series, own = self.traffic.series(name, endpoint, status, extra)
                labels = (name, endpoint, str(status), *extra) if own else ()
                stable = stable and own and method != "HEAD"
        if self._may_remember and stable and here and method in METHODS:
            self._remember(key, series, context, route)
        return series, labels

    def _remember(self, key: tuple[int, int, str, int], series: Series, *objects: object) -> None:
        with self._lock:  # applications may run in several event loops at once
            if len(self.fast) >= _CACHED_ROUTES:
                self.fast.clear()
                self._kept.clear()
            self._kept += objects
            self.fast[key] = series

    def excluded(self, scope: Scope, endpoint: str) -> bool:
        """Return whether a request or connection is not to be measured."""
        return self._options.excluded(scope, endpoint)

    def template(self, scope: Scope, root_path: str) -> tuple[str, bool]:
        """Return the route template of a scope; where that fails, the request is still counted."""
        try:
            return self.templates.find(scope, root_path, *_routed(scope))
        except Exception:  # noqa: BLE001  # frameworks change their internals; a request must not notice
            self.store.fault("routes")
            return UNMATCHED, False

    def followed(self, progress: Progress, message: Message) -> Progress:
        """Return what is known of a response after a message that is not its start, or was not expected."""
        try:
            return _followed(progress, message)
        except Exception:  # noqa: BLE001  # a message we cannot read is the server's business
            self.store.fault("send")
            return progress

    def locked(self, app: ASGIApp) -> ASGIApp:
        """Let requests in flight be counted under the lock, where Python has no GIL."""
        traffic, guard = self.traffic, self.lock
        if guard is None:
            return app

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            with guard:
                traffic.in_flight[0] += 1.0
            try:
                await app(scope, receive, send)
            finally:
                with guard:
                    traffic.in_flight[0] -= 1.0

        return counting


def _measured(app: ASGIApp, recorder: _Recorder) -> ASGIApp:  # noqa: C901, PLR0915  # one closure: see the module
    app = _called(app)
    traffic, fast = recorder.traffic, recorder.fast
    in_flight = recorder.in_flight
    mark, seconds_bounds = traffic.mark, traffic.seconds_bounds
    size_bounds, size_at = traffic.size_bounds, traffic.size_at

    def renew() -> None:
        nonlocal in_flight
        in_flight = recorder.in_flight

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901, PLR0915  # the same
        if scope["type"] != "http" or mark in scope:
            await _other(recorder, scope, receive, send)
            return
        scope[mark] = True
        try:
            root_path = scope["root_path"]
        except KeyError:  # cheaper than .get() where it is there, which is everywhere but in tests
            root_path = None
        progress: Any = None
        broken = 0

        def on_send(message: Message) -> Awaitable[None]:
            nonlocal progress
            try:
                kind = message["type"]
                if kind == "http.response.start":
                    progress = message
                elif kind == "http.response.body" and not (
                    "more_body" in message and message["more_body"]  # noqa: RUF019  # .get() is a call
                ):
                    progress = (progress["status"], perf_counter(), len(message["body"]))
                elif progress.__class__ is list and progress[3] and kind == "http.response.body":
                    progress[2] += len(message["body"])  # a stream goes on
                else:
                    progress = recorder.followed(progress, message)
            except Exception:  # noqa: BLE001  # parts may be missing, or come in another order
                progress = recorder.followed(progress, message)
            return send(message)

        in_flight[0] += 1.0
        started = perf_counter()
        try:
            await app(scope, receive, on_send)
        except BaseException as error:
            broken = CLIENT_LEFT if is_cancellation(error) or _refused(error, send) else FAILED
            raise
        finally:
            in_flight[0] -= 1.0
            try:
                status, ended, size = progress
                if "fastapi" in scope:
                    context, route = scope["fastapi"]["effective_route_context"], scope["route"]
                else:
                    context, route = None, scope["route"] if "route" in scope else scope.get("endpoint")
                key = (id(context), id(route), scope["method"], status)
                series = fast[key] if scope["root_path"] is root_path else None
            except Exception:  # noqa: BLE001  # the careful way finds out
                series = None
            if series is None:
                recorder.record(scope, root_path, progress, broken, started)
            else:
                numbers, requests = series
                seconds = ended - started
                # Indices as in Traffic, written out: a global name costs as much as the addition.
                requests[0] += 1.0
                # The first bucket: most often, where the middleware's own time could matter.
                place = 2 if seconds <= seconds_bounds[0] else 2 + bisect_left(seconds_bounds, seconds)
                numbers[place] += 1.0
                place = size_at if size <= size_bounds[0] else size_at + bisect_left(size_bounds, size)
                numbers[place] += 1.0
                numbers[0] += seconds
                numbers[1] += size

    recorder.renewed = renew
    return measured


def _called(app: ASGIApp) -> ASGIApp:
    """Return what a call of an application runs: a method bound once is called faster than an instance."""
    method = getattr(app, "__call__", None)  # noqa: B004  # the method itself is wanted
    plain = isinstance(method, MethodType) and method.__func__ is type(app).__call__
    return cast("ASGIApp", method) if plain else app


def _routed(scope: Scope) -> tuple[object, object]:
    """Return what routing left: the context of an included router's route, and the route or endpoint."""
    context = scope["fastapi"].get("effective_route_context") if "fastapi" in scope else None
    return context, scope["route"] if "route" in scope else scope.get("endpoint")


def _outcome(progress: Progress, broken: int) -> tuple[int, float, int, float]:
    """Return a response's status, end, size and first byte (0: it came in one part)."""
    if isinstance(progress, tuple):
        return *progress, 0.0
    parts: list[Any] = progress if isinstance(progress, list) else [progress, 0.0, 0, 0.0]
    status, ended, size, first = parts
    if status is None or not ended:  # what never began, failed; what began and did not end, was left
        return broken or (FAILED if status is None else CLIENT_LEFT), perf_counter(), size, first
    return status, ended, size, first


def _followed(progress: Progress, message: Message) -> Progress:
    if message["type"] == "http.response.body":
        more = bool(message.get("more_body"))
        body = message.get("body", b"")
        return _longer(progress, len(body), last=not more)
    size, last = _extension(message, progress)
    return _longer(progress, size, last=last) if size or last else progress


def _longer(progress: Progress, size: int, *, last: bool) -> Progress:
    if isinstance(progress, list):
        parts = progress
    elif isinstance(progress, tuple):
        parts = [*progress, 0.0]
    else:
        parts = [progress["status"] if progress else None, 0.0, 0, 0.0]
    status, ended, sent, first = parts
    now = perf_counter()
    if not last and size and not first:
        first = now
    return [status, now if last else ended, sent + size, first]


def _extension(message: Message, progress: Progress) -> tuple[int, bool]:
    """Return the bytes that a message of an ASGI extension sends, and whether the body ends with it."""
    if message["type"] == "http.response.zerocopysend":
        return int(message.get("count") or 0), not message.get("more_body", False)
    if message["type"] == "http.response.pathsend":
        headers = dict(progress["headers"]) if isinstance(progress, dict) else {}
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


async def _other(recorder: _Recorder, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass on what is no HTTP request, or was measured by an outer middleware."""
    if scope["type"] == "lifespan":
        recorder.store.serve()
    if scope["type"] != "websocket" or recorder.traffic.mark in scope:
        await recorder.app(scope, receive, send)
        return
    scope[recorder.traffic.mark] = True
    socket = Socket(recorder, scope, receive, send)
    try:
        await recorder.app(scope, socket.receive, socket.send)
    except BaseException as error:
        socket.failed(error)
        raise
    finally:
        socket.ended()
