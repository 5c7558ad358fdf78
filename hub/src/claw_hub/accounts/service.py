"""Accounts, whole: who asks, and all that can be changed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from claw_hub.accounts import keys
from claw_hub.accounts.apikeys import ApiKeys, memory_name
from claw_hub.accounts.listener import Listener
from claw_hub.accounts.logins import Logins
from claw_hub.accounts.memory import Loaded
from claw_hub.accounts.model import Principal, Role
from claw_hub.accounts.prices import Prices
from claw_hub.accounts.projects import Projects
from claw_hub.accounts.schema import ApiKeyRow, TenantRow, UserRow
from claw_hub.accounts.tenants import Tenants, tenant_of
from claw_hub.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Accounts"]

_UNKNOWN: Final = "the API key is unknown, expired or revoked"
_NEITHER: Final = "send an API key in X-API-Key, or a token in Authorization: Bearer"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a key or a person.

    Attributes:
        principal: Who it is.
        expires_at: Seconds since 1970; a key's last moment.
        generation: A person's: tokens of another are refused.
    """

    principal: Principal
    expires_at: float | None = None
    generation: int = 0


class Accounts(Logins, Tenants, ApiKeys, Projects, Prices):
    """Tenants, keys, people, projects and prices, in Postgres.

    What `authenticate`, `tenant` and `prices` find is remembered for a minute within `listening`, where
    Postgres tells about changes, for a second elsewhere, and for an hour while Postgres is away.

    Args:
        engine: Made by `claw_hub.accounts.database.connect`; the caller disposes of it.
        token_secret: Signs people's tokens; at least 32 bytes, the same in every process.
        clock: Seconds since 1970.
        passwords: How they are hashed.

    Raises:
        SettingsError: The secret is too short.
    """

    async def authenticate(self, *, api_key: str = "", bearer: str = "") -> Principal:
        """Tells who asks.

        Args:
            api_key: Of `X-API-Key`.
            bearer: Of `Authorization: Bearer`: a person's token, or a key of a client that knows no other.

        Raises:
            CredentialsError: It is missing, unknown, expired or revoked, or the tenant is not active.
            UnavailableError: Postgres is away, and it is not remembered.
        """
        if api_key or keys.is_key(bearer):
            return await self._by_key(api_key or bearer)
        if bearer:
            return await self._by_token(bearer)
        raise CredentialsError(_NEITHER)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """Hears of changes that other processes make, as long as it lasts; needs one connection."""
        listener = Listener(self._engine, self._memory)
        task = asyncio.create_task(listener.run(), name="accounts listener")
        try:
            yield listener
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Ends what is under way; the engine stays."""
        await self._memory.close()

    async def _by_key(self, key: str) -> Principal:
        if not keys.is_key(key):
            raise CredentialsError("the API key is none; it begins with hc_")
        digest = keys.digest(key)

        async def load() -> Loaded[_Known] | None:
            return await self._find_key(digest)

        known = await self._memory.get(memory_name(digest), load)
        if known is None or (known.expires_at is not None and known.expires_at <= self._clock()):
            raise CredentialsError(_UNKNOWN)
        return known.principal

    async def _find_key(self, digest: bytes) -> Loaded[_Known] | None:
        statement = (
            select(ApiKeyRow, TenantRow)
            .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
            .where(ApiKeyRow.digest == digest, ApiKeyRow.revoked_at.is_(None), TenantRow.is_active)
        )
        async with self._reading() as session:
            found = (await session.execute(statement)).one_or_none()
        if found is None:
            return None
        key, tenant = found
        principal = Principal(tenant=tenant_of(tenant), role=None, subject=f"key:{key.prefix}")
        expires_at = key.expires_at.timestamp() if key.expires_at else None
        return Loaded(_Known(principal, expires_at=expires_at), f"tenant:{tenant.id}")

    async def _by_token(self, token: str) -> Principal:
        claims = self._tokens.read(token)

        async def load() -> Loaded[_Known] | None:
            return await self._find_user(claims.user_id)

        known = await self._memory.get(f"user:{claims.user_id}", load)
        if known is None or known.generation != claims.generation:
            raise CredentialsError("the token is not valid any more; log in again")
        return known.principal

    async def _find_user(self, user_id: int) -> Loaded[_Known] | None:
        statement = (
            select(UserRow, TenantRow)
            .join(TenantRow, TenantRow.id == UserRow.tenant_id)
            .where(UserRow.id == user_id, UserRow.is_active, TenantRow.is_active)
        )
        async with self._reading() as session:
            found = (await session.execute(statement)).one_or_none()
        if found is None:
            return None
        user, tenant = found
        principal = Principal(
            tenant=tenant_of(tenant),
            role=Role(user.role),
            subject=f"user:{user.email}",
            is_operator=user.is_operator,
        )
        return Loaded(_Known(principal, generation=user.generation), f"tenant:{tenant.id}")
