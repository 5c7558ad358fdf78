"""Sends the same requests to the ``app`` of a module, and prints what its ``/metrics`` shows.

Runs in the environment of the peers (``.run/bench``), one process an application: they share a registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from typing import Any

REQUESTS = (
    ("GET", "/users/1"),
    ("GET", "/users/2"),
    ("POST", "/users/1"),
    ("GET", "/nope/1"),
    ("GET", "/nope/2"),
    ("GET", "/boom"),
    ("GET", "/stream"),
    ("GET", "/healthz"),
)


async def request(app: Any, method: str, path: str, query: bytes = b"") -> bytes:  # noqa: ANN401  # any ASGI application
    """Return the body of the answer."""
    parts: list[bytes] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("localhost", 1),
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": [],
    }

    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (message := next(body, None)) is None:
            await asyncio.Event().wait()  # the client stays
        return message or {}

    async def send(message: dict[str, Any]) -> None:
        parts.append(message.get("body", b""))

    with contextlib.suppress(ZeroDivisionError):  # what /boom raises
        await app(scope, receive, send)
    return b"".join(parts)


async def main(name: str) -> None:
    """Send every request, then read the page."""
    app = importlib.import_module(name).app
    for method, path in REQUESTS:
        await request(app, method, path)
    sys.stdout.write((await request(app, "GET", "/metrics")).decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
