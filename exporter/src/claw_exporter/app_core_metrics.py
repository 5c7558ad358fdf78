"""What requirement document 4's own module ``app.core.metrics`` offers, recorded by this library.

For code that was written against that module: change the import, and nothing else::

    from claw_exporter import app_core_metrics as metrics  # was: from app.core import metrics

Everything goes to the default `Metrics`, which is registered on import, as that module's metrics were. Names
and labels are document 4's; a label that this library adds to them has a fixed value here. The library's own
functions say more: ``docs/migrating/app-core-metrics.md`` leads there.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from claw_exporter.catalog import (
    AI_RESPONSE_DURATION,
    CONVERSATIONS,
    MESSAGES,
    REDIS_DURATION,
    VECTOR_DB_DURATION,
)
from claw_exporter.errors import ArgumentError
from claw_exporter.exposition import CONTENT_TYPE_TEXT
from claw_exporter.instruments import metrics as _metrics
from claw_exporter.middleware import MetricsMiddleware as PrometheusMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.responses import Response

    from claw_exporter.answers import AIResponse
    from claw_exporter.operations import Operation
    from claw_exporter.spec import Counter, Histogram
    from claw_exporter.tracking import Tracker

__all__ = [
    "PrometheusMiddleware",
    "ai_response_duration_seconds",
    "app_info",
    "conversations_total",
    "db_pool_connections",
    "init_app_metrics",
    "messages_total",
    "metrics_endpoint",
    "redis_operation_duration_seconds",
    "track_ai_response",
    "track_conversation",
    "track_message",
    "track_redis_operation",
    "track_vector_db_operation",
    "update_db_pool_stats",
    "vector_db_operation_duration_seconds",
]

POOL: Final = "default"


def track_ai_response(model: str = "default") -> Tracker[AIResponse]:
    """Measure a call of a model: a decorator of any kind of function."""
    return _metrics.track_ai_response(model=model)


def track_vector_db_operation(operation: str = "query") -> Tracker[Operation]:
    """Measure an operation of a vector store: a decorator of any kind of function."""
    return _metrics.track_vector_db(operation)


def track_redis_operation(operation: str = "get") -> Tracker[Operation]:
    """Measure a Redis operation: a decorator of any kind of function."""
    return _metrics.track_redis(operation)


def track_conversation(status: str = "created") -> None:
    """Count what happened to a conversation."""
    _metrics.track_conversation(status=status)


def track_message(role: str = "user") -> None:
    """Count a message by its author."""
    _metrics.track_message(role=role)


def init_app_metrics(app_name: str, app_version: str) -> None:
    """Say which application runs, in ``claw_ai_build_info``."""
    _metrics.build_info(app=app_name, version=app_version)


def update_db_pool_stats(active: int, idle: int) -> None:
    """Show the application's one connection pool; `Metrics.watch_pool` reads pools by itself."""
    _pool.set("active", active)
    _pool.set("idle", idle)


async def metrics_endpoint() -> Response:
    """Answer a scrape with the whole registry, rendered outside of the event loop."""
    from starlette.responses import Response  # noqa: PLC0415  # whoever calls this has it; others need not

    body = await asyncio.to_thread(_metrics.asgi_app().body, openmetrics=False, compressed=False)
    return Response(body, media_type=CONTENT_TYPE_TEXT)


class _Pool:
    """The pool whose numbers the application tells; read as asyncpg's are."""

    def __init__(self) -> None:
        self.connections = {"active": 0.0, "idle": 0.0}
        self._watched = False

    def set(self, state: str, number: float) -> None:
        """Note the number of connections in a state, ``active`` or ``idle``."""
        self.connections[state] = float(number)
        if not self._watched:
            self._watched = True
            _metrics.watch_pool(POOL, self)

    def is_closing(self) -> bool:
        """Return whether the pool is closed: nobody tells."""
        return False

    def get_size(self) -> float:
        """Return the number of connections."""
        return sum(self.connections.values())

    def get_idle_size(self) -> float:
        """Return the number of connections that wait."""
        return self.connections["idle"]

    def get_max_size(self) -> float:
        """Return the bound of the pool: nobody tells."""
        return float("nan")


class _Connections:
    """The pool's connections in one state, as a gauge of prometheus_client."""

    def __init__(self, state: str) -> None:
        if state not in _pool.connections:
            raise ArgumentError(f"state is {state!r}: a pool's connections are 'active' or 'idle'")
        self._state = state

    def set(self, value: float) -> None:
        """Set their number."""
        _pool.set(self._state, value)

    def inc(self, amount: float = 1.0) -> None:
        """Add to their number."""
        _pool.set(self._state, _pool.connections[self._state] + amount)

    def dec(self, amount: float = 1.0) -> None:
        """Take from their number."""
        self.inc(-amount)


class _Count:
    """One series of a counter."""

    def __init__(self, spec: Counter, value: object) -> None:
        self._family, self._value = _metrics.store.counter(spec), value

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""
        self._family.inc(self._value, by=amount)


class _Durations:
    """One series of a histogram; the labels that this library adds are those of a success."""

    def __init__(self, spec: Histogram, value: object) -> None:
        self._family = _metrics.store.histogram(spec)
        self._values = (value, *("ok" if name == "status" else "unknown" for name in spec.labels[1:]))

    def observe(self, amount: float) -> None:
        """Add an observation."""
        self._family.observe(amount, *self._values)

    @contextmanager
    def time(self) -> Iterator[None]:
        """Observe how long a block takes, or a function that is decorated with this, in seconds."""
        started = perf_counter()
        try:
            yield
        finally:
            self.observe(perf_counter() - started)


S = TypeVar("S")


class _Labelled(Generic[S]):
    """A metric that the application writes itself, as it would one of prometheus_client.

    Args:
        label: Its only label.
        series: Makes the series of a label value.
    """

    def __init__(self, label: str, series: Callable[[str], S]) -> None:
        self._label = label
        self._series = series

    def labels(self, *values: object, **named: object) -> S:
        """Return one series, by its label's value or ``label=value``.

        Raises:
            ArgumentError: That is not the metric's label.
        """
        given = [*values, *named.values()]
        if len(given) != 1 or named.keys() - {self._label}:
            raise ArgumentError(f"labels(*{values}, **{named}): this metric has one label, {self._label!r}")
        return self._series(str(given[0]))


class _Info:
    """What says which application runs."""

    def info(self, value: Mapping[str, str]) -> None:
        """Take the application's ``name`` and ``version``."""
        init_app_metrics(value.get("name", "unknown"), value.get("version", "unknown"))


_pool: Final = _Pool()

ai_response_duration_seconds: Final = _Labelled("model", partial(_Durations, AI_RESPONSE_DURATION))
app_info: Final = _Info()
conversations_total: Final = _Labelled("status", partial(_Count, CONVERSATIONS))
db_pool_connections: Final = _Labelled("state", _Connections)
messages_total: Final = _Labelled("role", partial(_Count, MESSAGES))
redis_operation_duration_seconds: Final = _Labelled("operation", partial(_Durations, REDIS_DURATION))
vector_db_operation_duration_seconds: Final = _Labelled("operation", partial(_Durations, VECTOR_DB_DURATION))

# As its model does: an application may serve the registry by other means than ours.
_metrics.register()

if not TYPE_CHECKING:  # pragma: no branch  # a type checker shall refuse names that are not there

    def __getattr__(name: str) -> Any:  # noqa: ANN401  # never returns
        if name.startswith("http_"):
            raise AttributeError(
                f"{name} is written by PrometheusMiddleware alone; to read it, see claw_exporter.testing"
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
