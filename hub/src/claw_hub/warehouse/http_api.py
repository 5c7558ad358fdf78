"""ClickHouse's HTTP interface over an embedded engine: as much as an unmodified clickhouse-connect uses.

Not here: sessions (``session_id`` is accepted, and every request stands alone), external tables, streaming of
results, compression of answers.
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from claw_hub.errors import MediaTypeError, TooLargeError
from claw_hub.warehouse.bodies import form_fields, inflate
from claw_hub.warehouse.protocol import Answer, Ask, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.requests import Request

    from claw_hub.warehouse.embedded import Embedded

__all__ = ["create_app"]

_TRANSPORT: Final = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
"""Parameters of an address that are no settings of the engine."""

_SQL: Final = "query"
_WRONG_PASSWORD: Final = 516
_BAD_BODY: Final = 27
_TOO_LARGE: Final = 307


def create_app(
    embedded: Embedded,
    *,
    password_file: Path | None = None,
    user: str = "default",
    max_body_bytes: int = 256_000_000,
) -> Starlette:
    """Builds the application; `embedded` is opened and closed by who made it.

    Args:
        embedded: The owner of the warehouse, open.
        password_file: Holds what every request has to bring, read anew each time; without it all may ask.
        user: Whose password it is.
        max_body_bytes: A larger body is refused; so is one that inflates to more.
    """
    api = _Api(embedded, password_file, user, max_body_bytes)
    methods = ["GET", "POST"]
    return Starlette(routes=[Route("/ping", api.ping), Route("/", api.query, methods=methods)])


@dataclass(frozen=True, slots=True)
class _Api:
    """What the routes do."""

    embedded: Embedded
    password_file: Path | None
    user: str
    max_body_bytes: int

    async def ping(self, request: Request) -> Response:  # noqa: ARG002 - the signature of a route
        """Says that the process lives; needs no password."""
        return PlainTextResponse("Ok.\n")

    async def query(self, request: Request) -> Response:
        """Runs the statement of a request."""
        query_id = request.query_params.get("query_id", "")
        # It goes back in a header.
        query_id = query_id if query_id.isascii() and query_id.isprintable() else ""
        try:
            self._authenticate(request)
            body = await self._body(request)
            if request.method == "GET" and _SQL not in request.query_params:
                return PlainTextResponse("Ok.\n")
            answer = await self.embedded.run(_ask(request, body))
        except EngineError as error:
            return _refused(error, query_id)
        except (TooLargeError, MediaTypeError) as error:
            code = _TOO_LARGE if isinstance(error, TooLargeError) else _BAD_BODY
            return _refused(EngineError(code, str(error)), query_id, status=error.status)
        return _answered(answer, query_id)

    def _authenticate(self, request: Request) -> None:
        if self.password_file is None:
            return
        given = ":".join(_credentials(request)).encode()
        try:
            password = self.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EngineError(
                _WRONG_PASSWORD, f"the file with the password cannot be read: {error}"
            ) from error
        expected = f"{self.user}:{password}".encode()
        if not hmac.compare_digest(given, expected):
            raise EngineError(
                _WRONG_PASSWORD, "Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"
            )

    async def _body(self, request: Request) -> bytes:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.max_body_bytes:
                raise TooLargeError(
                    f"the body is larger than {self.max_body_bytes} bytes; send less at a time"
                )
            parts.append(part)
        body, encoding = b"".join(parts), request.headers.get("content-encoding", "")
        if not encoding or not body:
            return body
        return await asyncio.to_thread(inflate, body, encoding, max_bytes=self.max_body_bytes)


def _ask(request: Request, body: bytes) -> Ask:
    given = dict(request.query_params)
    media_type = request.headers.get("content-type", "")
    if "form" in media_type:
        given, body = {**given, **form_fields(body, media_type)}, b""
    settings = {name: value for name, value in given.items() if _is_setting(name)}
    if request.method == "GET":
        # As ClickHouse has it: an address that is followed changes nothing.
        settings["readonly"] = settings.get("readonly", "0").replace("0", "2")
    return Ask(
        statement=_statement(given.get(_SQL), body),
        format=given.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated",
        database=given.get("database") or request.headers.get("x-clickhouse-database", ""),
        parameters={name[6:]: value for name, value in given.items() if name.startswith("param_")},
        settings=settings,
    )


def _statement(sql: str | None, body: bytes) -> bytes:
    if sql is None:
        return body
    return sql.encode() + b"\n" + body if body else sql.encode()


def _is_setting(name: str) -> bool:
    return name not in _TRANSPORT and not name.startswith("param_")


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = b64decode(encoded).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password
    headers: Mapping[str, str] = request.headers
    return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")


def _answered(answer: Answer, query_id: str) -> Response:
    summary = {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": str(answer.written_rows),
        "written_bytes": str(answer.written_bytes),
        "total_rows_to_read": "0",
        "result_rows": str(answer.result_rows),
        "result_bytes": str(len(answer.body)),
        "elapsed_ns": str(int(answer.elapsed_seconds * 1e9)),
    }
    headers = {
        **_headers(query_id),
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Summary": orjson.dumps(summary).decode(),
    }
    return Response(answer.body, headers=headers, media_type="application/octet-stream")


def _refused(error: EngineError, query_id: str, *, status: int | None = None) -> Response:
    headers = {**_headers(query_id), "X-ClickHouse-Exception-Code": str(error.code)}
    return PlainTextResponse(f"{error}\n", status or error.http_status, headers)


def _headers(query_id: str) -> dict[str, str]:
    # Columns name their time zone; this is for those that do not.
    return {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Server-Display-Name": "claw",
        "X-ClickHouse-Timezone": "UTC",
    }
