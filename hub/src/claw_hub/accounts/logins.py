"""Logging in: a password for a pair of tokens, a refresh token for the next pair."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, update

from claw_hub.accounts.attempts import Attempts
from claw_hub.accounts.model import TokenPair
from claw_hub.accounts.schema import RefreshTokenRow, TenantRow, UserRow
from claw_hub.accounts.tokens import (
    ACCESS_SECONDS,
    Claims,
    Tokens,
    new_refresh_token,
    refresh_digest,
)
from claw_hub.accounts.users import Users
from claw_hub.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

    from claw_hub.accounts.passwords import Passwords
    from claw_hub.accounts.store import Change

__all__ = ["Logins"]

REFRESH_SECONDS: Final = 30 * 86_400
# Two windows of one browser may send the same refresh token; only one gets the next pair.
TWICE_SECONDS: Final = 10


class Logins(Users):
    """The part of the accounts that gives tokens.

    Args:
        engine: Of the database.
        token_secret: At least 32 bytes, the same in every process.
        clock: Seconds since 1970.
        passwords: How they are hashed.

    Raises:
        SettingsError: The secret is too short.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        token_secret: bytes,
        clock: Callable[[], float],
        passwords: Passwords | None = None,
    ) -> None:
        super().__init__(engine, clock=clock, passwords=passwords)
        self._tokens = Tokens(token_secret, clock=clock)
        self._attempts = Attempts(clock=clock)

    async def login(self, email: str, password: str) -> TokenPair:
        """Returns a person's first pair of tokens.

        Raises:
            CredentialsError: Address or password are wrong, or the person or tenant is not active.
            RateError: Too many attempts with this address failed.
            UnavailableError: Postgres is away, or too many log in at once.
        """
        row = await self._verified(email, password)
        now = self.now()
        async with self._changing() as change:
            await change.session.execute(
                delete(RefreshTokenRow).where(
                    RefreshTokenRow.user_id == row.id, RefreshTokenRow.expires_at <= now
                )
            )
            return self._pair(change, row, family=uuid.uuid4(), ends=now + timedelta(seconds=REFRESH_SECONDS))

    async def change_password(self, email: str, old: str, new: str) -> TokenPair:
        """Gives a person who knows the password another one, and a new pair of tokens; those before end.

        Raises:
            BadRequestError: The new one is too short or too long.
            CredentialsError: Address or password are wrong.
            RateError: Too many attempts with this address failed.
            UnavailableError: Postgres is away, or too many log in at once.
        """
        row = await self._verified(email, old)
        await self.set_password(row.tenant_id, row.id, new)
        return await self.login(email, new)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Returns the next pair of tokens; the one that was sent is used up.

        Whoever sends one for the second time has it from somebody else, or lost it to somebody: then all that
        followed from the same login end.

        Raises:
            CredentialsError: It is unknown, used, expired or revoked.
            UnavailableError: Postgres is away.
        """
        pair = None
        async with self._changing() as change:
            row = await change.session.scalar(
                select(RefreshTokenRow)
                .where(RefreshTokenRow.digest == refresh_digest(refresh_token))
                .with_for_update()
            )
            if row is not None:
                pair = await self._next(change, row)
        if pair is None:
            raise CredentialsError("the refresh token is unknown, used, expired or revoked; log in again")
        return pair

    async def logout(self, refresh_token: str) -> None:
        """Ends what followed from one login; does nothing where the token is unknown.

        Access tokens that were given end by themselves, after at most 15 minutes.

        Raises:
            UnavailableError: Postgres is away.
        """
        async with self._changing() as change:
            row = await change.session.scalar(
                select(RefreshTokenRow).where(RefreshTokenRow.digest == refresh_digest(refresh_token))
            )
            if row is not None:
                await self._end(change, row.family)

    async def _verified(self, email: str, password: str) -> UserRow:
        name = email.lower()
        self._attempts.begin(name)
        row = None
        if name.isprintable() and name.isascii():
            async with self._reading() as session:
                found = select(UserRow, TenantRow.is_active).join(
                    TenantRow, TenantRow.id == UserRow.tenant_id
                )
                row = (await session.execute(found.where(UserRow.email == name))).one_or_none()
        stored = row[0].password_hash if row else ""
        if not await self._passwords.verify(stored, password) or row is None:
            raise CredentialsError("address or password are wrong")
        self._attempts.succeeded(name)
        user: UserRow = row[0]
        if not (user.is_active and row[1]):
            raise CredentialsError(f"{user.email} is not active; an administrator can change that")
        if self._passwords.is_outdated(stored):
            await self._rehash(user, password)
        return user

    async def _rehash(self, user: UserRow, password: str) -> None:
        stored = await self._passwords.hash(password)
        async with self._changing() as change:
            await change.session.execute(
                update(UserRow)
                .where(UserRow.id == user.id, UserRow.password_hash == user.password_hash)
                .values(password_hash=stored)
            )

    async def _next(self, change: Change, row: RefreshTokenRow) -> TokenPair | None:
        now = self.now()
        if row.revoked_at or row.expires_at <= now:
            return None
        if row.used_at:
            if now - row.used_at > timedelta(seconds=TWICE_SECONDS):
                await self._end(change, row.family)
            return None
        user = await change.session.get(UserRow, row.user_id)
        tenant = await change.session.get(TenantRow, user.tenant_id) if user else None
        if user is None or tenant is None or not (user.is_active and tenant.is_active):
            return None
        row.used_at = now
        return self._pair(change, user, family=row.family, ends=row.expires_at)

    async def _end(self, change: Change, family: uuid.UUID) -> None:
        await change.session.execute(
            update(RefreshTokenRow)
            .where(RefreshTokenRow.family == family, RefreshTokenRow.revoked_at.is_(None))
            .values(revoked_at=self.now())
        )

    def _pair(self, change: Change, user: UserRow, *, family: uuid.UUID, ends: datetime) -> TokenPair:
        now, secret = self.now(), new_refresh_token()
        change.session.add(
            RefreshTokenRow(
                user_id=user.id,
                family=family,
                digest=refresh_digest(secret),
                created_at=now,
                expires_at=ends,
            )
        )
        return TokenPair(
            access_token=self._tokens.issue(Claims(user_id=user.id, generation=user.generation)),
            expires_in_seconds=ACCESS_SECONDS,
            refresh_token=secret,
            refresh_expires_in_seconds=int((ends - now).total_seconds()),
        )
