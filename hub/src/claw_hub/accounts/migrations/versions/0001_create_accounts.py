"""Tenants, projects, API keys, users, refresh tokens and prices of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    _tenants()
    _projects()
    _api_keys()
    _users()
    _refresh_tokens()
    _model_prices()


def _number() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _tenant_id(*, nullable: bool = False) -> sa.Column[int]:
    return sa.Column("tenant_id", sa.Integer(), nullable=nullable)


def _belongs_to(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("slug", sa.String(63), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("tokens_per_month", sa.BigInteger()),
        sa.Column("projects", sa.Integer()),
        sa.Column("records_per_second", sa.Float()),
        sa.Column("on_exceeded", sa.String(16), server_default="flag", nullable=False),
        sa.Column("retention_days", sa.Integer()),
        sa.Column("naive_timezone", sa.String(64), server_default="UTC", nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("slug", name="uq_tenants_slug"),
        sa.CheckConstraint("on_exceeded IN ('flag', 'reject')", name=op.f("ck_tenants_on_exceeded")),
        sa.CheckConstraint(
            "tokens_per_month >= 0 AND projects >= 0 AND records_per_second > 0 AND retention_days > 0",
            name=op.f("ck_tenants_limits"),
        ),
    )


def _projects() -> None:
    op.create_table(
        "projects",
        _number(),
        _tenant_id(),
        sa.Column("external_id", sa.String(256), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        _time("created_at"),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        _belongs_to("projects", "tenant_id", "tenants"),
        sa.UniqueConstraint("tenant_id", "external_id", name="uq_projects_tenant_id_external_id"),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        _number(),
        _tenant_id(),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("prefix", sa.String(11), nullable=False),
        _time("created_at"),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        _belongs_to("api_keys", "tenant_id", "tenants"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_api_keys_digest")),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"])


def _users() -> None:
    op.create_table(
        "users",
        _number(),
        _tenant_id(),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(256), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("is_operator", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _time("created_at"),
        _time("password_changed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        _belongs_to("users", "tenant_id", "tenants"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.CheckConstraint("role IN ('admin', 'ops', 'product', 'audit')", name=op.f("ck_users_role")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_users_email")),
    )
    op.create_index("ix_users_tenant_id", "users", ["tenant_id"])


def _refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        _number(),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("family", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        _time("used_at", nullable=True),
        _time("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        _belongs_to("refresh_tokens", "user_id", "users"),
        sa.UniqueConstraint("digest", name="uq_refresh_tokens_digest"),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_refresh_tokens_digest")),
    )
    op.create_index("ix_refresh_tokens_user_id", "refresh_tokens", ["user_id"])
    op.create_index("ix_refresh_tokens_family", "refresh_tokens", ["family"])


def _model_prices() -> None:
    names = ("input", "output", "cache_read", "cache_write")
    columns = [f"{name}_usd_per_million" for name in names]
    op.create_table(
        "model_prices",
        _number(),
        _tenant_id(nullable=True),
        sa.Column("model", sa.String(256), nullable=False),
        _time("valid_from"),
        _time("valid_to", nullable=True),
        *(sa.Column(name, sa.Numeric(20, 9), nullable=False) for name in columns),
        sa.PrimaryKeyConstraint("id", name="pk_model_prices"),
        _belongs_to("model_prices", "tenant_id", "tenants"),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_model_prices_period")),
        sa.CheckConstraint(
            " AND ".join(f"{name} >= 0" for name in columns), name=op.f("ck_model_prices_prices")
        ),
        sa.UniqueConstraint(
            *("tenant_id", "model", "valid_from"),
            name="uq_model_prices_tenant_id_model_valid_from",
            postgresql_nulls_not_distinct=True,
        ),
    )
