"""What the API of the accounts takes and gives, as its OpenAPI document shows it."""

# No `from __future__ import annotations`: FastAPI and Pydantic read these at run time.

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from claw_hub.accounts.model import Quota, Role
from claw_hub.accounts.permissions import Permission
from claw_hub.errors import HubError

__all__ = [
    "ErrorOut",
    "KeyBody",
    "KeyOut",
    "KeyRotation",
    "Listed",
    "LoginBody",
    "Me",
    "NewKeyOut",
    "PasswordBody",
    "PasswordChange",
    "PriceBody",
    "PriceEnd",
    "PriceOut",
    "ProjectBody",
    "ProjectChange",
    "ProjectOut",
    "RefreshBody",
    "TenantBody",
    "TenantChange",
    "TenantOut",
    "TokenOut",
    "UserBody",
    "UserChange",
    "UserOut",
    "answers",
]

_ItemT = TypeVar("_ItemT")

OnExceeded = Literal["flag", "reject"]
Name = Annotated[str, Field(min_length=1, max_length=200, examples=["Acme"])]
Email = Annotated[str, Field(min_length=3, max_length=254, examples=["ada@example.com"])]
Secret = Annotated[str, Field(max_length=256, examples=["correct horse battery staple"], repr=False)]
Usd = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9, examples=[2.5])]
UsdOut = Annotated[Decimal, PlainSerializer(float, return_type=float)]
Tokens = Annotated[int, Field(ge=0, le=2**63 - 1, examples=[500_000])]
Projects = Annotated[int, Field(ge=0, le=1_000_000, examples=[10])]
PerSecond = Annotated[float, Field(ge=0.001, le=1e9, examples=[200])]
Days = Annotated[int, Field(ge=1, le=36_500, examples=[90])]
Zone = Annotated[str, Field(max_length=64, examples=["Asia/Shanghai"])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Listed(BaseModel, Generic[_ItemT]):
    """A part of a list; `next` is the `cursor` of the following part, or null."""

    results: list[_ItemT]
    next: str | None


class ErrorOut(BaseModel):
    """What is answered where something cannot be done; `error` never changes its meaning."""

    error: Annotated[str, Field(examples=["err-claw-hub-not-found"])]
    message: Annotated[str, Field(examples=["there is no tenant 4711"])]


def answers(*errors: type[HubError]) -> dict[int | str, dict[str, Any]]:
    """Returns what the OpenAPI document says of these errors."""
    return {
        error.status: {"model": ErrorOut, "description": f"{error.error_id}: {error.__doc__}".splitlines()[0]}
        for error in errors
    }


class LoginBody(_Body):
    """A person's address and password."""

    email: Email
    password: Secret


class RefreshBody(_Body):
    """A refresh token that was not used yet."""

    refresh_token: Annotated[str, Field(max_length=256, examples=["hr_..."], repr=False)]


class PasswordChange(_Body):
    """The password of now, and the next one."""

    password: Secret
    new_password: Secret


class TokenOut(_Out):
    """Tokens; the access token goes into `Authorization: Bearer`."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - what RFC 6749 calls it
    expires_in_seconds: int
    refresh_token: str
    refresh_expires_in_seconds: int


class QuotaOut(_Out):
    """What a tenant may use; null is without a limit."""

    tokens_per_month: int | None
    projects: int | None
    records_per_second: float | None
    on_exceeded: OnExceeded


class TenantOut(_Out):
    """A tenant."""

    id: int
    slug: str
    name: str
    is_active: bool
    quota: QuotaOut
    retention_days: int | None
    naive_timezone: str


class TenantBody(_Body):
    """A new tenant; limits that are left out are those of requirement document 1."""

    slug: Annotated[str, Field(min_length=1, max_length=63, examples=["acme"])]
    name: Name | None = None
    tokens_per_month: Tokens | None = 500_000
    projects: Projects | None = 10
    records_per_second: PerSecond | None = None
    on_exceeded: OnExceeded = "flag"
    retention_days: Days | None = None
    naive_timezone: Zone = "UTC"

    @property
    def quota(self) -> Quota:
        """What it may use."""
        return Quota(
            tokens_per_month=self.tokens_per_month,
            projects=self.projects,
            records_per_second=self.records_per_second,
            on_exceeded=self.on_exceeded,
        )


class _Change(_Body):
    def changes(self) -> dict[str, Any]:
        """Returns the fields that were sent."""
        return self.model_dump(exclude_unset=True)


class TenantChange(_Change):
    """What is to be changed; a tenant's own administrator changes `name` and `naive_timezone`."""

    name: Name = ""
    is_active: bool = True
    tokens_per_month: Tokens | None = None
    projects: Projects | None = None
    records_per_second: PerSecond | None = None
    on_exceeded: OnExceeded = "flag"
    retention_days: Days | None = None
    naive_timezone: Zone = "UTC"


class KeyOut(_Out):
    """A key, by its first characters."""

    id: int
    tenant_id: int
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKeyOut(_Out):
    """A key that was just made; `api_key` is shown this once."""

    key: KeyOut
    api_key: Annotated[str, Field(validation_alias="secret", repr=False)]


class KeyBody(_Body):
    """A key to be made, or imported where `value` is given."""

    name: Name
    value: Annotated[str, Field(max_length=128, repr=False)] = ""
    expires_at: datetime | None = None


class KeyRotation(_Body):
    """How long the old key still works."""

    grace_seconds: Annotated[float, Field(ge=0, le=30 * 86_400, examples=[3600])] = 0


class UserOut(_Out):
    """A person."""

    id: int
    tenant_id: int
    email: str
    role: Role
    is_operator: bool
    is_active: bool
    created_at: datetime


class UserBody(_Body):
    """A new person."""

    email: Email
    password: Secret
    role: Role


class UserChange(_Change):
    """What is to be changed."""

    role: Role = Role.AUDIT
    is_active: bool = True


class PasswordBody(_Body):
    """A person's next password."""

    password: Secret


class Me(_Out):
    """Who asks."""

    subject: str
    role: Role | None
    is_operator: bool
    permissions: list[Permission]
    tenant: TenantOut


class ProjectOut(_Out):
    """A project that has a name."""

    id: int
    tenant_id: int
    external_id: str
    name: str
    created_at: datetime
    archived_at: datetime | None


class ProjectBody(_Body):
    """A project; `external_id` is what records call it."""

    external_id: Annotated[str, Field(min_length=1, max_length=256, examples=["proj-123"])]
    name: Name | None = None


class ProjectChange(_Change):
    """What is to be changed."""

    name: Name = ""
    is_archived: bool = False


class PriceOut(_Out):
    """What a model costs for a while; `tenant_id` null is for all that have no price of their own."""

    id: int
    tenant_id: int | None
    model: str
    valid_from: datetime
    valid_to: datetime | None
    input_usd_per_million: UsdOut
    output_usd_per_million: UsdOut
    cache_read_usd_per_million: UsdOut
    cache_write_usd_per_million: UsdOut


class PriceBody(_Body):
    """A price; what caches cost is as the input where left out, and it is valid from now."""

    model: Annotated[str, Field(min_length=1, max_length=256, examples=["gpt-4o*"])]
    input_usd_per_million: Usd
    output_usd_per_million: Usd
    cache_read_usd_per_million: Usd | None = None
    cache_write_usd_per_million: Usd | None = None
    tenant_id: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class PriceEnd(_Body):
    """When a price ends; now where left out."""

    at: datetime | None = None
