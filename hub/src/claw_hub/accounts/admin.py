"""The routes below `/api/v1/admin`: every one asks first what the role allows, and whose it is."""

# No `from __future__ import annotations`: FastAPI reads these at run time.

import logging
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from claw_hub.accounts.bodies import (
    KeyBody,
    KeyOut,
    KeyRotation,
    Listed,
    NewKeyOut,
    PasswordBody,
    PriceBody,
    PriceEnd,
    PriceOut,
    ProjectBody,
    ProjectChange,
    ProjectOut,
    TenantBody,
    TenantChange,
    TenantOut,
    UserBody,
    UserChange,
    UserOut,
    answers,
)
from claw_hub.accounts.model import NewKey, Page, Principal
from claw_hub.accounts.permissions import Permission, require, require_operator
from claw_hub.accounts.service import Accounts
from claw_hub.errors import (
    BadRequestError,
    ConflictError,
    CredentialsError,
    CursorError,
    ForbiddenError,
    NotFoundError,
    QuotaError,
    UnavailableError,
)

__all__ = ["Admin"]

_log: Final = logging.getLogger("claw_hub.accounts.admin")

TenantId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=32, description="`next` of the part before")]

_ERRORS: Final = (
    BadRequestError,
    CredentialsError,
    ForbiddenError,
    NotFoundError,
    ConflictError,
    QuotaError,
    UnavailableError,
)

_OWN_FIELDS: Final = {"name", "naive_timezone"}
"""What a tenant's own administrator changes of the tenant: nobody gives a quota to himself."""

_OutT = TypeVar("_OutT", bound=BaseModel)


class Admin:
    """What the routes do.

    Args:
        accounts: What is managed.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def router(self, known: Any) -> APIRouter:  # noqa: ANN401 - what Depends() returns has no public name
        """Returns the routes; `known` leaves who asks in `request.state.principal`."""
        router = APIRouter(
            prefix="/api/v1/admin", tags=["admin"], dependencies=[known], responses=answers(*_ERRORS)
        )
        for method, path, handler, status in self._routes():
            router.add_api_route(path, handler, methods=[method], status_code=status)
        return router

    def _routes(self) -> list[tuple[str, str, Callable[..., Any], int]]:
        one = "/tenants/{tenant_id}"
        return [
            ("GET", "/tenants", self.tenants, 200),
            ("POST", "/tenants", self.create_tenant, 201),
            ("GET", one, self.tenant, 200),
            ("PATCH", one, self.update_tenant, 200),
            ("GET", f"{one}/keys", self.keys, 200),
            ("POST", f"{one}/keys", self.create_key, 201),
            ("DELETE", f"{one}/keys/{{key_id}}", self.revoke_key, 200),
            ("POST", f"{one}/keys/{{key_id}}/rotate", self.rotate_key, 201),
            ("GET", f"{one}/users", self.users, 200),
            ("POST", f"{one}/users", self.create_user, 201),
            ("PATCH", f"{one}/users/{{user_id}}", self.update_user, 200),
            ("POST", f"{one}/users/{{user_id}}/password", self.set_password, 200),
            ("GET", f"{one}/projects", self.projects, 200),
            ("POST", f"{one}/projects", self.create_project, 201),
            ("PATCH", f"{one}/projects/{{project_id}}", self.update_project, 200),
            ("GET", "/prices", self.prices, 200),
            ("POST", "/prices", self.create_price, 201),
            ("POST", "/prices/{price_id}/end", self.end_price, 200),
        ]

    async def tenants(self, request: Request, limit: Limit = 100, cursor: Cursor = "") -> Listed[TenantOut]:
        """Lists tenants: all for an operator, the own one for everybody else."""
        who = _who(request)
        require(who, Permission.TENANTS_READ, who.tenant.id)
        if not who.is_operator:
            return Listed(results=[TenantOut.model_validate(who.tenant)], next=None)
        return _listed(TenantOut, await self._accounts.tenants(after_id=_after(cursor), limit=limit))

    async def create_tenant(self, request: Request, body: TenantBody) -> TenantOut:
        """Makes a tenant."""
        require_operator(_who(request), Permission.TENANTS_WRITE)
        made = await self._accounts.create_tenant(
            slug=body.slug,
            name=body.name or "",
            quota=body.quota,
            retention_days=body.retention_days,
            naive_timezone=body.naive_timezone,
        )
        _note(request, "tenant_created", tenant_id=made.id)
        return TenantOut.model_validate(made)

    async def tenant(self, request: Request, tenant_id: TenantId) -> TenantOut:
        """Shows a tenant and its quota."""
        require(_who(request), Permission.TENANTS_READ, tenant_id)
        return TenantOut.model_validate(await self._accounts.tenant(tenant_id))

    async def update_tenant(self, request: Request, tenant_id: TenantId, body: TenantChange) -> TenantOut:
        """Changes a tenant; quotas, retention and activity are an operator's."""
        changes = body.changes()
        require(_who(request), Permission.TENANTS_WRITE, tenant_id)
        if set(changes) - _OWN_FIELDS:
            require_operator(_who(request), Permission.TENANTS_WRITE)
        changed = await self._accounts.update_tenant(tenant_id, changes)
        _note(request, "tenant_changed", tenant_id=tenant_id, changed=sorted(changes))
        return TenantOut.model_validate(changed)

    async def keys(
        self, request: Request, tenant_id: TenantId, limit: Limit = 100, cursor: Cursor = ""
    ) -> Listed[KeyOut]:
        """Lists a tenant's keys, by their first characters."""
        await self._may_list(request, Permission.KEYS_READ, tenant_id)
        return _listed(KeyOut, await self._accounts.keys(tenant_id, after_id=_after(cursor), limit=limit))

    async def create_key(
        self, request: Request, tenant_id: TenantId, body: KeyBody, response: Response
    ) -> NewKeyOut:
        """Makes or imports a key; it is shown this once."""
        require(_who(request), Permission.KEYS_WRITE, tenant_id)
        made = await self._accounts.create_key(
            tenant_id, name=body.name, value=body.value, expires_at=body.expires_at
        )
        _note(request, "key_created", tenant_id=tenant_id, key_id=made.key.id)
        return _shown(made, response)

    async def revoke_key(self, request: Request, tenant_id: TenantId, key_id: Id) -> KeyOut:
        """Makes a key be refused, everywhere at once."""
        require(_who(request), Permission.KEYS_WRITE, tenant_id)
        revoked = await self._accounts.revoke_key(tenant_id, key_id)
        _note(request, "key_revoked", tenant_id=tenant_id, key_id=key_id)
        return KeyOut.model_validate(revoked)

    async def rotate_key(
        self, request: Request, tenant_id: TenantId, key_id: Id, body: KeyRotation, response: Response
    ) -> NewKeyOut:
        """Makes a key that takes the place of another, which may still work for a while."""
        require(_who(request), Permission.KEYS_WRITE, tenant_id)
        made = await self._accounts.rotate_key(tenant_id, key_id, grace_seconds=body.grace_seconds)
        _note(request, "key_rotated", tenant_id=tenant_id, key_id=key_id, new_key_id=made.key.id)
        return _shown(made, response)

    async def users(
        self, request: Request, tenant_id: TenantId, limit: Limit = 100, cursor: Cursor = ""
    ) -> Listed[UserOut]:
        """Lists a tenant's people."""
        await self._may_list(request, Permission.USERS_READ, tenant_id)
        return _listed(UserOut, await self._accounts.users(tenant_id, after_id=_after(cursor), limit=limit))

    async def create_user(self, request: Request, tenant_id: TenantId, body: UserBody) -> UserOut:
        """Makes a person; operators of the house are made on the command line."""
        require(_who(request), Permission.USERS_WRITE, tenant_id)
        made = await self._accounts.create_user(
            tenant_id, email=body.email, password=body.password, role=body.role
        )
        _note(request, "user_created", tenant_id=tenant_id, user_id=made.id, role=made.role)
        return UserOut.model_validate(made)

    async def update_user(
        self, request: Request, tenant_id: TenantId, user_id: Id, body: UserChange
    ) -> UserOut:
        """Changes a person's role, or lets a person in or not."""
        await self._may_change(request, tenant_id, user_id)
        changed = await self._accounts.update_user(tenant_id, user_id, body.changes())
        _note(request, "user_changed", tenant_id=tenant_id, user_id=user_id, changed=sorted(body.changes()))
        return UserOut.model_validate(changed)

    async def set_password(
        self, request: Request, tenant_id: TenantId, user_id: Id, body: PasswordBody
    ) -> UserOut:
        """Gives a person another password; all that was opened with the one before is closed."""
        await self._may_change(request, tenant_id, user_id)
        changed = await self._accounts.set_password(tenant_id, user_id, body.password)
        _note(request, "password_set", tenant_id=tenant_id, user_id=user_id)
        return UserOut.model_validate(changed)

    async def projects(
        self, request: Request, tenant_id: TenantId, limit: Limit = 100, cursor: Cursor = ""
    ) -> Listed[ProjectOut]:
        """Lists a tenant's projects that have a name."""
        await self._may_list(request, Permission.PROJECTS_READ, tenant_id)
        page = await self._accounts.projects(tenant_id, after_id=_after(cursor), limit=limit)
        return _listed(ProjectOut, page)

    async def create_project(self, request: Request, tenant_id: TenantId, body: ProjectBody) -> ProjectOut:
        """Gives a project a name."""
        require(_who(request), Permission.PROJECTS_WRITE, tenant_id)
        made = await self._accounts.create_project(
            tenant_id, external_id=body.external_id, name=body.name or ""
        )
        _note(request, "project_created", tenant_id=tenant_id, project_id=made.id)
        return ProjectOut.model_validate(made)

    async def update_project(
        self, request: Request, tenant_id: TenantId, project_id: Id, body: ProjectChange
    ) -> ProjectOut:
        """Changes a project's name, or puts it away."""
        require(_who(request), Permission.PROJECTS_WRITE, tenant_id)
        changed = await self._accounts.update_project(tenant_id, project_id, body.changes())
        _note(request, "project_changed", tenant_id=tenant_id, project_id=project_id)
        return ProjectOut.model_validate(changed)

    async def prices(self, request: Request, limit: Limit = 100, cursor: Cursor = "") -> Listed[PriceOut]:
        """Lists prices: the house's and the own tenant's, or everybody's for an operator."""
        who = _who(request)
        require(who, Permission.PRICES_READ, who.tenant.id)
        whose = None if who.is_operator else who.tenant.id
        return _listed(PriceOut, await self._accounts.prices_for(whose, after_id=_after(cursor), limit=limit))

    async def create_price(self, request: Request, body: PriceBody) -> PriceOut:
        """Adds a price: of the own tenant, or of the house for an operator."""
        _may_price(_who(request), body.tenant_id)
        made = await self._accounts.create_price(**dict(body))
        _note(request, "price_created", price_id=made.id, tenant_id=made.tenant_id)
        return PriceOut.model_validate(made)

    async def end_price(self, request: Request, price_id: Id, body: PriceEnd) -> PriceOut:
        """Makes a price end."""
        who = _who(request)
        require(who, Permission.PRICES_WRITE, who.tenant.id)
        owner = (await self._accounts.price(price_id)).tenant_id
        if owner not in {None, who.tenant.id} and not who.is_operator:
            raise NotFoundError(f"there is no price {price_id}")
        _may_price(who, owner)
        ended = await self._accounts.end_price(price_id, at=body.at)
        _note(request, "price_ended", price_id=price_id)
        return PriceOut.model_validate(ended)

    async def _may_list(self, request: Request, permission: Permission, tenant_id: int) -> None:
        require(_who(request), permission, tenant_id)
        await self._accounts.tenant(tenant_id)  # nothing of nobody is a mistake, not an empty list

    async def _may_change(self, request: Request, tenant_id: int, user_id: int) -> None:
        who = _who(request)
        require(who, Permission.USERS_WRITE, tenant_id)
        if (await self._accounts.user(tenant_id, user_id)).is_operator and not who.is_operator:
            raise ForbiddenError("this person is an operator of the house; only another one changes that")


def _who(request: Request) -> Principal:
    who: Principal = request.state.principal
    return who


def _may_price(who: Principal, tenant_id: int | None) -> None:
    if tenant_id is None:
        require_operator(who, Permission.PRICES_WRITE)
    else:
        require(who, Permission.PRICES_WRITE, tenant_id)


def _note(request: Request, event: str, **fields: Any) -> None:  # noqa: ANN401 - fields of a log line
    _log.info(event, extra={"fields": {"subject": _who(request).subject, **fields}})


def _after(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and int(cursor) < 2**63):
        raise CursorError(f"cursor is {cursor!r}: it has to be `next` of the part before")
    return int(cursor)


def _listed(out: type[_OutT], page: Page[Any]) -> Listed[_OutT]:
    results = [out.model_validate(item) for item in page.items]
    return Listed(results=results, next=None if page.next_id is None else str(page.next_id))


def _shown(made: NewKey, response: Response) -> NewKeyOut:
    response.headers["Cache-Control"] = "no-store"
    return NewKeyOut.model_validate(made)
