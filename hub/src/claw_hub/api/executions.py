"""Executions of agents."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from claw_hub.api.access import Asker, Principal
from claw_hub.api.models import ExecutionPage, moment, usd
from claw_hub.api.pages import Listing, Row, Warehouse, listed
from claw_hub.api.parameters import ActiveQuery, ExecutionsQuery, span
from claw_hub.api.routes import add

__all__ = ["ExecutionsApi", "list_active"]

# Kept by id, not by time: a narrower range of time is not cheaper.
LIST: Final = Listing(statement="api/executions_list", hex_ids=False, narrow=False)
DEFAULT_DAYS: Final = 30


class ExecutionsApi:
    """Answers about executions.

    Args:
        warehouse: Where they are.
        clock: Seconds since 1970.
    """

    def __init__(self, warehouse: Warehouse, *, clock: Callable[[], float]) -> None:
        self._warehouse = warehouse
        self._clock = clock

    def mount(self, router: APIRouter) -> None:
        """Adds the routes."""
        add(router, "/executions", self.list_executions, response_model=ExecutionPage)
        add(router, "/executions/active", self.list_active_executions, response_model=ExecutionPage)

    async def list_executions(self, query: Annotated[ExecutionsQuery, Query()], asker: Asker) -> Any:  # noqa: ANN401 - checked against the model
        """Lists executions of agents that began in the last 30 days, or when you say, newest first."""
        rows, following = await _listed(
            self._warehouse, query, asker, now=self._clock(), days=DEFAULT_DAYS, status=query.status
        )
        return {"results": [_execution(row) for row in rows], "next": following}

    async def list_active_executions(self, query: Annotated[ActiveQuery, Query()], asker: Asker) -> Any:  # noqa: ANN401 - checked against the model
        """Lists executions of agents that run, whenever they began, newest first."""
        rows, following = await list_active(self._warehouse, query, asker, now=self._clock())
        return {"results": [_execution(row) for row in rows], "next": following}


async def list_active(
    warehouse: Warehouse, query: ActiveQuery, asker: Principal, *, now: float
) -> tuple[list[Row], str | None]:
    """Returns executions that run, and the cursor of the next page."""
    return await _listed(warehouse, query, asker, now=now, days=None, status="running")


async def _listed(  # noqa: PLR0913 - a page is made of so much
    warehouse: Warehouse, query: ActiveQuery, asker: Principal, *, now: float, days: int | None, status: str
) -> tuple[list[Row], str | None]:
    rows, following = await listed(
        warehouse,
        LIST,
        query,
        tenant_id=asker.tenant.id,
        within=span(query, now=now, zone=asker.tenant.naive_timezone, default_days=days),
        project=query.project,
        agent=query.agent,
        status=status,
    )
    return list(rows), following


def _execution(row: Row) -> dict[str, Any]:
    return {
        **row,
        "execution_id": row["id"],
        "agentscope_project_id": row["project_id"],
        "agentscope_agent_id": row["agent_id"],
        "start_time": moment(row["ts_us"]),
        "end_time": None if row["ended_us"] is None else moment(row["ended_us"]),
        "duration_ms": None if row["duration_us"] is None else row["duration_us"] / 1000,
        "total_cost_usd": usd(row["total_cost_nano_usd"]),
    }
