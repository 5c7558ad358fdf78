"""Log lines: JSON with the trace of the request that they belong to, or plain text for a terminal."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
NO_STATUS: Final = 499  # the client left before an answer began
FAILED: Final = 500

trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
log = logging.getLogger("claw_chat")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, trace_id, and the fields given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for ``record``."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if trace := trace_id.get():
            line["trace_id"] = trace
        line.update((name, value) for name, value in record.__dict__.items() if name not in PLAIN)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, level: str, shape: str) -> None:
    """Send every log line of this process to standard error.

    Args:
        level: Least severe level that is written, such as ``info``.
        shape: ``json`` or ``text``.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s")
    handler.setFormatter(JsonFormatter() if shape == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx2", "httpcore2", "openai", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class TraceMiddleware:
    """Gives every request a trace id, sends it back as ``x-trace-id``, and writes one line per request.

    The id comes from the caller's ``traceparent`` header where there is one, so that the lines of several
    services can be found together.

    Args:
        app: The application to wrap.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        trace = _trace_of(scope)
        trace_id.set(trace)  # never reset: each request is a task of its own, and the server logs after us
        started, status = time.perf_counter(), NO_STATUS

        async def send_with_trace(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-trace-id", trace.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_trace)
        except Exception:
            status = FAILED if status == NO_STATUS else status
            raise
        finally:
            if scope["type"] == "http" and scope["path"] not in ("/metrics", "/health"):
                _write(scope, status, time.perf_counter() - started)


def _trace_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent" and (found := TRACEPARENT.fullmatch(value)):
            return str(found.group(1), "ascii")
    return secrets.token_hex(16)


def _write(scope: Scope, status: int, duration_seconds: float) -> None:
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "duration_seconds": round(duration_seconds, 4),
    }
    log.info("request", extra=fields)
