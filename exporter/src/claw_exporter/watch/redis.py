"""redis-py, synchronous and asynchronous: commands and pipelines of every client of a pool, waiting for it.

Of the package, ``Redis.execute_command``, ``Pipeline.execute`` and ``Pipeline.immediate_execute_command`` and
the pools' ``get_connection`` are wrapped. They stand outside of the client's own retries. Publish/subscribe
has methods of its own, which are left alone.
"""

# Any: no driver is imported, and what they are given may be anything.
# ruff: noqa: ANN401

from __future__ import annotations

from importlib import import_module
from inspect import iscoroutinefunction
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from claw_exporter.watch import taps
from claw_exporter.watch.verbs import redis_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.watch.taps import Listener

    Method = Callable[..., Any]

__all__ = ["follow_commands", "follow_waits", "pool_of"]

_FULL: Final = frozenset(("No connection available.", "Too many connections"))


def pool_of(thing: Any) -> Any | None:
    """Return the pool that something is, or a client has."""
    pool = getattr(thing, "connection_pool", thing)
    return (
        pool
        if all(hasattr(pool, name) for name in ("get_connection", "max_connections", "connection_kwargs"))
        else None
    )


def follow_commands(pool: Any, listener: Listener) -> None:
    """Tell a listener of what the clients of a pool do, those that are made later too."""
    taps.add(pool, taps.OPERATIONS, listener)
    for client in _clients(type(pool)):
        for name, operation_of in (
            _OF_PIPELINE if hasattr(client, "immediate_execute_command") else _OF_CLIENT
        ).items():
            timed = _timed_async if iscoroutinefunction(getattr(client, name)) else _timed
            taps.wrap(client, name, timed(operation_of))


def follow_waits(pool: Any, listener: Listener) -> None:
    """Tell a listener of the waits for a connection of a pool."""
    taps.add(pool, taps.WAITS, listener)
    asynchronous = iscoroutinefunction(type(pool).get_connection)
    taps.wrap(type(pool), "get_connection", _async_waiting if asynchronous else _waiting)


def _clients(pool: type) -> list[type]:
    """Return the classes of clients and pipelines that go with a class of pools."""
    for base in pool.__mro__:
        package, _, module = base.__module__.rpartition(".")
        if module == "connection":
            clients = import_module(f"{package}.client")
            return [
                kind
                for kind in vars(clients).values()
                if isinstance(kind, type)
                and kind.__module__ == clients.__name__
                and hasattr(kind, "pipeline")
                and hasattr(kind, "execute_command")
            ]
    return []


def _is_full(error: Exception) -> bool:
    return str(error) in _FULL


def _waiting(plain: Method, place: type) -> Method:
    def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        listeners = vars(self).get(taps.WAITS)
        if not listeners or taps.is_inner(self, "get_connection", place):
            return plain(self, *args, **kwargs)
        timed_out = False
        started = perf_counter()
        try:
            return plain(self, *args, **kwargs)
        except Exception as error:
            timed_out = _is_full(error)
            raise
        finally:
            seconds = perf_counter() - started
            for listener in listeners:
                listener(seconds, timed_out)

    return get_connection


def _async_waiting(plain: Method, place: type) -> Method:
    async def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        listeners = vars(self).get(taps.WAITS)
        if not listeners or taps.is_inner(self, "get_connection", place):
            return await plain(self, *args, **kwargs)
        timed_out = False
        started = perf_counter()
        try:
            return await plain(self, *args, **kwargs)
        except Exception as error:
            timed_out = _is_full(error)
            raise
        finally:
            seconds = perf_counter() - started
            for listener in listeners:
                listener(seconds, timed_out)

    return get_connection


def _listeners(client: Any) -> tuple[Listener, ...]:
    found: tuple[Listener, ...] = getattr(getattr(client, "connection_pool", None), taps.OPERATIONS, ())
    return found


def _command(_client: Any, words: tuple[Any, ...]) -> str:
    return redis_command(words)


def _pipeline(client: Any, _arguments: tuple[Any, ...]) -> str:
    """Return the name of a pipeline, or nothing where it has nothing to send."""
    return "pipeline" if getattr(client, "command_stack", None) or getattr(client, "watching", False) else ""


def _timed(operation_of: Callable[[Any, tuple[Any, ...]], str]) -> Callable[[Method, type], Method]:
    def make(plain: Method, _place: type) -> Method:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            listeners = _listeners(self)
            operation = operation_of(self, args) if listeners else ""
            if not operation:
                return plain(self, *args, **kwargs)
            started = perf_counter()
            try:
                result = plain(self, *args, **kwargs)
            except BaseException as error:
                taps.tell(listeners, operation, started, error)
                raise
            taps.tell(listeners, operation, started)
            return result

        return call

    return make


def _timed_async(operation_of: Callable[[Any, tuple[Any, ...]], str]) -> Callable[[Method, type], Method]:
    def make(plain: Method, _place: type) -> Method:
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            listeners = _listeners(self)
            operation = operation_of(self, args) if listeners else ""
            if not operation:
                return await plain(self, *args, **kwargs)
            started = perf_counter()
            try:
                result = await plain(self, *args, **kwargs)
            except BaseException as error:
                taps.tell(listeners, operation, started, error)
                raise
            taps.tell(listeners, operation, started)
            return result

        return call

    return make


_OF_CLIENT: Final = {"execute_command": _command}
# Its execute_command only puts a command on the stack.
_OF_PIPELINE: Final = {"immediate_execute_command": _command, "execute": _pipeline}
