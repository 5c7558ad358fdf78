"""What is told to those who watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claw_hub.records.kinds import Kind

__all__ = ["LiveEvent"]


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """A record on its way to the live stream of its tenant.

    Attributes:
        tenant_id: Whose it is; nobody else may see it.
        project_id: What a watcher may choose by.
        kind: Name of the event.
        data: What JSON can hold, shaped as the query API shapes a record of this kind.
    """

    tenant_id: int
    project_id: str
    kind: Kind
    data: dict[str, Any]
