"""Projects that somebody gave a name; what records say of others is not refused because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from claw_hub.accounts import checks
from claw_hub.accounts.model import Page, Project
from claw_hub.accounts.schema import ProjectRow, TenantRow
from claw_hub.accounts.store import PAGE, Store, checked
from claw_hub.errors import NotFoundError, QuotaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claw_hub.accounts.store import Change

__all__ = ["Projects"]

LONGEST_ID: Final = 256
_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {"name": checks.text, "is_archived": checks.flag}


class Projects(Store):
    """The part of the accounts that is about projects."""

    async def create_project(self, tenant_id: int, *, external_id: str, name: str = "") -> Project:
        """Gives a project a name.

        Args:
            tenant_id: Whose it is.
            external_id: What records call it.
            name: Its name for people; as records call it, where left out.

        Raises:
            BadRequestError: A value is wrong.
            ConflictError: It has a name already.
            NotFoundError: There is no such tenant.
            QuotaError: The tenant has as many as it may have, and what is beyond is rejected.
            UnavailableError: Postgres is away.
        """
        row = ProjectRow(
            tenant_id=tenant_id,
            external_id=checks.text("external_id", external_id, longest=LONGEST_ID),
            name=checks.text("name", name or external_id[:200]),
            created_at=self.now(),
        )
        async with self._changing(conflict=f"there is a project {external_id!r} already") as change:
            await _room(change, tenant_id)
            change.session.add(row)
        return _project_of(row)

    async def update_project(self, tenant_id: int, project_id: int, changes: Mapping[str, Any]) -> Project:
        """Changes `name`, or puts it away and back by `is_archived`.

        Raises:
            BadRequestError: There is no such field, or a value is wrong.
            NotFoundError: This tenant has no such project.
            UnavailableError: Postgres is away.
        """
        values = checked(changes, _CHECKS)
        async with self._changing() as change:
            row = await change.session.get(ProjectRow, project_id, with_for_update=True)
            if row is None or row.tenant_id != tenant_id:
                raise NotFoundError(f"this tenant has no project {project_id}")
            row.name = values.get("name", row.name)
            if "is_archived" in values:
                row.archived_at = (row.archived_at or self.now()) if values["is_archived"] else None
        return _project_of(row)

    async def projects(self, tenant_id: int, *, after_id: int = 0, limit: int = PAGE) -> Page[Project]:
        """Lists a tenant's projects.

        Raises:
            UnavailableError: Postgres is away.
        """
        statement = (
            select(ProjectRow)
            .where(ProjectRow.tenant_id == tenant_id, ProjectRow.id > after_id)
            .order_by(ProjectRow.id)
        )
        return await self._page(statement, _project_of, limit=limit)


async def _room(change: Change, tenant_id: int) -> None:
    tenant = await change.session.get(TenantRow, tenant_id, with_for_update=True)
    if tenant is None:
        raise NotFoundError(f"there is no tenant {tenant_id}")
    if tenant.projects is None or tenant.on_exceeded != "reject":
        return
    live = select(func.count()).where(ProjectRow.tenant_id == tenant_id, ProjectRow.archived_at.is_(None))
    if (await change.session.scalar(live) or 0) >= tenant.projects:
        raise QuotaError(f"{tenant.slug} has its {tenant.projects} projects; archive one, or ask for more")


def _project_of(row: ProjectRow) -> Project:
    return Project(
        id=row.id,
        tenant_id=row.tenant_id,
        external_id=row.external_id,
        name=row.name,
        created_at=row.created_at,
        archived_at=row.archived_at,
    )
