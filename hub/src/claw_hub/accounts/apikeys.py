"""The keys of machines: made or imported, shown once, revoked everywhere at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from claw_hub.accounts import checks, keys
from claw_hub.accounts.model import ApiKey, NewKey, Page
from claw_hub.accounts.schema import ApiKeyRow, TenantRow
from claw_hub.accounts.store import PAGE, Store
from claw_hub.errors import BadRequestError, ConflictError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from claw_hub.accounts.store import Change

__all__ = ["ApiKeys", "memory_name"]

_CONFLICT: Final = "there is such a key already, or no such tenant; a key is imported once"
MAX_GRACE_SECONDS: Final = 30 * 86_400


class ApiKeys(Store):
    """The part of the accounts that is about keys."""

    async def create_key(
        self, tenant_id: int, *, name: str, value: str = "", expires_at: datetime | None = None
    ) -> NewKey:
        """Makes a key, or imports the one that is given.

        Args:
            tenant_id: Whose it is.
            name: What it is for.
            value: A key that another system made: `hc_...`, 20 to 128 characters.
            expires_at: From then on it is refused; None is never.

        Raises:
            BadRequestError: A value is wrong, or it would have expired already.
            ConflictError: This key was imported before.
            NotFoundError: There is no such tenant.
            UnavailableError: Postgres is away.
        """
        if expires_at is not None:
            expires_at = checks.time("expires_at", expires_at)
            if expires_at <= self.now():
                raise BadRequestError(f"expires_at is {expires_at.isoformat()}: it has to be in the future")
        secret = keys.take(value) if value else keys.generate()
        checks.text("name", name)
        async with self._changing(conflict=_CONFLICT) as change:
            if await change.session.get(TenantRow, tenant_id) is None:
                raise NotFoundError(f"there is no tenant {tenant_id}")
            row = await self._add(change, secret, tenant_id=tenant_id, name=name, expires_at=expires_at)
        return NewKey(key=_key_of(row), secret=secret)

    async def revoke_key(self, tenant_id: int, key_id: int) -> ApiKey:
        """Makes a key be refused from now on, in every process; once more does nothing.

        Raises:
            NotFoundError: This tenant has no such key.
            UnavailableError: Postgres is away.
        """
        async with self._changing() as change:
            row = await _locked(change, tenant_id, key_id)
            row.revoked_at = row.revoked_at or self.now()
            change.tell(memory_name(row.digest))
        return _key_of(row)

    async def rotate_key(self, tenant_id: int, key_id: int, *, grace_seconds: float = 0) -> NewKey:
        """Makes a key that takes the place of another.

        Args:
            tenant_id: Whose it is.
            key_id: The one to be replaced.
            grace_seconds: How long that one still works, up to 30 days; at 0 it is revoked.

        Raises:
            BadRequestError: The time of grace is wrong.
            ConflictError: The key is revoked, or has expired.
            NotFoundError: This tenant has no such key.
            UnavailableError: Postgres is away.
        """
        checks.number(0, MAX_GRACE_SECONDS, whole=False, optional=False)("grace_seconds", grace_seconds)
        secret, now = keys.generate(), self.now()
        async with self._changing(conflict=_CONFLICT) as change:
            old = await _locked(change, tenant_id, key_id)
            if old.revoked_at or (old.expires_at and old.expires_at <= now):
                raise ConflictError(f"key {key_id} is not valid any more; create one instead")
            row = await self._add(
                change, secret, tenant_id=tenant_id, name=old.name, expires_at=old.expires_at
            )
            if grace_seconds:
                end = now + timedelta(seconds=grace_seconds)
                old.expires_at = min(end, old.expires_at or end)
            else:
                old.revoked_at = now
            change.tell(memory_name(old.digest))
        return NewKey(key=_key_of(row), secret=secret)

    async def keys(self, tenant_id: int, *, after_id: int = 0, limit: int = PAGE) -> Page[ApiKey]:
        """Lists a tenant's keys, those that do not work any more included.

        Raises:
            UnavailableError: Postgres is away.
        """
        statement = (
            select(ApiKeyRow)
            .where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.id > after_id)
            .order_by(ApiKeyRow.id)
        )
        return await self._page(statement, _key_of, limit=limit)

    async def _add(
        self, change: Change, secret: str, *, tenant_id: int, name: str, expires_at: datetime | None
    ) -> ApiKeyRow:
        row = ApiKeyRow(
            tenant_id=tenant_id,
            name=name,
            digest=keys.digest(secret),
            prefix=keys.prefix_of(secret),
            created_at=self.now(),
            expires_at=expires_at,
        )
        change.session.add(row)
        await change.session.flush()
        change.tell(memory_name(row.digest))  # somebody may have tried it before
        return row


def memory_name(digest: bytes) -> str:
    """Returns how the memory calls a key."""
    return f"key:{digest.hex()}"


async def _locked(change: Change, tenant_id: int, key_id: int) -> ApiKeyRow:
    row = await change.session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None or row.tenant_id != tenant_id:
        raise NotFoundError(f"this tenant has no key {key_id}")
    return row


def _key_of(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        prefix=row.prefix,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
