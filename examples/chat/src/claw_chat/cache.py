"""A cache in Redis that may always be absent: a failure is counted and then treated as a miss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from claw_chat.logs import log
from claw_exporter import metrics

if TYPE_CHECKING:
    from claw_chat.settings import Settings

PREFIX: Final = "chat:"


class Cache:
    """JSON values under text keys, each for ``cache_ttl_seconds``; in Redis every key begins with ``chat:``.

    Args:
        settings: Where Redis is, how long to wait for it, and how long values live.
    """

    def __init__(self, settings: Settings) -> None:
        self._ttl_seconds = settings.cache_ttl_seconds
        self._working = True
        self._redis = Redis.from_url(
            settings.redis_url,
            password=settings.redis_password,
            max_connections=settings.redis_pool_max_connections,
            socket_timeout=settings.redis_timeout_seconds,
            socket_connect_timeout=settings.redis_timeout_seconds,
            retry=Retry(
                NoBackoff(), 0
            ),  # a reader would rather have an uncached answer than wait for a retry
        )
        metrics.watch_redis(self._redis, name="cache")  # every command, and the pool

    async def close(self) -> None:
        """Give every connection back."""
        await self._redis.aclose()

    async def get(self, key: str) -> Any | None:  # noqa: ANN401 - whatever was stored
        """Return the value under ``key``; ``None`` if there is none or Redis cannot be reached."""
        try:
            found = await self._redis.get(PREFIX + key)
        except (RedisError, OSError) as error:
            self._note(error)
            return None
        self._note(None)
        return None if found is None else json.loads(found)

    async def set(self, key: str, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        """Store ``value`` under ``key``, if Redis can be reached."""
        try:
            await self._redis.set(PREFIX + key, json.dumps(value, default=str), ex=self._ttl_seconds)
        except (RedisError, OSError) as error:
            self._note(error)

    async def delete(self, key: str) -> None:
        """Forget ``key``, if Redis can be reached."""
        try:
            await self._redis.delete(PREFIX + key)
        except (RedisError, OSError) as error:
            self._note(error)

    async def ping(self) -> bool:
        """Return whether Redis answers."""
        try:
            await self._redis.ping()
        except (RedisError, OSError):
            return False
        return True

    def _note(self, error: Exception | None) -> None:
        """Log the first failure and the first success after it; every one in between is only counted."""
        working = error is None
        if working != self._working:
            self._working = working
            log.warning("redis is back" if working else "redis is away", extra={"error": str(error)})
