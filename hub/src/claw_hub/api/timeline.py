"""What happened, event by event."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query

from claw_hub.api.access import Asker
from claw_hub.api.models import TimelinePage, moment
from claw_hub.api.pages import Listing, Row, Warehouse, listed
from claw_hub.api.parameters import TimelineQuery, span
from claw_hub.api.routes import add

__all__ = ["TimelineApi"]

LIST: Final = Listing(statement="api/timeline_list")
DEFAULT_DAYS: Final = 30


class TimelineApi:
    """Answers about events.

    Args:
        warehouse: Where they are.
        clock: Seconds since 1970.
    """

    def __init__(self, warehouse: Warehouse, *, clock: Callable[[], float]) -> None:
        self._warehouse = warehouse
        self._clock = clock

    def mount(self, router: APIRouter) -> None:
        """Adds the routes."""
        add(router, "/timeline", self.list_timeline, response_model=TimelinePage)

    async def list_timeline(self, query: Annotated[TimelineQuery, Query()], asker: Asker) -> Any:  # noqa: ANN401 - checked against the model
        """Lists what happened in the last 30 days, or when you say, newest first."""
        zone = asker.tenant.naive_timezone
        rows, following = await listed(
            self._warehouse,
            LIST,
            query,
            tenant_id=asker.tenant.id,
            within=span(query, now=self._clock(), zone=zone, default_days=DEFAULT_DAYS),
            project=query.project,
            agent=query.agent,
            event_type=query.event_type,
        )
        return {"results": [_event(row) for row in rows], "next": following}


def _event(row: Row) -> dict[str, Any]:
    return {
        **row,
        "timestamp": moment(row["ts_us"]),
        "agentscope_project_id": row["project_id"],
        "agentscope_agent_id": row["agent_id"],
        "metadata": _metadata(row["metadata"]),
    }


def _metadata(text: str) -> dict[str, Any]:
    """Returns what an event carries; what is no object is kept as it is, under a name of its own."""
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = text
    return value if isinstance(value, dict) else {"value": value}
