"""Server-sent events over one connection: what is written, how often, and when it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from claw_hub.api.subscriptions import CLOSED, Message, Subscription
from claw_hub.errors import HubError, UnavailableError

__all__ = ["HEADERS", "EventStream", "Pace"]

# No proxy may keep events back.
HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}
RETRY_MS: Final = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a connection is kept.

    Attributes:
        heartbeat_seconds: Between signs of life, and between looks at the credentials.
        send_seconds: A client that takes nothing for so long is given up.
        longest_seconds: After so long a client has to connect, and to show who it is, again.
    """

    heartbeat_seconds: float = 15.0
    send_seconds: float = 30.0
    longest_seconds: float = 3600.0


class EventStream(Response):
    """Writes a subscription's events until it ends, the client goes, or is not allowed any more.

    Args:
        subscription: Closed at the end.
        check: Raises `HubError` where who asks may not any more.
        pace: How the connection is kept.
        ticks: Seconds, steadily growing.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        subscription: Subscription,
        *,
        check: Callable[[], Awaitable[None]],
        pace: Pace,
        ticks: Callable[[], float],
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._subscription = subscription
        self._check = check
        self._pace = pace
        self._ticks = ticks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; `scope` is of no matter."""
        _ = scope
        tasks = [asyncio.create_task(self._write(send)), asyncio.create_task(_gone(receive))]
        try:
            done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._subscription.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, TimeoutError):
                    await task

    async def _write(self, send: Send) -> None:
        """Writes; a client that takes nothing raises TimeoutError, and its connection is cut."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._send(send, connected(str(self._subscription.position)))
        until = self._ticks() + self._pace.longest_seconds
        looked = self._ticks()
        while True:
            message = await self._next()
            await self._send(
                send, beat(str(self._subscription.position)) if message is None else shown(message)
            )
            if message is not None and message.event == CLOSED:
                break
            if self._ticks() >= until:
                self._subscription.end("expired", "connect again with the id of the last event")
            elif self._ticks() - looked >= self._pace.heartbeat_seconds:
                looked = self._ticks()
                await self._look()
        await self._send(send, b"", more=False)

    async def _next(self) -> Message | None:
        try:
            return await self._subscription.next(self._pace.heartbeat_seconds)
        except UnavailableError as error:
            self._subscription.end("unavailable", str(error))
            return await self._subscription.next(0)

    async def _look(self) -> None:
        """Ends the stream of who may not read it any more; who cannot be asked about may go on."""
        try:
            await self._check()
        except UnavailableError:
            return
        except HubError as error:
            self._subscription.end(error.error_id, str(error))

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._pace.send_seconds):
            await send({"type": "http.response.body", "body": body, "more_body": more})


def connected(position: str) -> bytes:
    """Returns the first event; its id lets a client that has seen no other go on from here."""
    return b'retry: %d\nid: %s\nevent: connected\ndata: {"status":"ok"}\n\n' % (RETRY_MS, position.encode())


def beat(position: str) -> bytes:
    """Returns a comment, which keeps the connection, and an id without an event, which browsers remember."""
    return b": heartbeat\nid: %s\n\n" % position.encode()


def shown(message: Message) -> bytes:
    """Returns an event."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        str(message.position).encode(),
        message.event.encode(),
        message.data,
    )


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
