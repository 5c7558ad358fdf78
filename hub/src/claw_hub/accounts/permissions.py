"""What each role may do with the accounts, and whose."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from claw_hub.accounts.model import Role
from claw_hub.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claw_hub.accounts.model import Principal

__all__ = ["ALLOWED", "Permission", "require", "require_operator"]


class Permission(StrEnum):
    """What can be done."""

    TENANTS_READ = "tenants:read"
    TENANTS_WRITE = "tenants:write"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    PRICES_READ = "prices:read"
    PRICES_WRITE = "prices:write"


_READS: Final = frozenset(one for one in Permission if one.endswith(":read"))

ALLOWED: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPS: frozenset(
        {
            Permission.TENANTS_READ,
            Permission.PROJECTS_READ,
            Permission.KEYS_READ,
            Permission.KEYS_WRITE,
            Permission.PRICES_READ,
        }
    ),
    # How much a tenant may use, and what its projects are called.
    Role.PRODUCT: frozenset({Permission.TENANTS_READ, Permission.PROJECTS_READ}),
    Role.AUDIT: _READS,
}
"""By role; each in the own tenant, and in all of them for an operator of the house."""


def require(principal: Principal, permission: Permission, tenant_id: int) -> None:
    """Lets pass who may do this to that tenant.

    Raises:
        ForbiddenError: It is a key, or the role does not allow it.
        NotFoundError: It is another tenant's, of which nothing is told: not even that it is there.
    """
    _require_role(principal, permission)
    if tenant_id != principal.tenant.id and not principal.is_operator:
        raise NotFoundError(f"there is no tenant {tenant_id}")


def require_operator(principal: Principal, permission: Permission) -> None:
    """Lets pass who may do this to the house.

    Raises:
        ForbiddenError: It is a key, or the role does not allow it, or it is nobody of the house.
    """
    _require_role(principal, permission)
    if not principal.is_operator:
        raise ForbiddenError(f"{permission} of all tenants is for operators of the house")


def _require_role(principal: Principal, permission: Permission) -> None:
    if principal.role is None:
        raise ForbiddenError("an API key manages no accounts; log in as a person")
    if permission not in ALLOWED[principal.role]:
        raise ForbiddenError(f"the role {principal.role} does not include {permission}")
