"""What the accounts hold, as the rest of the hub sees it: plain values, never rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

__all__ = [
    "ApiKey",
    "NewKey",
    "OnExceeded",
    "Page",
    "Price",
    "Principal",
    "Project",
    "Quota",
    "Role",
    "Tenant",
    "TokenPair",
    "User",
]

OnExceeded = Literal["flag", "reject"]

_ItemT = TypeVar("_ItemT")


class Role(StrEnum):
    """What a person does with the hub; `claw_hub.accounts.permissions` tells what each may."""

    ADMIN = "admin"
    OPS = "ops"
    PRODUCT = "product"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a tenant may use; None is without a limit.

    Attributes:
        tokens_per_month: Input and output tokens of a calendar month (UTC).
        projects: Different projects that ever sent a record.
        records_per_second: On the average; short bursts go through.
        on_exceeded: What becomes of records beyond tokens and projects: taken and flagged, or refused.
    """

    tokens_per_month: int | None
    projects: int | None
    records_per_second: float | None
    on_exceeded: OnExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer; nobody sees the data of another.

    Attributes:
        id: What the warehouse knows it by, a UInt32.
        slug: Its name in commands: a-z, 0-9 and -.
        name: Its name for people.
        is_active: Where it is not, nobody of it gets in.
        quota: What it may use.
        retention_days: How long its data are kept; None is as long as the house keeps any.
        naive_timezone: IANA name of the zone of timestamps that have none.
    """

    id: int
    slug: str
    name: str
    is_active: bool
    quota: Quota
    retention_days: int | None
    naive_timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        tenant: Whose data it may touch.
        role: A person's; None for a key, which writes records and reads its tenant's data.
        subject: `key:<prefix>` or `user:<email>`, for logs and audit; never the secret.
        is_operator: A person of the house, who manages all tenants.
    """

    tenant: Tenant
    role: Role | None
    subject: str
    is_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A machine's key, without what opens anything.

    Attributes:
        id: Number of it.
        tenant_id: Whose it is.
        name: What it is for.
        prefix: Its first 11 characters, to recognise it by.
        created_at: When it was made or imported.
        expires_at: From then on it is refused; None is never.
        revoked_at: When it was revoked; None where it was not.
    """

    id: int
    tenant_id: int
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made.

    Attributes:
        key: What is stored of it.
        secret: The key itself; nobody can show it again.
    """

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person.

    Attributes:
        id: Number of it.
        tenant_id: Where the person belongs.
        email: In lower case; a person logs in with it.
        role: What the person may do.
        is_operator: Of the house: for all tenants.
        is_active: Where not, the person does not get in.
        created_at: When it was made.
    """

    id: int
    tenant_id: int
    email: str
    role: Role
    is_operator: bool
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project that somebody gave a name; records may name others too.

    Attributes:
        id: Number of it.
        tenant_id: Whose it is.
        external_id: What records call it.
        name: Its name for people.
        created_at: When it was made.
        archived_at: When it was put away; None where it was not.
    """

    id: int
    tenant_id: int
    external_id: str
    name: str
    created_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs for a while, in US dollars per million tokens.

    Attributes:
        id: Number of it; 0 where it is not stored.
        tenant_id: Only for this tenant; None for all that have no price of their own.
        model: Name of the model; `*` in it stands for any characters.
        valid_from: First moment.
        valid_to: First moment that it is not valid any more; None is open.
        input_usd_per_million: For tokens of the prompt that no cache held.
        output_usd_per_million: For tokens of the answer, those of reasoning included.
        cache_read_usd_per_million: For tokens of the prompt read from a cache.
        cache_write_usd_per_million: For tokens of the prompt written to a cache.
    """

    tenant_id: int | None
    model: str
    valid_from: datetime
    valid_to: datetime | None
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    cache_read_usd_per_million: Decimal
    cache_write_usd_per_million: Decimal
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """What a person gets for a password, or for the last refresh token.

    Attributes:
        access_token: A JWT, for `Authorization: Bearer`.
        expires_in_seconds: How long it opens anything.
        refresh_token: Good for one next pair.
        refresh_expires_in_seconds: How long; a rotation does not make it longer.
    """

    access_token: str = field(repr=False)
    expires_in_seconds: int
    refresh_token: str = field(repr=False)
    refresh_expires_in_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_ItemT]):
    """A part of a list.

    Attributes:
        items: In the order of their numbers.
        next_id: Number after which the next part begins; None where this is the last.
    """

    items: Sequence[_ItemT]
    next_id: int | None
