"""Questions and their answers: eight endpoints over the warehouse, one of them live."""

from collections.abc import Callable

from fastapi import APIRouter, Depends

from claw_hub.api.access import Authenticate, Gate
from claw_hub.api.event_stream import Pace
from claw_hub.api.executions import ExecutionsApi
from claw_hub.api.live import Live
from claw_hub.api.pages import Warehouse
from claw_hub.api.projects import ProjectsApi
from claw_hub.api.routes import query_router
from claw_hub.api.stream import StreamApi
from claw_hub.api.tickets import Tickets
from claw_hub.api.timeline import TimelineApi
from claw_hub.api.usage import UsageApi

__all__ = ["Live", "Pace", "Tickets", "routers"]


def routers(  # noqa: PLR0913 - what they are made of
    *,
    warehouse: Warehouse,
    authenticate: Authenticate,
    live: Live,
    tickets: Tickets,
    clock: Callable[[], float],
    pace: Pace | None = None,
) -> list[APIRouter]:
    """Returns the routers of the query API; who mounts them turns `HubError` into answers.

    Args:
        warehouse: Where records are.
        authenticate: Knows who asks.
        live: Where events come from; who made it closes it, before the server waits for its connections.
        tickets: Opens live streams where no headers can be sent.
        clock: Seconds since 1970.
        pace: How live connections are kept.
    """
    gate = Gate(authenticate)
    queries = query_router(dependencies=[Depends(gate)])
    for part in (UsageApi, ExecutionsApi, TimelineApi, ProjectsApi):
        part(warehouse, clock=clock).mount(queries)
    streams = query_router()
    StreamApi(live, tickets, gate, pace=pace or Pace()).mount(streams)
    return [queries, streams]
