"""Stores whose every operation is measured: SQLAlchemy, asyncpg and redis-py, by one line each."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from claw_exporter.catalog import DB_DURATION, REDIS_DURATION
from claw_exporter.errors import ArgumentError, PoolTypeError
from claw_exporter.tracking import is_cancellation
from claw_exporter.watch import asyncpg, redis, sqlalchemy

if TYPE_CHECKING:
    from claw_exporter.pools import Pools
    from claw_exporter.spec import Histogram
    from claw_exporter.store import Store

__all__ = ["Stores"]


class Stores:
    """The clients of stores that an application has named.

    Args:
        store: Where the numbers go.
        pools: Where their pools are shown.
    """

    def __init__(self, store: Store, pools: Pools) -> None:
        self._pools = pools
        self._queries = _Operations(store, DB_DURATION)
        self._commands = _Operations(store, REDIS_DURATION)

    def watch_sqlalchemy(self, thing: object, name: str) -> None:
        """Watch an engine.

        Raises:
            ArgumentError: The object is none.
        """
        engine = sqlalchemy.engine_of(thing)
        if engine is None:
            raise ArgumentError(
                f"engine is of type {_kind(thing)}: pass an Engine or AsyncEngine of SQLAlchemy"
            )
        sqlalchemy.follow_statements(engine, self._queries)
        self._show(name, engine)

    def watch_asyncpg(self, pool: object, name: str) -> None:
        """Watch a pool.

        Raises:
            ArgumentError: The object is none.
        """
        if not asyncpg.is_pool(pool):
            raise ArgumentError(f"pool is of type {_kind(pool)}: pass what asyncpg.create_pool() returns")
        asyncpg.follow_queries(pool, self._queries)
        self._show(name, pool)

    def watch_redis(self, thing: object, name: str) -> None:
        """Watch a client with its pool, or a pool with all its clients.

        Raises:
            ArgumentError: The object is none of these.
        """
        pool = redis.pool_of(thing)
        if pool is None:
            raise ArgumentError(f"client is of type {_kind(thing)}: pass a Redis client or connection pool")
        redis.follow_commands(pool, self._commands)
        self._show(name, pool)

    def _show(self, name: str, pool: object) -> None:
        with suppress(PoolTypeError):  # such as NullPool: there is no number of connections to show
            self._pools.watch(name, pool)


def _kind(thing: object) -> str:
    return type(thing).__qualname__


class _Operations:
    """Hears of operations, and records them.

    Attributes:
        open: Always; there is no end of watching but that of the watched object.
    """

    open = True

    def __init__(self, store: Store, spec: Histogram) -> None:
        self._store = store
        self._duration = store.histogram(spec)

    def __call__(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """Record an operation."""
        try:
            status = "ok" if error is None else "cancelled" if is_cancellation(error) else "error"
            self._duration.observe(seconds, operation, status)
        except Exception:  # noqa: BLE001  # the measured code must not notice
            self._store.fault("watch_store")
