"""Connection pools, recognised by what they can do (no driver is imported).

Their connections are counted at each scrape; waiting for one is measured where it happens.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from claw_exporter.catalog import DB_POOL_CONNECTIONS, DB_POOL_MAX, DB_POOL_TIMEOUTS, DB_POOL_WAIT
from claw_exporter.errors import PoolTypeError
from claw_exporter.watch import asyncpg, redis, sqlalchemy

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

__all__ = ["Pools"]


class _State(NamedTuple):
    active: float
    idle: float
    most: float


class _Kind(NamedTuple):
    needs: tuple[str, ...]
    read: Callable[[Any], _State | None]
    follow_waits: Callable[[Any, _Waits], None]


class _Watched(NamedTuple):
    refer: Callable[[], object | None]
    read: Callable[[Any], _State | None]
    waits: _Waits


class Pools:
    """The pools that an application has named."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connections = store.gauge(DB_POOL_CONNECTIONS)
        self._most = store.gauge(DB_POOL_MAX)
        self._watched: dict[str, _Watched] = {}
        store.before_scrape(self._read)

    def watch(self, name: str, pool: object) -> None:
        """Show a pool under a name; a second pool of the same name takes its place.

        Raises:
            PoolTypeError: The object is no pool that can be read.
        """
        pool = getattr(pool, "sync_engine", pool)  # an AsyncEngine cannot be referred to weakly
        known = self._watched.get(name)
        if known is not None:
            if known.refer() is pool:
                return
            known.waits.open = False
        kind = _kind(pool)
        waits = _Waits(self._store, name)
        try:
            kind.follow_waits(pool, waits)
        except Exception:  # noqa: BLE001  # a version of a driver that is built otherwise: its states are shown
            self._store.fault("watch_pool")
        self._watched[name] = _Watched(_reference(pool), kind.read, waits)

    def _read(self) -> None:
        connections: dict[tuple[object, ...], float] = {}
        most: dict[tuple[object, ...], float] = {}
        for name, watched in list(self._watched.items()):
            try:
                pool = watched.refer()
                state = None if pool is None else watched.read(pool)
            except Exception:  # noqa: BLE001  # one broken pool must not hide the others
                self._store.fault("pool")
                continue
            if state is None:
                watched.waits.open = False
                self._watched.pop(name, None)
                continue
            connections[name, "active"] = state.active
            connections[name, "idle"] = state.idle
            most[name,] = state.most
        self._connections.replace(connections)
        self._most.replace(most)


class _Waits:
    """Hears of the waits for a pool's connections.

    Attributes:
        open: Whether the pool still has this name.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.open = True
        self._store = store
        self._name = name
        self._seconds = store.histogram(DB_POOL_WAIT)
        self._timeouts = store.counter(DB_POOL_TIMEOUTS)
        self._seconds.child(name)
        self._timeouts.child(name)  # at 0, so that ``increase`` sees the first one

    def __call__(self, seconds: float, timed_out: bool) -> None:  # noqa: FBT001  # as the listeners of waits are called
        """Note a wait that ended, however it did."""
        try:
            if self.open:
                self._seconds.observe(seconds, self._name)
                if timed_out:
                    self._timeouts.inc(self._name)
        except Exception:  # noqa: BLE001  # the measured code must not notice
            self._store.fault("watch_pool")


def _reference(pool: object) -> Callable[[], object | None]:
    """Refer to a pool without keeping it alive."""
    if asyncpg.is_pool(pool):
        refer = weakref.ref(asyncpg.tap(pool))
        return lambda: None if (tap := refer()) is None else tap.pool
    try:
        return weakref.ref(pool)
    except TypeError:
        return lambda: pool


def _kind(pool: object) -> _Kind:
    for kind in _KINDS:
        if all(hasattr(pool, name) for name in kind.needs):
            kind.read(pool)  # an engine may hold a pool without counts
            return kind
    raise PoolTypeError(
        f"{type(pool).__qualname__} is not a pool that can be watched: pass an asyncpg pool, a SQLAlchemy "
        "engine or QueuePool, or a redis connection pool or client"
    )


def _asyncpg(pool: Any) -> _State | None:  # noqa: ANN401  # no driver is imported
    if pool.is_closing():
        return None
    size, idle = pool.get_size(), pool.get_idle_size()
    return _State(size - idle, idle, pool.get_max_size())


def _queue_pool(pool: Any) -> _State:  # noqa: ANN401  # no driver is imported
    overflow = pool._max_overflow  # noqa: SLF001  # SQLAlchemy has no public name for it
    return _State(
        pool.checkedout(), pool.checkedin(), pool.size() + overflow if overflow >= 0 else float("inf")
    )


def _engine(engine: Any) -> _State | None:  # noqa: ANN401  # no driver is imported
    # Read anew each time: dispose() gives an engine another pool.
    return _kind(engine.pool).read(engine.pool)


def _redis(pool: Any) -> _State:  # noqa: ANN401  # no driver is imported
    in_use, idle = len(pool._in_use_connections), len(pool._available_connections)  # noqa: SLF001  # no public name
    return _State(in_use, idle, pool.max_connections)


def _redis_client(client: Any) -> _State | None:  # noqa: ANN401  # no driver is imported
    return _kind(client.connection_pool).read(client.connection_pool)


def _redis_blocking(pool: Any) -> _State:  # noqa: ANN401  # no driver is imported
    places = getattr(pool.pool, "queue", None)
    if places is None:  # asynchronous, before redis-py 5
        places = pool.pool._queue  # noqa: SLF001  # no public name
    idle = sum(connection is not None for connection in list(places))
    return _State(len(pool._connections) - idle, idle, pool.max_connections)  # noqa: SLF001  # no public name


def _follow_redis(thing: Any, waits: _Waits) -> None:  # noqa: ANN401  # no driver is imported
    pool = redis.pool_of(thing)
    if pool is not None:
        redis.follow_waits(pool, waits)


_KINDS: Final = (
    _Kind(("get_size", "get_idle_size", "get_max_size", "is_closing"), _asyncpg, asyncpg.follow_waits),
    _Kind(("checkedout", "checkedin", "size", "_max_overflow"), _queue_pool, sqlalchemy.follow_waits),
    _Kind(("pool", "dispose"), _engine, sqlalchemy.follow_waits),
    _Kind(("_in_use_connections", "_available_connections", "max_connections"), _redis, _follow_redis),
    _Kind(("_connections", "queue_class", "max_connections"), _redis_blocking, _follow_redis),
    _Kind(("connection_pool",), _redis_client, _follow_redis),
)
