"""Claw's hub: telemetry of AI agents from many tenants, accepted once, never lost, queried in milliseconds.

Rooms, each of which knows only those before it: `errors`, `settings`, `records` · `accounts` · `bus` ·
`warehouse` · `edge`, `worker`, `api` · `app`, `cli`.
"""

from __future__ import annotations

__all__: list[str] = []
