"""Alembic runs this; connection, transaction and lock come from `claw_hub.accounts.migrate`."""

from __future__ import annotations

from alembic import context

from claw_hub.accounts.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
