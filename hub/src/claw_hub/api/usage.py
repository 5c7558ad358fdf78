"""Calls of models: as a list, summed up, and over time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from claw_hub.api.access import Asker, Principal
from claw_hub.api.models import AgentUsage, ModelUsage, Period, Summary, Totals, UsagePage, moment, usd
from claw_hub.api.pages import Listing, Row, Warehouse, listed
from claw_hub.api.parameters import MAX_LIMIT, Span, SummaryQuery, TrendQuery, UsageQuery, span
from claw_hub.api.routes import add
from claw_hub.errors import QueryError

__all__ = ["UsageApi", "summed"]

LIST: Final = Listing(statement="api/usage_list")
DEFAULT_DAYS: Final = 30
# How many agents a summary lists where nobody says; models are few.
AGENTS: Final = 10
SECOND_US: Final = 1_000_000
# Interval -> length of a period, a second at which one begins (1970-01-05 was a Monday), days by default.
INTERVALS: Final[Mapping[str, tuple[int, int, int]]] = {
    "hour": (3600, 0, 1),
    "day": (86_400, 0, 30),
    "week": (604_800, 345_600, 84),
}
MAX_PERIODS: Final = 10_000


class UsageApi:
    """Answers about calls.

    Args:
        warehouse: Where they are.
        clock: Seconds since 1970.
    """

    def __init__(self, warehouse: Warehouse, *, clock: Callable[[], float]) -> None:
        self._warehouse = warehouse
        self._clock = clock

    def mount(self, router: APIRouter) -> None:
        """Adds the routes."""
        add(router, "/usage", self.list_usage, response_model=UsagePage)
        add(router, "/usage/summary", self.summarize_usage, response_model=Summary)
        add(router, "/usage/trend", self.trend_usage, response_model=list[Period])

    async def list_usage(self, query: Annotated[UsageQuery, Query()], asker: Asker) -> Any:  # noqa: ANN401 - checked against the model
        """Lists calls of models, newest first."""
        rows, following = await listed(
            self._warehouse,
            LIST,
            query,
            tenant_id=asker.tenant.id,
            within=self._span(query, asker, DEFAULT_DAYS),
            project=query.project,
            agent=query.agent,
            model=query.model,
        )
        return {"results": [_usage(row) for row in rows], "next": following}

    async def summarize_usage(self, query: Annotated[SummaryQuery, Query()], asker: Asker) -> Summary:
        """Sums up calls: all together, by agent and by model; by default those of the last 30 days."""
        within = self._span(query, asker, DEFAULT_DAYS)
        return summary(await summed(self._warehouse, query, asker.tenant.id, within), query.limit)

    async def trend_usage(self, query: Annotated[TrendQuery, Query()], asker: Asker) -> list[Period]:
        """Sums up calls by hour, day or week; a period without calls is there, with zeros."""
        size, offset, days = INTERVALS[query.interval]
        within = self._span(query, asker, days)
        if (within.end_us - within.start_us) // SECOND_US // size > MAX_PERIODS:
            raise QueryError(
                f"interval is {query.interval!r}: more than {MAX_PERIODS} periods, take a longer one"
            )
        rows = await self._warehouse.query(
            "api/usage_trend",
            tenant_id=asker.tenant.id,
            size_seconds=size,
            offset_seconds=offset,
            **_sources(query, within),
        )
        return list(_filled(rows, size=size, offset=offset, within=within))

    def _span(self, query: UsageQuery | SummaryQuery | TrendQuery, asker: Principal, days: int) -> Span:
        return span(query, now=self._clock(), zone=asker.tenant.naive_timezone, default_days=days)


async def summed(
    warehouse: Warehouse, query: SummaryQuery, tenant_id: int, within: Span
) -> list[dict[str, Any]]:
    """Returns sums by ``dimension`` (all, agent, model) and ``key``, most tokens first in each."""
    return await warehouse.query(
        "api/usage_summary", tenant_id=tenant_id, rows=MAX_LIMIT, **_sources(query, within)
    )


def summary(rows: list[dict[str, Any]], limit: int | None) -> Summary:
    """Returns what sums say, shaped for an answer."""
    groups: dict[str, list[Row]] = {"all": [], "agent": [], "model": []}
    for row in rows:
        groups[row["dimension"]].append(row)
    return Summary(
        summary=_totals(groups["all"]),
        by_agent=[
            AgentUsage(agent_name=row["key"], **_sums(row)) for row in groups["agent"][: limit or AGENTS]
        ],
        by_model=[ModelUsage(model_name=row["key"], **_sums(row)) for row in groups["model"][:limit]],
    )


def _sources(query: SummaryQuery | TrendQuery, within: Span) -> dict[str, Any]:
    """Returns what tells a statement which hours to take from the mart, and its filters."""
    begin_us, end_us = within.settled
    if query.agent or query.model:
        end_us = begin_us
    return {
        "start_us": within.start_us,
        "end_us": within.end_us,
        "mart_from_us": begin_us,
        "mart_until_us": end_us,
        "project": query.project,
        "agent": query.agent,
        "model": query.model,
    }


def _totals(rows: list[Row]) -> Totals:
    row = rows[0] if rows else {"tokens": 0, "cost_nano_usd": 0, "calls": 0, "duration_us": 0}
    return Totals(
        total_tokens=row["tokens"],
        total_cost_usd=usd(row["cost_nano_usd"]),
        total_calls=row["calls"],
        avg_duration_ms=row["duration_us"] / 1000 / row["calls"] if row["calls"] else 0.0,
    )


def _sums(row: Row) -> dict[str, Any]:
    return {"tokens": row["tokens"], "cost": usd(row["cost_nano_usd"]), "calls": row["calls"]}


def _filled(rows: list[dict[str, Any]], *, size: int, offset: int, within: Span) -> Iterator[Period]:
    """Yields the periods from the first to the one that runs now, and those that have calls later."""
    found = {row["period_seconds"]: row for row in rows}

    def floor(us: int) -> int:
        return (us // SECOND_US - offset) // size * size + offset

    last = max(floor(min(within.end_us - 1, within.now_us)), *found, floor(within.start_us))
    for second in range(floor(within.start_us), last + 1, size):
        row = found.get(second)
        sums = _sums(row) if row else {"tokens": 0, "cost": 0.0, "calls": 0}
        yield Period(period=moment(second * SECOND_US), **sums)


def _usage(row: Row) -> dict[str, Any]:
    return {
        **row,
        "timestamp": moment(row["ts_us"]),
        "agentscope_project_id": row["project_id"],
        "agentscope_agent_id": row["agent_id"],
        "cost_usd": usd(row["cost_nano_usd"]),
        "duration_ms": row["duration_us"] / 1000,
    }
