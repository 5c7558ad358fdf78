"""asyncpg: the requests of a pool's connections, connecting, and waiting for the pool.

Of the package, ``Pool._acquire`` and ``Pool._get_new_connection`` are wrapped. Of a watched pool, ``init``
is ours and calls the application's; of its connections, the protocol's methods that send a request are.
asyncpg's own query loggers know neither prepared statements nor cursors, and keep every argument.
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
    from collections.abc import Awaitable, Callable

    from claw_exporter.watch.taps import Listener

__all__ = ["Tap", "follow_queries", "follow_waits", "is_pool", "tap"]

_IS_POOL: Final = ("_acquire", "_get_new_connection", "_holders", "_init")
_TAPPED: Final = "_claw_tap"
_RESET: Final = "SELECT pg_advisory_unlock_all();"  # how asyncpg begins to clean a connection up
_PREPARED_KEPT: Final = 8


class Tap:
    """What is in the place of a pool's ``init``, and knows who listens to the pool.

    Attributes:
        pool: The pool. asyncpg's pools are in cycles anyway; and they cannot be referred to weakly, this can.
    """

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._init = pool._init  # noqa: SLF001  # asyncpg has no public name for it

    async def __call__(self, connection: Any) -> None:
        """Follow a new connection, then do what the application wants done with one."""
        if taps.OPERATIONS in vars(self):
            self.follow(connection)
        if self._init is not None:
            await self._init(connection)

    def follow(self, connection: Any) -> None:
        """Measure what a connection sends, from now on."""
        protocol = getattr(connection, "_protocol", None)
        place = getattr(protocol, "__dict__", None)
        if place is None or _TAPPED in place:
            return
        place[_TAPPED] = self
        measures = _Requests(self).methods()
        for name in [name for name in measures if hasattr(protocol, name)]:
            plain = getattr(protocol, name)
            place[name] = functools.wraps(plain)(measures[name](plain))

    def tell(self, operation: str, started: float, error: BaseException | None = None) -> None:
        """Tell of an operation that ended now."""
        taps.tell(vars(self).get(taps.OPERATIONS, ()), operation, started, error)


def is_pool(thing: Any) -> bool:
    """Return whether something is a pool of asyncpg."""
    return all(hasattr(thing, name) for name in _IS_POOL)


def tap(pool: Any) -> Tap:
    """Return the tap of a pool, put there at first use."""
    if not isinstance(pool._init, Tap):  # noqa: SLF001  # as above
        pool._init = Tap(pool)  # noqa: SLF001
    made: Tap = pool._init  # noqa: SLF001
    return made


def follow_waits(pool: Any, listener: Listener) -> None:
    """Tell a listener of the waits for a connection."""
    taps.add(tap(pool), taps.WAITS, listener)
    taps.wrap(type(pool), "_acquire", _timed_acquire)


def follow_queries(pool: Any, listener: Listener) -> None:
    """Tell a listener of what the pool's connections send, those that are open and those to come."""
    place = tap(pool)
    taps.add(place, taps.OPERATIONS, listener)
    taps.wrap(type(pool), "_get_new_connection", _timed_connecting)
    for holder in pool._holders:  # noqa: SLF001  # as above
        place.follow(getattr(holder, "_con", None))


def _timed_acquire(plain: Callable[..., Awaitable[Any]], owner: type) -> Callable[..., Awaitable[Any]]:
    async def _acquire(self: Any, timeout: float | None) -> Any:  # noqa: ASYNC109  # as asyncpg calls it
        place = self._init
        listeners = vars(place).get(taps.WAITS) if isinstance(place, Tap) else None
        if not listeners or taps.is_inner(self, "_acquire", owner):
            return await plain(self, timeout)
        timed_out = False
        started = perf_counter()
        try:
            return await plain(self, timeout)
        except TimeoutError:
            timed_out = timeout is not None  # else it is the server that did not answer
            raise
        finally:
            seconds = perf_counter() - started
            for listener in listeners:
                listener(seconds, timed_out)

    return _acquire


def _timed_connecting(plain: Callable[..., Awaitable[Any]], owner: type) -> Callable[..., Awaitable[Any]]:
    async def _get_new_connection(self: Any) -> Any:
        place = self._init
        if not isinstance(place, Tap) or taps.is_inner(self, "_get_new_connection", owner):
            return await plain(self)
        return await _measured(place, "connect", plain(self))

    return _get_new_connection


async def _measured(place: Tap, operation: str, call: Awaitable[Any]) -> Any:
    started = perf_counter()
    try:
        result = await call
    except BaseException as error:
        place.tell(operation, started, error)
        raise
    place.tell(operation, started)
    return result


class _Requests:
    """What one connection sends.

    Preparing a statement is part of its first run, as ``fetch()`` does both; it is told only if it fails.
    """

    def __init__(self, place: Tap) -> None:
        self._place = place
        self._prepared: dict[Any, float] = {}

    def methods(self) -> dict[str, Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]]:
        """Return how to measure the methods of a protocol."""
        return {
            "prepare": self._prepare,
            "query": self._query,
            "bind_execute": self._run,
            "bind_execute_many": self._run,
            "bind": self._run,
            "execute": self._constant("fetch"),  # the next rows of a cursor
            "copy_in": self._constant("copy"),
            "copy_out": self._constant("copy"),
        }

    def _query(self, plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def query(text: Any, *args: Any, **kwargs: Any) -> Any:
            reset = isinstance(text, str) and text.startswith(_RESET)
            operation = "reset" if reset else sql_verb(text)
            return await _measured(self._place, operation, plain(text, *args, **kwargs))

        return query

    def _constant(
        self, operation: str
    ) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
        def measure(plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def request(*args: Any, **kwargs: Any) -> Any:
                return await _measured(self._place, operation, plain(*args, **kwargs))

            return request

        return measure

    def _prepare(self, plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def prepare(name: Any, text: Any, *args: Any, **kwargs: Any) -> Any:
            started = perf_counter()
            try:
                statement = await plain(name, text, *args, **kwargs)
            except BaseException as error:
                self._place.tell(sql_verb(text), started, error)
                raise
            if len(self._prepared) >= _PREPARED_KEPT:  # prepared, and never run
                self._prepared.clear()
            self._prepared[statement] = perf_counter() - started
            return statement

        return prepare

    def _run(self, plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **kwargs: Any) -> Any:
            statement = args[0] if args else kwargs.get("state")
            operation = sql_verb(getattr(statement, "query", None))
            started = perf_counter() - self._prepared.pop(statement, 0.0)
            try:
                result = await plain(*args, **kwargs)
            except BaseException as error:
                self._place.tell(operation, started, error)
                raise
            self._place.tell(operation, started)
            return result

        return run
