"""Alembic's folder: forward only, packaged with the module that runs it (`claw_hub.accounts.migrate`)."""
