"""What each role may do, and whose; a table of all of it."""

from __future__ import annotations

import pytest

from claw_hub.accounts import Principal, Quota, Role, Tenant
from claw_hub.accounts.permissions import ALLOWED, Permission, require, require_operator
from claw_hub.errors import ForbiddenError, NotFoundError

ACME = Tenant(
    id=7,
    slug="acme",
    name="Acme",
    is_active=True,
    quota=Quota(tokens_per_month=None, projects=None, records_per_second=None, on_exceeded="flag"),
    retention_days=None,
    naive_timezone="UTC",
)
ALL = {str(permission) for permission in Permission}
MAY = {
    Role.ADMIN: ALL,
    Role.OPS: {"tenants:read", "projects:read", "keys:read", "keys:write", "prices:read"},
    Role.PRODUCT: {"tenants:read", "projects:read"},
    Role.AUDIT: {"tenants:read", "projects:read", "keys:read", "users:read", "prices:read"},
}


def who(role: Role | None, *, is_operator: bool = False) -> Principal:
    return Principal(tenant=ACME, role=role, subject="user:ada@acme.example", is_operator=is_operator)


def test_every_role_is_in_the_table() -> None:
    assert {role: {str(one) for one in allowed} for role, allowed in ALLOWED.items()} == MAY


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
def test_a_role_holds_in_the_own_tenant_only(role: Role, permission: Permission) -> None:
    if permission not in MAY[role]:
        for tenant_id in (7, 8):
            with pytest.raises(ForbiddenError, match=f"{role} does not include {permission}"):
                require(who(role, is_operator=True), permission, tenant_id)
        return
    require(who(role), permission, 7)
    require(who(role, is_operator=True), permission, 8)
    with pytest.raises(NotFoundError, match="there is no tenant 8"):
        require(who(role), permission, 8)
    require_operator(who(role, is_operator=True), permission)
    with pytest.raises(ForbiddenError, match="operators of the house"):
        require_operator(who(role), permission)


@pytest.mark.parametrize("permission", list(Permission))
def test_a_key_manages_nothing(permission: Permission) -> None:
    with pytest.raises(ForbiddenError, match="log in as a person"):
        require(who(None), permission, 7)
    with pytest.raises(ForbiddenError, match="log in as a person"):
        require_operator(who(None), permission)
