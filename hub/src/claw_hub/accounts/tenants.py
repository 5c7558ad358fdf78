"""Tenants: who may use the hub, and how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import select

from claw_hub.accounts import checks
from claw_hub.accounts.memory import Loaded
from claw_hub.accounts.model import OnExceeded, Page, Quota, Tenant
from claw_hub.accounts.schema import TenantRow
from claw_hub.accounts.store import PAGE, Store, checked
from claw_hub.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claw_hub.accounts.store import Change

__all__ = ["DEFAULT_QUOTA", "Tenants", "tenant_of"]

DEFAULT_QUOTA: Final = Quota(
    tokens_per_month=500_000, projects=10, records_per_second=None, on_exceeded="flag"
)
"""What requirement document 1 gives to a new tenant."""

_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "name": checks.text,
    "is_active": checks.flag,
    "tokens_per_month": checks.number(0, 2**63 - 1),
    "projects": checks.number(0, 1_000_000),
    "records_per_second": checks.number(0.001, 1e9, whole=False),
    "on_exceeded": checks.choice("flag", "reject"),
    "retention_days": checks.number(1, 36_500),
    "naive_timezone": checks.zone,
}


class Tenants(Store):
    """The part of the accounts that is about tenants."""

    async def create_tenant(
        self,
        *,
        slug: str,
        name: str = "",
        quota: Quota = DEFAULT_QUOTA,
        retention_days: int | None = None,
        naive_timezone: str = "UTC",
    ) -> Tenant:
        """Makes a tenant; its name is the slug where none is given.

        Raises:
            BadRequestError: A value is wrong.
            ConflictError: There is one with this slug.
            UnavailableError: Postgres is away.
        """
        values = {
            "name": name or slug,
            "tokens_per_month": quota.tokens_per_month,
            "projects": quota.projects,
            "records_per_second": quota.records_per_second,
            "on_exceeded": quota.on_exceeded,
            "retention_days": retention_days,
            "naive_timezone": naive_timezone,
        }
        row = TenantRow(
            slug=checks.slug("slug", slug), is_active=True, created_at=self.now(), **checked(values, _CHECKS)
        )
        async with self._changing(
            conflict=f"there is a tenant {slug!r} already; choose another slug"
        ) as change:
            change.session.add(row)
            await change.session.flush()
            change.tell(f"tenant:{row.id}")
        return tenant_of(row)

    async def update_tenant(self, tenant_id: int, changes: Mapping[str, Any]) -> Tenant:
        """Changes some fields of a tenant.

        Args:
            tenant_id: Which.
            changes: New values of `name`, `is_active`, `tokens_per_month`, `projects`, `records_per_second`,
                `on_exceeded`, `retention_days`, `naive_timezone`; what is left out stays.

        Raises:
            BadRequestError: There is no such field, or a value is wrong.
            NotFoundError: There is no such tenant.
            UnavailableError: Postgres is away.
        """
        values = checked(changes, _CHECKS)
        async with self._changing() as change:
            row = await _locked(change, tenant_id)
            for name, value in values.items():
                setattr(row, name, value)
            change.tell(f"tenant:{tenant_id}")
        return tenant_of(row)

    async def tenant(self, tenant_id: int) -> Tenant:
        """Returns a tenant, also one that is not active; remembered for a minute.

        Raises:
            NotFoundError: There is none.
            UnavailableError: Postgres is away, and it is not remembered.
        """

        async def load() -> Loaded[Tenant] | None:
            async with self._reading() as session:
                row = await session.get(TenantRow, tenant_id)
            return None if row is None else Loaded(tenant_of(row))

        found = await self._memory.get(f"tenant:{tenant_id}", load)
        if found is None:
            raise _missing(tenant_id)
        return found

    async def tenant_by_slug(self, slug: str) -> Tenant:
        """Returns a tenant.

        Raises:
            NotFoundError: There is none.
            UnavailableError: Postgres is away.
        """
        async with self._reading() as session:
            row = await session.scalar(select(TenantRow).where(TenantRow.slug == slug))
        if row is None:
            raise NotFoundError(f"there is no tenant {slug!r}")
        return tenant_of(row)

    async def tenants(self, *, after_id: int = 0, limit: int = PAGE) -> Page[Tenant]:
        """Lists tenants.

        Raises:
            UnavailableError: Postgres is away.
        """
        statement = select(TenantRow).where(TenantRow.id > after_id).order_by(TenantRow.id)
        return await self._page(statement, tenant_of, limit=limit)


def tenant_of(row: TenantRow) -> Tenant:
    """Returns what a row says."""
    return Tenant(
        id=row.id,
        slug=row.slug,
        name=row.name,
        is_active=row.is_active,
        quota=Quota(
            tokens_per_month=row.tokens_per_month,
            projects=row.projects,
            records_per_second=row.records_per_second,
            on_exceeded=cast("OnExceeded", row.on_exceeded),
        ),
        retention_days=row.retention_days,
        naive_timezone=row.naive_timezone,
    )


async def _locked(change: Change, tenant_id: int) -> TenantRow:
    row = await change.session.get(TenantRow, tenant_id, with_for_update=True)
    if row is None:
        raise _missing(tenant_id)
    return row


def _missing(tenant_id: int) -> NotFoundError:
    return NotFoundError(f"there is no tenant {tenant_id}")
