"""What happens, as it happens: server-sent events, and the tickets that open them from a browser."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from claw_hub.api.access import Asker, Credentials, Gate, credentials
from claw_hub.api.event_stream import EventStream, Pace
from claw_hub.api.live import Live
from claw_hub.api.models import Ticket
from claw_hub.api.parameters import Text
from claw_hub.api.routes import add
from claw_hub.api.tickets import Tickets

__all__ = ["StreamApi", "StreamQuery"]

EXAMPLE: Final = """retry: 3000
id: 1795262400000-0-0
event: connected
data: {"status":"ok"}

id: 1795262401000-0-0
event: usage
data: {"agentscope_project_id":"proj-123","model_name":"gpt-4","total_tokens":150}

: heartbeat
id: 1795262401000-0-0

"""


class StreamQuery(BaseModel):
    """Which events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Text = Field(default="", description="Only this project's.", examples=["proj-123"])
    ticket: str = Field(
        default="", max_length=128, description="In place of a key or token; good for one stream."
    )
    last_event_id: str = Field(
        default="", max_length=64, description="As the header, which a new EventSource cannot send."
    )


class StreamApi:
    """Answers with live streams.

    Args:
        live: Where events come from.
        tickets: Opens streams where no headers can be sent.
        gate: Knows who asks.
        pace: How a connection is kept.
    """

    def __init__(self, live: Live, tickets: Tickets, gate: Gate, *, pace: Pace) -> None:
        self._live = live
        self._tickets = tickets
        self._gate = gate
        self._pace = pace

    def mount(self, router: APIRouter) -> None:
        """Adds the routes."""
        add(
            router,
            "/stream",
            self.stream_events,
            response_class=EventStream,
            status_code=200,
            responses={200: {"content": {"text/event-stream": {"example": EXAMPLE}}}},
        )
        add(
            router,
            "/stream/tickets",
            self.issue_ticket,
            methods=["POST"],
            status_code=201,
            response_model=Ticket,
            dependencies=[Depends(self._gate)],
        )

    async def stream_events(
        self,
        query: Annotated[StreamQuery, Query()],
        shown: Annotated[Credentials, Depends(credentials)],
        last_event_id: Annotated[str, Header(max_length=64, description="Go on after this event.")] = "",
    ) -> Response:
        """Sends records as they are stored: `usage`, `execution`, `timeline`.

        `gap` says that some are gone, `closed` that nothing follows: connect again with the last id.
        """
        tenant_id, check = await self._admit(query.ticket, shown)
        subscription = await self._live.subscribe(
            tenant_id, after_id=last_event_id or query.last_event_id, project=query.project
        )
        return EventStream(subscription, check=check, pace=self._pace, ticks=time.monotonic)

    async def issue_ticket(self, asker: Asker) -> Ticket:
        """Issues a ticket for `/stream?ticket=...`: it can be used once, and not for long."""
        ticket = await self._tickets.issue(asker)
        return Ticket(ticket=ticket, expires_in_seconds=self._tickets.ttl_seconds)

    async def _admit(self, ticket: str, shown: Credentials) -> tuple[int, Callable[[], Awaitable[None]]]:
        """Returns whose events may be read, and what looks whether they still may be."""
        if ticket:
            return (await self._tickets.redeem(ticket)).tenant_id, _nothing
        return (await self._gate.admit(shown)).tenant.id, self._gate.recheck(shown)


async def _nothing() -> None:
    """There is nothing to look at: a ticket shows no credentials."""
