"""The tables of Postgres; migrations make them, and a test compares the two."""

# No `from __future__ import annotations`: SQLAlchemy reads these at run time.

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "ApiKeyRow",
    "Base",
    "ModelPriceRow",
    "ProjectRow",
    "RefreshTokenRow",
    "TenantRow",
    "UserRow",
]


class Base(DeclarativeBase):
    """Of all tables; names of constraints follow from what they are about, as error messages quote them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        bytes: LargeBinary,
        datetime: DateTime(timezone=True),
        Decimal: Numeric(20, 9),
    }


class TenantRow(Base):
    """A customer."""

    __tablename__ = "tenants"
    __table_args__ = (
        CheckConstraint("on_exceeded IN ('flag', 'reject')", name="on_exceeded"),
        CheckConstraint(
            "tokens_per_month >= 0 AND projects >= 0 AND records_per_second > 0 AND retention_days > 0",
            name="limits",
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    tokens_per_month: Mapped[int | None] = mapped_column(BigInteger)
    projects: Mapped[int | None]
    records_per_second: Mapped[float | None]
    on_exceeded: Mapped[str] = mapped_column(String(16), server_default="flag")
    retention_days: Mapped[int | None]
    naive_timezone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    created_at: Mapped[datetime]


class ProjectRow(Base):
    """A project that has a name."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    external_id: Mapped[str] = mapped_column(String(256))
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class ApiKeyRow(Base):
    """A key: its SHA-256, and the characters that are shown."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        Index(None, "tenant_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[bytes] = mapped_column(unique=True)
    prefix: Mapped[str] = mapped_column(String(11))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class UserRow(Base):
    """A person; tokens of an older generation than this one are refused."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'ops', 'product', 'audit')", name="role"),
        CheckConstraint("email = lower(email)", name="email"),
        Index(None, "tenant_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    is_operator: Mapped[bool] = mapped_column(server_default=text("false"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime]
    password_changed_at: Mapped[datetime]


class RefreshTokenRow(Base):
    """A refresh token; those that followed from one login are a family."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        Index(None, "user_id"),
        Index(None, "family"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    family: Mapped[UUID]
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ModelPriceRow(Base):
    """What a model costs from one moment to another."""

    __tablename__ = "model_prices"
    __table_args__ = (
        CheckConstraint("valid_to > valid_from", name="period"),
        CheckConstraint(
            "input_usd_per_million >= 0 AND output_usd_per_million >= 0"
            " AND cache_read_usd_per_million >= 0 AND cache_write_usd_per_million >= 0",
            name="prices",
        ),
        UniqueConstraint("tenant_id", "model", "valid_from", postgresql_nulls_not_distinct=True),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    model: Mapped[str] = mapped_column(String(256))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    input_usd_per_million: Mapped[Decimal]
    output_usd_per_million: Mapped[Decimal]
    cache_read_usd_per_million: Mapped[Decimal]
    cache_write_usd_per_million: Mapped[Decimal]
