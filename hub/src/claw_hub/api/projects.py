"""One project's numbers at a glance."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from claw_hub.api.access import Asker
from claw_hub.api.executions import list_active
from claw_hub.api.models import ActiveAgent, ExecutionStats, ProjectStats, ProjectUsage, moment
from claw_hub.api.pages import Row, Warehouse
from claw_hub.api.parameters import ActiveQuery, ProjectQuery, Span, SummaryQuery, Text, span
from claw_hub.api.routes import add
from claw_hub.api.usage import summary, summed

__all__ = ["ProjectsApi"]

# Executions that run, at most: this is a glance, /executions/active is the list.
ACTIVE: Final = 100

ProjectId = Annotated[Text, Path(min_length=1, description="Slashes in it are fine.", examples=["proj-123"])]


class ProjectsApi:
    """Answers about projects.

    Args:
        warehouse: Where their records are.
        clock: Seconds since 1970.
    """

    def __init__(self, warehouse: Warehouse, *, clock: Callable[[], float]) -> None:
        self._warehouse = warehouse
        self._clock = clock

    def mount(self, router: APIRouter) -> None:
        """Adds the routes."""
        add(router, "/project/{project_id:path}/stats", self.project_stats, response_model=ProjectStats)

    async def project_stats(
        self, project_id: ProjectId, query: Annotated[ProjectQuery, Query()], asker: Asker
    ) -> ProjectStats:
        """Sums up a project: its calls, how its executions ended, what runs; all of it, or when you say.

        A project that nobody has heard of has zeros.
        """
        now, tenant = self._clock(), asker.tenant
        within = span(query, now=now, zone=tenant.naive_timezone, default_days=None)
        sums = await summed(self._warehouse, SummaryQuery(project=project_id), tenant.id, within)
        ends = await self._ends(project_id, tenant.id, within)
        active = ActiveQuery(project=project_id, limit=ACTIVE)
        running, _ = await list_active(self._warehouse, active, asker, now=now)
        totals = summary(sums, None).summary
        return ProjectStats(
            project_id=project_id,
            usage=ProjectUsage(
                total_tokens=totals.total_tokens,
                total_cost_usd=totals.total_cost_usd,
                llm_calls=totals.total_calls,
            ),
            executions=_executions(ends),
            active_agents=[_agent(row) for row in running],
        )

    async def _ends(self, project_id: str, tenant_id: int, within: Span) -> dict[str, Any]:
        rows = await self._warehouse.query(
            "api/executions_stats",
            tenant_id=tenant_id,
            project=project_id,
            start_us=within.start_us,
            end_us=within.end_us,
        )
        return rows[0]


def _executions(row: Row) -> ExecutionStats:
    total, timed = row["total"], row["timed"]
    return ExecutionStats(
        total=total,
        running=row["running"],
        completed=row["completed"],
        failed=row["failed"],
        success_rate=round(row["completed"] / total * 100, 2) if total else 0.0,
        avg_duration_ms=row["timed_us"] / 1000 / timed if timed else 0.0,
    )


def _agent(row: Row) -> ActiveAgent:
    return ActiveAgent(
        agent_name=row["agent_name"], start_time=moment(row["ts_us"]), round_index=row["round_index"]
    )
