"""SQLAlchemy: statements in an engine's dialect, connecting and waiting in its pool.

Of the package, the pools' ``connect`` and ``recreate`` (an engine's ``dispose`` asks for a new one) are
wrapped. Of a watched engine, the methods of its dialect that execute a cursor and commit are, and its pool's
``_invoke_creator``. Not by events: as soon as an engine has a listener to one, SQLAlchemy joins all of them
anew for each connection, which takes longer than to measure.
"""

# Any: no driver is imported, and what they are given may be anything.
# ruff: noqa: ANN401

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.watch import taps
from claw_exporter.watch.verbs import sql_verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claw_exporter.watch.taps import Listener

__all__ = ["engine_of", "follow_statements", "follow_waits"]

_CREATOR: Final = "_invoke_creator"


def engine_of(thing: Any) -> Any | None:
    """Return the engine that something is, or an ``AsyncEngine`` is around."""
    engine = getattr(thing, "sync_engine", thing)
    return engine if all(hasattr(engine, name) for name in ("pool", "dialect", "dispose")) else None


def follow_statements(engine: Any, listener: Listener) -> None:
    """Tell a listener of each statement that an engine executes, and of each connection that it opens."""
    dialect = engine.dialect
    known = vars(dialect).get(taps.OPERATIONS)
    if known is not None and listener in known:
        return
    taps.add(dialect, taps.OPERATIONS, listener)
    if known is None:
        for name, timed in _TIMED.items():
            plain = getattr(dialect, name)
            setattr(dialect, name, functools.wraps(plain)(timed(plain, vars(dialect))))
    _follow_connecting(engine.pool, (listener,))


def follow_waits(thing: Any, listener: Listener) -> None:
    """Tell a listener of the waits for a connection of a pool, or of an engine's pools."""
    engine = engine_of(thing)
    pool = thing if engine is None else engine.pool
    taps.add(pool, taps.WAITS, listener)
    taps.wrap(type(pool), "connect", _timed_connect)
    taps.wrap(type(pool), "recreate", _handing_on)


def _handing_on(plain: Callable[[Any], Any], _place: type) -> Callable[[Any], Any]:
    """Who listens to a pool listens to the one that takes its place."""

    def recreate(self: Any) -> Any:
        fresh = plain(self)
        for listener in vars(self).get(taps.WAITS, ()):
            if listener.open:
                taps.add(fresh, taps.WAITS, listener)
        _follow_connecting(fresh, vars(self).get(taps.OPERATIONS, ()))
        return fresh

    return recreate


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


def _follow_connecting(pool: Any, listeners: Iterable[Listener]) -> None:
    for listener in listeners:
        taps.add(pool, taps.OPERATIONS, listener)
        taps.wrap(type(pool), "recreate", _handing_on)
        plain = vars(pool).get(_CREATOR)
        if plain is not None and not isinstance(plain, _Connecting):
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


def _timed_execute(plain: Callable[..., None], place: dict[str, Any]) -> Callable[..., None]:
    def execute(cursor: Any, statement: Any, *args: Any, **kwargs: Any) -> None:
        started = perf_counter()
        try:
            plain(cursor, statement, *args, **kwargs)
        except BaseException as error:
            taps.tell(place[taps.OPERATIONS], sql_verb(statement), started, error)
            raise
        taps.tell(place[taps.OPERATIONS], sql_verb(statement), started)

    return execute


def _timed_commit(plain: Callable[..., None], place: dict[str, Any]) -> Callable[..., None]:
    def commit(connection: Any) -> None:
        started = perf_counter()
        try:
            plain(connection)
        except BaseException as error:
            taps.tell(place[taps.OPERATIONS], "commit", started, error)
            raise
        taps.tell(place[taps.OPERATIONS], "commit", started)

    return commit


# Not do_rollback: with it, every connection goes back to the pool.
_TIMED: Final = {
    "do_execute": _timed_execute,
    "do_executemany": _timed_execute,
    "do_execute_no_params": _timed_execute,
    "do_commit": _timed_commit,
}
