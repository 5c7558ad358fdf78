"""SQLAlchemy: statements by its events, connecting and waiting in its pool.

Of the package, ``Pool.connect`` is wrapped. Of a watched engine, its pool's ``_invoke_creator`` is.
"""

# Any: no driver is imported, and what they are given may be anything.
# ruff: noqa: ANN401

from __future__ import annotations

from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.watch import taps
from claw_exporter.watch.verbs import sql_verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.watch.taps import Listener

__all__ = ["Statements", "engine_of", "follow_statements", "follow_waits"]

_CREATOR: Final = "_invoke_creator"


def engine_of(thing: Any) -> Any | None:
    """Return the engine that something is, or an ``AsyncEngine`` is around."""
    engine = getattr(thing, "sync_engine", thing)
    return engine if all(hasattr(engine, name) for name in ("pool", "dialect", "dispose")) else None


def follow_statements(engine: Any, statements: Statements) -> None:
    """Let somebody hear of each statement that an engine executes, and of each connection that it opens."""
    event = import_module("sqlalchemy.event")
    if any(event.contains(engine, name, hear) for name, hear in statements.events()):
        return
    for name, hear in statements.events():
        event.listen(engine, name, hear)
    listener = statements.listener
    _for_each_pool(engine, lambda pool: _follow_connecting(pool, listener), listener)


def follow_waits(thing: Any, listener: Listener) -> None:
    """Tell a listener of the waits for a connection of a pool, or of an engine's pools."""
    engine = engine_of(thing)
    if engine is None:
        _follow_pool(thing, listener)
    else:
        _for_each_pool(engine, lambda pool: _follow_pool(pool, listener), listener)


def _for_each_pool(engine: Any, follow: Callable[[Any], None], listener: Listener) -> None:
    """Follow an engine's pool, and the one that it gets by each ``dispose()``."""

    def disposed(engine: Any) -> None:
        if listener.open:
            follow(engine.pool)

    follow(engine.pool)
    import_module("sqlalchemy.event").listen(engine, "engine_disposed", disposed)


def _follow_pool(pool: Any, listener: Listener) -> None:
    taps.add(pool, taps.WAITS, listener)
    taps.wrap(type(pool), "connect", _timed_connect)


def _timed_connect(plain: Callable[[Any], Any], place: type) -> Callable[[Any], Any]:
    def connect(self: Any) -> Any:
        listeners = vars(self).get(taps.WAITS)
        if not listeners or taps.is_inner(self, "connect", place):
            return plain(self)
        started = perf_counter()
        timed_out = False
        try:
            return plain(self)
        except Exception as error:
            timed_out = _is_pool_timeout(error)
            raise
        finally:
            seconds = perf_counter() - started
            for listener in listeners:
                listener(seconds, timed_out)

    return connect


def _is_pool_timeout(error: Exception) -> bool:
    return type(error).__name__ == "TimeoutError" and type(error).__module__.startswith("sqlalchemy.")


def _follow_connecting(pool: Any, listener: Listener) -> None:
    taps.add(pool, taps.OPERATIONS, listener)
    plain = vars(pool).get(_CREATOR)
    if plain is None or isinstance(plain, _Connecting):
        return  # it makes its connections in another way, or is followed already
    setattr(pool, _CREATOR, _Connecting(plain, vars(pool)))


class _Connecting:
    """What a pool opens a connection with; it holds what the pool knows, not the pool."""

    def __init__(self, plain: Callable[[Any], Any], place: dict[str, Any]) -> None:
        self._plain = plain
        self._place = place

    def __call__(self, record: Any) -> Any:
        listeners = self._place.get(taps.OPERATIONS, ())
        started = perf_counter()
        try:
            connection = self._plain(record)
        except BaseException as error:
            taps.tell(listeners, "connect", started, error)
            raise
        taps.tell(listeners, "connect", started)
        return connection


class Statements:
    """Hears when statements begin and end.

    Attributes:
        listener: Who is told.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        # On the execution's context, under a name of the listener: two engines that share their events
        # (Engine.execution_options) find and take the same mark.
        self._mark = f"_claw_started_{id(listener)}"

    def events(self) -> tuple[tuple[str, Callable[..., None]], ...]:
        """Return what to listen to."""
        return (
            ("before_cursor_execute", self._began),
            ("after_cursor_execute", self._ended),
            ("handle_error", self._failed),
        )

    def _began(
        self, _connection: Any, _cursor: Any, _statement: Any, _parameters: Any, context: Any, _many: Any
    ) -> None:
        if context is not None:
            vars(context)[self._mark] = perf_counter()

    def _ended(
        self, _connection: Any, _cursor: Any, statement: Any, _parameters: Any, context: Any, _many: Any
    ) -> None:
        if context is not None:
            self._tell(context, statement, None)

    def _failed(self, failure: Any) -> None:
        if failure.execution_context is not None:
            self._tell(failure.execution_context, failure.statement, failure.original_exception)

    def _tell(self, context: Any, statement: Any, error: BaseException | None) -> None:
        started = vars(context).pop(self._mark, None)
        if started is not None:
            self.listener(sql_verb(statement), perf_counter() - started, error)
