"""The ASGI application behind ``/metrics``."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from claw_exporter.exposition import (
    CONTENT_TYPE_OPENMETRICS,
    CONTENT_TYPE_TEXT,
    END_OF_OPENMETRICS,
    render_snapshots,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry
    from starlette.types import Receive, Scope, Send

    from claw_exporter.auth import Auth
    from claw_exporter.registry import Bridge
    from claw_exporter.store import Child, Store

__all__ = ["Exposition"]

_GZIP_LEVEL: Final = 1  # level 9 takes fifteen times as long for a quarter less
_OPENMETRICS: Final = "application/openmetrics-text"
_STRANGER: Final = b"the credentials are missing or wrong\n"


class Exposition:
    """Serves a registry's metrics: ours from their lists, the others as prometheus_client renders them.

    Rendering happens in a thread; requests that arrive meanwhile share its result. OpenMetrics 1.0 where the
    client accepts it, text 0.0.4 otherwise; gzip (level 1) where accepted.

    Args:
        registry: Whose other collectors are shown.
        bridge: Our collector in that registry.
        store: Where errors are counted.
        in_flight: Returns the number of running requests; this one is taken out where its scope carries
            ``mark``.
        mark: See ``in_flight``.
        auth: Who may read; everybody if None.
    """

    def __init__(  # noqa: PLR0913  # what is optional stands by name
        self,
        registry: CollectorRegistry,
        bridge: Bridge,
        store: Store,
        *,
        in_flight: Callable[[], Child] = list,
        mark: str = "",
        auth: Auth | None = None,
    ) -> None:
        self._registry = registry
        self._bridge = bridge
        self._store = store
        self._in_flight = in_flight
        self._mark = mark
        self._auth = auth
        self._running: dict[tuple[object, bool, bool], asyncio.Task[bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD with the metrics, everything else with 405, strangers with 401."""
        del receive
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
            return
        if self._mark not in scope:
            await self._serve(scope, send)
            return
        in_flight, guard = self._in_flight(), self._store.lock or nullcontext()
        with guard:
            in_flight[0] -= 1.0
        try:
            await self._serve(scope, send)
        finally:
            with guard:
                in_flight[0] += 1.0

    async def _serve(self, scope: Scope, send: Send) -> None:
        head = scope["method"] == "HEAD"
        if self._auth is not None and not await self._auth.admits(_header(scope, b"authorization")):
            refusal = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(_STRANGER)).encode()),
                (b"www-authenticate", self._auth.challenge.encode()),
            ]
            await _answer(send, 401, refusal, b"" if head else _STRANGER)
            return
        openmetrics = accepts_openmetrics(_header(scope, b"accept"))
        compressed = accepts_gzip(_header(scope, b"accept-encoding"))
        body = await self._shared(openmetrics=openmetrics, compressed=compressed)
        content_type = CONTENT_TYPE_OPENMETRICS if openmetrics else CONTENT_TYPE_TEXT
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"vary", b"Accept, Accept-Encoding"),
        ]
        if compressed:
            headers.append((b"content-encoding", b"gzip"))
        await _answer(send, 200, headers, b"" if head else body)

    async def _shared(self, *, openmetrics: bool, compressed: bool) -> bytes:
        key = (asyncio.get_running_loop(), openmetrics, compressed)
        task = self._running.get(key)
        if task is None:
            work = asyncio.to_thread(self.body, openmetrics=openmetrics, compressed=compressed)
            task = self._running[key] = asyncio.create_task(work)
            task.add_done_callback(lambda _: self._running.pop(key))
        # Shielded: one client that leaves must not cost the others their answer.
        return await asyncio.shield(task)

    def body(self, *, openmetrics: bool, compressed: bool) -> bytes:
        """Render everything, on the calling thread."""
        ours = render_snapshots(self._bridge.snapshot(), openmetrics=openmetrics)
        try:
            render: Any = generate_openmetrics if openmetrics else generate_latest
            others = self._bridge.others(self._registry, render).removesuffix(END_OF_OPENMETRICS)
        except Exception:  # noqa: BLE001  # somebody else's collector must not hide our metrics
            self._store.fault("registry")
            others = b""
        text = b"".join((ours, others, END_OF_OPENMETRICS if openmetrics else b""))
        return gzip.compress(text, _GZIP_LEVEL) if compressed else text


def accepts_openmetrics(accept: str) -> bool:
    """Return whether an ``Accept`` header prefers OpenMetrics 1.0 to the text format."""
    best = {"openmetrics": 0.0, "text": 0.0}
    for item in accept.split(","):
        media, quality, version = _parse(item)
        if media == _OPENMETRICS and version in ("", "1.0.0"):
            best["openmetrics"] = max(best["openmetrics"], quality)
        elif media == "text/plain":
            best["text"] = max(best["text"], quality)
    return best["openmetrics"] > 0 and best["openmetrics"] >= best["text"]


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an ``Accept-Encoding`` header allows gzip."""
    return any(name == "gzip" and quality > 0 for name, quality, _ in map(_parse, accept_encoding.split(",")))


def _parse(item: str) -> tuple[str, float, str]:
    """Split one element of an ``Accept`` header into its name, its quality and its ``version``."""
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    try:
        quality = float(values.get("q", "1"))
    except ValueError:
        quality = 0.0
    return name, quality, values.get("version", "")


def _header(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name)


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
