"""Tickets: what a browser can put into the address of a live stream, where it cannot send headers."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from claw_hub.api.access import Principal
from claw_hub.errors import CredentialsError, UnavailableError

__all__ = ["Grant", "Tickets"]

KEY: Final = "claw:hub:ticket:"
RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a ticket was worth.

    Attributes:
        tenant_id: Whose live stream it opens.
        subject: Who asked for it.
    """

    tenant_id: int
    subject: str


class Tickets:
    """Issues tickets, and takes each of them once. Redis knows their hashes only.

    Args:
        redis: A connection pool's client; it stays the caller's.
        ttl_seconds: How long a ticket can be used.
    """

    def __init__(self, redis: Redis, *, ttl_seconds: int = 30) -> None:
        self._redis = redis
        self.ttl_seconds = ttl_seconds

    async def issue(self, principal: Principal) -> str:
        """Returns a new ticket: 43 URL-safe characters.

        Raises:
            UnavailableError: Redis is away.
        """
        ticket = secrets.token_urlsafe(RANDOM_BYTES)
        grant = orjson.dumps({"tenant_id": principal.tenant.id, "subject": principal.subject})
        try:
            await self._redis.set(_key(ticket), grant, ex=self.ttl_seconds)
        except (RedisError, OSError) as error:
            raise UnavailableError("no tickets can be issued now; try again") from error
        return ticket

    async def redeem(self, ticket: str) -> Grant:
        """Takes a ticket; it is worth nothing afterwards.

        Raises:
            CredentialsError: There is none: it was used, is too old, or never was.
            UnavailableError: Redis is away.
        """
        try:
            found: Any = await self._redis.getdel(_key(ticket))
        except (RedisError, OSError) as error:
            raise UnavailableError("no tickets can be taken now; try again") from error
        if found is None:
            raise CredentialsError("the ticket was used, or is too old: ask for another")
        return Grant(**orjson.loads(found))


def _key(ticket: str) -> str:
    return KEY + hashlib.sha256(ticket.encode()).hexdigest()
