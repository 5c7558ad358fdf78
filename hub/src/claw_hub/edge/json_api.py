"""Ingest of requirement document 1's records: authenticate, bound, validate, append durably, answer.

Success is 201: the seed's client takes nothing else for it, and sends nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from claw_hub.bus import Entry
from claw_hub.edge.answers import answer, refusal
from claw_hub.edge.body import drain, read_body
from claw_hub.edge.openapi import RESPONSES, SUMMARIES, operation
from claw_hub.errors import BadRequestError, ForbiddenError, HubError
from claw_hub.records import Kind, UsageRecord, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from starlette.datastructures import Headers

    from claw_hub.bus import Bus
    from claw_hub.edge.ports import Admit, Authenticate, Count, Principal
    from claw_hub.records import Record

__all__ = ["router"]

PREFIX: Final = "/api/v1/observability/ingest"
MAX_BODY_BYTES: Final = 8_000_000
MAX_KEY_CHARACTERS: Final = 256

# Whose records are taken: those of keys, which have no role, and of people only those who run the house.
_WRITERS: Final = (None, "admin")
_BEARER: Final = "bearer "
_US_PER_SECOND: Final = 1_000_000

_P = TypeVar("_P", bound="Principal")


def router(  # noqa: PLR0913 - all by name
    *,
    bus: Bus,
    authenticate: Authenticate[_P],
    admit: Admit[_P],
    clock: Callable[[], float],
    max_body_bytes: int = MAX_BODY_BYTES,
    count: Count,
) -> APIRouter:
    """Returns the three endpoints, each with and without a slash at its end.

    Args:
        bus: What makes records durable.
        authenticate: `Accounts.authenticate`.
        admit: `Limits.admit`.
        clock: Seconds since 1970.
        max_body_bytes: Of a request, as sent and inflated.
        count: Told about each request.
    """
    ingest = _Ingest(bus, authenticate, admit, clock=clock, max_body_bytes=max_body_bytes, count=count)
    made = APIRouter(
        prefix=PREFIX,
        tags=["ingest"],
        route_class=_BareRoute,
        # For the documentation only; the handler asks `authenticate`.
        dependencies=[Security(APIKeyHeader(name="X-API-Key", auto_error=False)), Security(HTTPBearer())],
    )
    for kind in Kind:
        for path in (f"/{kind}/", f"/{kind}"):
            made.add_api_route(
                path,
                ingest.handler(kind),
                methods=["POST"],
                name=f"ingest_{kind}",
                summary=SUMMARIES[kind],
                status_code=201,
                responses=RESPONSES,
                openapi_extra=operation(kind),
                include_in_schema=path.endswith("/"),
            )
    return made


class _BareRoute(APIRoute):
    """A route that is in the documentation, and whose handler takes the request as it comes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Leaves out what FastAPI does with a request before and after."""
        return self.endpoint


class _Ingest(Generic[_P]):
    def __init__(  # noqa: PLR0913 - see `router`
        self,
        bus: Bus,
        authenticate: Authenticate[_P],
        admit: Admit[_P],
        *,
        clock: Callable[[], float],
        max_body_bytes: int,
        count: Count,
    ) -> None:
        self._bus = bus
        self._authenticate = authenticate
        self._admit = admit
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._count = count

    def handler(self, kind: Kind) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns what answers requests that bring records of a kind."""

        async def ingest(request: Request) -> Response:
            try:
                return await self._take(kind, request)
            except HubError as error:
                self._count(kind, error.error_id, records=0, body_bytes=0)
                await drain(request)
                return refusal(error)
            except ClientDisconnect:
                self._count(kind, "disconnected", records=0, body_bytes=0)
                return Response(status_code=400)  # nobody hears it

        return ingest

    async def _take(self, kind: Kind, request: Request) -> Response:
        principal = await self._principal(request.headers)
        key = _idempotency_key(request.headers)
        body = await read_body(request, max_bytes=self._max_body_bytes)
        received_us = int(self._clock() * _US_PER_SECOND)
        records = parse(kind, body)
        admission = await self._admit(
            principal, records=len(records), tokens=_tokens(records), projects=_projects(records)
        )
        entry_id = ""
        if records:
            entry_id = await self._bus.append(
                Entry(
                    kind=kind,
                    tenant_id=principal.tenant.id,
                    received_us=received_us,
                    body=body,
                    count=len(records),
                    idempotency_key=key,
                )
            )
        self._count(kind, "accepted", records=len(records), body_bytes=len(body))
        return answer({"status": "ok", "id": entry_id, "accepted": len(records)}, 201, admission.headers)

    async def _principal(self, headers: Headers) -> _P:
        api_key = headers.get("x-api-key", "")
        authorization = headers.get("authorization", "")
        bearer = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else ""
        principal = await self._authenticate(api_key=api_key, bearer=bearer)
        if principal.role not in _WRITERS:
            raise ForbiddenError(f"the role {principal.role!r} does not send records: use an API key")
        return principal


def _idempotency_key(headers: Headers) -> str:
    key = headers.get("idempotency-key", "")
    if len(key) > MAX_KEY_CHARACTERS:
        raise BadRequestError(
            f"Idempotency-Key has {len(key)} characters: use at most {MAX_KEY_CHARACTERS}, a UUID for example"
        )
    return key


def _tokens(records: Sequence[Record]) -> int:
    """Counts what calls of models have used; executions only say it again."""
    return sum(record.tokens for record in records if isinstance(record, UsageRecord))


def _projects(records: Sequence[Record]) -> set[str]:
    return {record.project_id for record in records} - {""}
