"""Connection pools, recognised by what they can do (no driver is imported) and read at each scrape."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from claw_exporter.catalog import DB_POOL_CONNECTIONS, DB_POOL_MAX
from claw_exporter.errors import PoolTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store

__all__ = ["Pools"]


class _State(NamedTuple):
    active: float
    idle: float
    most: float


class Pools:
    """The pools that an application has named."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connections = store.gauge(DB_POOL_CONNECTIONS)
        self._most = store.gauge(DB_POOL_MAX)
        self._watched: dict[str, Callable[[], _State | None]] = {}
        store.before_scrape(self._read)

    def watch(self, name: str, pool: object) -> None:
        """Show a pool under a name; a second pool of the same name takes its place.

        Raises:
            PoolTypeError: The object is no pool that can be read.
        """
        reader = _reader(pool)
        refer = _reference(pool)

        def read() -> _State | None:
            alive = refer()
            return None if alive is None else reader(alive)

        self._watched[name] = read

    def _read(self) -> None:
        connections: dict[tuple[object, ...], float] = {}
        most: dict[tuple[object, ...], float] = {}
        for name, read in list(self._watched.items()):
            try:
                state = read()
            except Exception:  # noqa: BLE001  # one broken pool must not hide the others
                self._store.fault("pool")
                continue
            if state is None:
                self._watched.pop(name, None)
                continue
            connections[name, "active"] = state.active
            connections[name, "idle"] = state.idle
            most[name,] = state.most
        self._connections.replace(connections)
        self._most.replace(most)


def _reference(pool: object) -> Callable[[], object | None]:
    """Refer to a pool without keeping it alive; where its type forbids that (asyncpg), until it is closed."""
    try:
        return weakref.ref(pool)
    except TypeError:
        return lambda: pool


def _reader(pool: object) -> Callable[[Any], _State | None]:
    for needs, reader in _READERS:
        if all(hasattr(pool, name) for name in needs):
            reader(pool)  # an engine may hold a pool without counts
            return reader
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
    return _reader(engine.pool)(engine.pool)


def _redis(pool: Any) -> _State:  # noqa: ANN401  # no driver is imported
    in_use, idle = len(pool._in_use_connections), len(pool._available_connections)  # noqa: SLF001  # no public name
    return _State(in_use, idle, pool.max_connections)


def _redis_client(client: Any) -> _State | None:  # noqa: ANN401  # no driver is imported
    return _reader(client.connection_pool)(client.connection_pool)


_READERS: Final[tuple[tuple[tuple[str, ...], Callable[[Any], _State | None]], ...]] = (
    (("get_size", "get_idle_size", "get_max_size", "is_closing"), _asyncpg),
    (("checkedout", "checkedin", "size", "_max_overflow"), _queue_pool),
    (("pool", "dispose"), _engine),
    (("_in_use_connections", "_available_connections", "max_connections"), _redis),
    (("connection_pool",), _redis_client),
)
