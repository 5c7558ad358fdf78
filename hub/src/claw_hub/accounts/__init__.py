"""Who may use the hub, and how much: tenants, keys, people, projects, quotas and prices."""

from __future__ import annotations

from claw_hub.accounts.limits import Admission, Limits
from claw_hub.accounts.model import (
    ApiKey,
    NewKey,
    OnExceeded,
    Page,
    Price,
    Principal,
    Project,
    Quota,
    Role,
    Tenant,
    TokenPair,
    User,
)
from claw_hub.accounts.service import Accounts

__all__ = [
    "Accounts",
    "Admission",
    "ApiKey",
    "Limits",
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
