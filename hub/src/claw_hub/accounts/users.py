"""People: their roles and passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, update

from claw_hub.accounts import checks
from claw_hub.accounts.model import Page, Role, User
from claw_hub.accounts.passwords import Passwords
from claw_hub.accounts.schema import RefreshTokenRow, TenantRow, UserRow
from claw_hub.accounts.store import PAGE, Store, checked
from claw_hub.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from claw_hub.accounts.store import Change

__all__ = ["Users", "user_of"]

_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {"role": checks.role, "is_active": checks.flag}


class Users(Store):
    """The part of the accounts that is about people.

    Args:
        engine: Of the database.
        clock: Seconds since 1970.
        passwords: How they are hashed.
    """

    def __init__(
        self, engine: AsyncEngine, *, clock: Callable[[], float], passwords: Passwords | None = None
    ) -> None:
        super().__init__(engine, clock=clock)
        self._passwords = passwords or Passwords()

    async def create_user(
        self, tenant_id: int, *, email: str, password: str, role: Role, is_operator: bool = False
    ) -> User:
        """Makes a person.

        Args:
            tenant_id: Where the person belongs.
            email: To log in with; there is one person with it, in all tenants.
            password: 12 to 256 characters.
            role: What the person may do.
            is_operator: Of the house: for all tenants.

        Raises:
            BadRequestError: A value is wrong.
            ConflictError: There is a person with this address.
            NotFoundError: There is no such tenant.
            UnavailableError: Postgres is away, or too many passwords are hashed now.
        """
        now = self.now()
        row = UserRow(
            tenant_id=tenant_id,
            email=checks.email("email", email),
            role=checks.role("role", role),
            is_operator=is_operator,
            is_active=True,
            generation=1,
            password_hash=await self._passwords.hash(password),
            created_at=now,
            password_changed_at=now,
        )
        async with self._changing(conflict=f"there is a user {row.email!r} already") as change:
            if await change.session.get(TenantRow, tenant_id) is None:
                raise NotFoundError(f"there is no tenant {tenant_id}")
            change.session.add(row)
        return user_of(row)

    async def update_user(self, tenant_id: int, user_id: int, changes: Mapping[str, Any]) -> User:
        """Changes `role` or `is_active`; what was opened before is closed, in every process.

        Raises:
            BadRequestError: There is no such field, or a value is wrong.
            ConflictError: The tenant, or the house, would have no administrator left.
            NotFoundError: This tenant has no such person.
            UnavailableError: Postgres is away.
        """
        values = checked(changes, _CHECKS)
        async with self._changing() as change:
            await change.session.get(TenantRow, tenant_id, with_for_update=True)
            row = await self._locked(change, tenant_id, user_id)
            was_admin = row.is_active and row.role == Role.ADMIN
            differs = any(getattr(row, name) != value for name, value in values.items())
            for name, value in values.items():
                setattr(row, name, value)
            if was_admin and not (row.is_active and row.role == Role.ADMIN):
                await _keep_an_admin(change, row)
            if differs:
                await self._close(change, row)
        return user_of(row)

    async def set_password(self, tenant_id: int, user_id: int, password: str) -> User:
        """Gives a person another password, and closes what was opened with the one before, in every process.

        Raises:
            BadRequestError: It is too short or too long.
            NotFoundError: This tenant has no such person.
            UnavailableError: Postgres is away, or too many passwords are hashed now.
        """
        stored = await self._passwords.hash(password)
        async with self._changing() as change:
            row = await self._locked(change, tenant_id, user_id)
            row.password_hash, row.password_changed_at = stored, self.now()
            await self._close(change, row)
        return user_of(row)

    async def user(self, tenant_id: int, user_id: int) -> User:
        """Returns a person.

        Raises:
            NotFoundError: This tenant has no such person.
            UnavailableError: Postgres is away.
        """
        async with self._reading() as session:
            row = await session.get(UserRow, user_id)
        return user_of(_of_tenant(row, tenant_id, user_id))

    async def user_by_email(self, email: str) -> User:
        """Returns a person.

        Raises:
            NotFoundError: There is none.
            UnavailableError: Postgres is away.
        """
        async with self._reading() as session:
            row = await session.scalar(select(UserRow).where(UserRow.email == email.lower()))
        if row is None:
            raise NotFoundError(f"there is no user {email!r}")
        return user_of(row)

    async def users(self, tenant_id: int, *, after_id: int = 0, limit: int = PAGE) -> Page[User]:
        """Lists a tenant's people.

        Raises:
            UnavailableError: Postgres is away.
        """
        statement = (
            select(UserRow).where(UserRow.tenant_id == tenant_id, UserRow.id > after_id).order_by(UserRow.id)
        )
        return await self._page(statement, user_of, limit=limit)

    async def has_operator(self) -> bool:
        """Tells whether anybody of the house can log in.

        Raises:
            UnavailableError: Postgres is away.
        """
        found = select(UserRow.id).where(UserRow.is_operator, UserRow.is_active).limit(1)
        async with self._reading() as session:
            return await session.scalar(found) is not None

    async def _locked(self, change: Change, tenant_id: int, user_id: int) -> UserRow:
        row = await change.session.get(UserRow, user_id, with_for_update=True)
        return _of_tenant(row, tenant_id, user_id)

    async def _close(self, change: Change, row: UserRow) -> None:
        row.generation += 1
        await change.session.execute(
            update(RefreshTokenRow)
            .where(RefreshTokenRow.user_id == row.id, RefreshTokenRow.revoked_at.is_(None))
            .values(revoked_at=self.now())
        )
        change.tell(f"user:{row.id}")


def _of_tenant(row: UserRow | None, tenant_id: int, user_id: int) -> UserRow:
    if row is None or row.tenant_id != tenant_id:
        raise NotFoundError(f"this tenant has no user {user_id}")
    return row


async def _keep_an_admin(change: Change, gone: UserRow) -> None:
    """Refuses to take the last administrator; the tenant's row is locked, so two do not leave at once."""
    others = select(func.count()).where(
        UserRow.id != gone.id, UserRow.is_active, UserRow.role == Role.ADMIN.value
    )
    of = UserRow.is_operator if gone.is_operator else UserRow.tenant_id == gone.tenant_id
    if not await change.session.scalar(others.where(of)):
        raise ConflictError(f"{gone.email} is the last administrator; make another one first")


def user_of(row: UserRow) -> User:
    """Returns what a row says."""
    return User(
        id=row.id,
        tenant_id=row.tenant_id,
        email=row.email,
        role=Role(row.role),
        is_operator=row.is_operator,
        is_active=row.is_active,
        created_at=row.created_at,
    )
