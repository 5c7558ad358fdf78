"""WebSockets: how many are open, how long they lived, how they were closed."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from claw_exporter.tracking import is_cancellation

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import Message, Receive, Scope, Send

    from claw_exporter.store import Store
    from claw_exporter.traffic import Traffic

__all__ = ["Socket"]


class Recorder(Protocol):
    """What a socket needs of the middleware."""

    store: Store
    traffic: Traffic

    def template(self, scope: Scope, root_path: str) -> tuple[str, bool]:
        """Return the route template of a scope, and whether it always has it."""

    def excluded(self, scope: Scope, endpoint: str) -> bool:
        """Return whether a connection is not to be measured."""


class Socket:
    """One WebSocket connection."""

    def __init__(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send) -> None:
        self._recorder = recorder
        self._scope = scope
        self._receive = receive
        self._send = send
        self._root_path = scope.get("root_path", "")
        self._started = perf_counter()
        self._open = False
        self._excluded: bool | None = None
        self._endpoint = ""
        self._code = ""

    async def receive(self) -> Message:
        """Pass on a message from the client."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._closed(_client_code(message.get("code")))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on a message to the client."""
        try:
            self._sent(message)
        except Exception:  # noqa: BLE001  # a message we cannot read is the server's business
            self._recorder.store.fault("websocket")
        return self._send(message)

    def failed(self, error: BaseException) -> None:
        """The application ended with an exception."""
        self._closed("1001" if is_cancellation(error) else "1011")

    def ended(self) -> None:
        """The application ended."""
        recorder = self._recorder
        try:
            if self._open:
                recorder.traffic.sockets.inc(self._endpoint, by=-1)
            endpoint = self._endpoint or self._template()
            if not (recorder.excluded(self._scope, endpoint) if self._excluded is None else self._excluded):
                seconds = perf_counter() - self._started
                recorder.traffic.socket_seconds.observe(seconds, endpoint, self._code or "1006")
        except Exception:  # noqa: BLE001  # the connection must not notice
            recorder.store.fault("websocket")

    def _sent(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self._endpoint = self._template()
            self._excluded = self._recorder.excluded(self._scope, self._endpoint)
            if not self._excluded:
                self._recorder.traffic.sockets.inc(self._endpoint)
                self._open = True
        elif kind == "websocket.close":
            self._closed(str(int(message.get("code") or 1000)) if self._endpoint else "403")
        elif kind == "websocket.http.response.start":
            self._closed(str(int(message["status"])))

    def _closed(self, code: str) -> None:
        self._code = self._code or code  # who closes first decides

    def _template(self) -> str:
        return self._recorder.template(self._scope, self._root_path)[0]


def _client_code(code: Any) -> str:  # noqa: ANN401  # what a server puts there
    """Name a close code chosen by the client: it must not be able to make a series per number."""
    known = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015}
    if code in known:
        return str(int(code))
    return f"{str(code)[0]}xxx" if isinstance(code, int) and 3000 <= code <= 4999 else "1005"  # noqa: PLR2004  # RFC 6455 7.4.2
