"""Sends messages to chat services, counts what becomes of each, and keeps within what a bot may send."""

from __future__ import annotations

import logging
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import httpx

from claw_relay import catalog
from claw_relay.errors import Reason, RejectedError
from claw_relay.message import Fitted, fit
from claw_relay.settings import secret_parts
from claw_relay.vendors import VENDORS, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_exporter.store import Store
    from claw_relay.message import Message
    from claw_relay.settings import Channel

__all__ = ["Sender"]

_log: Final = logging.getLogger("claw_relay.sender")

MINUTE_SECONDS: Final = 60.0
SERVER_ERROR: Final = 500
TOO_MANY: Final = 429
MAX_WORDS: Final = 300
MASK: Final = "***"
# So much of an answer is read at most.
MAX_ANSWER_BYTES: Final = 64_000


class Sender:
    """Sends through every channel of the configuration.

    Args:
        client: For the requests; it has the timeout.
        store: Where the numbers go.
        clock: Seconds since 1970, for signatures.
        ticks: Seconds, steadily growing.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        store: Store,
        *,
        clock: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        self._client = client
        self._clock = clock
        self._ticks = ticks
        self._sent = store.counter(catalog.SENT)
        self._rejected = store.counter(catalog.REJECTED)
        self._left_out = store.counter(catalog.LEFT_OUT)
        self._duration = store.histogram(catalog.SEND_DURATION)
        self._recent: dict[str, deque[float]] = {}

    def declare(self, channel: Channel) -> None:
        """Makes every series of a channel exist, at 0, before its first message."""
        self._sent.child(channel.type, channel.name)
        self._left_out.child(channel.type, channel.name)
        for reason in Reason:
            self._rejected.child(channel.type, channel.name, reason.value)

    async def send(self, channel: Channel, message: Message) -> Fitted:
        """Sends a message.

        Returns:
            What was sent.

        Raises:
            RejectedError: It was not taken; the text names no secret.
        """
        vendor = VENDORS[channel.type]
        fitted = fit(message, joint=vendor.joint, fits=lambda text: vendor.fits(message, text))
        try:
            await self._post(channel, vendor.body(message, fitted.text))
        except RejectedError as error:
            self._rejected.inc(channel.type, channel.name, error.reason.value)
            fields = {"channel": channel.id, "reason": error.reason.value, "detail": str(error)}
            _log.warning("message rejected", extra={"fields": fields})
            raise
        self._sent.inc(channel.type, channel.name)
        self._left_out.inc(channel.type, channel.name, by=fitted.left_out)
        _log.info("message sent", extra={"fields": {"channel": channel.id, "title": message.title}})
        return fitted

    async def _post(self, channel: Channel, body: dict[str, Any]) -> None:
        url, secret = _secrets(channel)
        vendor = VENDORS[channel.type]
        self._admit(channel, vendor.per_minute)
        address = url
        if vendor.sign is not None:
            address, body = vendor.sign(url, body, secret, self._clock())
        started = self._ticks()
        try:
            status, answer = await self._ask(address, body)
        finally:
            self._duration.observe(self._ticks() - started, channel.type)
        reason, words = _judge(channel, status, answer)
        if reason is not None:
            raise RejectedError(
                reason, f"{channel.id} did not take the message: {_masked(words, url, secret)}"
            )

    async def _ask(self, address: str, body: dict[str, Any]) -> tuple[int, bytes]:
        # The words of these errors may hold the address, and so the token: only their kind is told.
        try:
            async with self._client.stream(
                "POST",
                address,
                content=encode(body),
                headers={"Content-Type": "application/json; charset=utf-8"},
            ) as response:
                answer = b""
                async for part in response.aiter_bytes():
                    answer += part
                    if len(answer) > MAX_ANSWER_BYTES:
                        break
                return response.status_code, answer
        except httpx.TimeoutException as error:
            raise RejectedError(Reason.TIMEOUT, f"no answer in time ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise RejectedError(
                Reason.CONNECTION,
                f"not reached ({type(error).__name__}); is the address in the url_file right, "
                "and may this machine reach it?",
            ) from None

    def _admit(self, channel: Channel, per_minute: int) -> None:
        """Keeps a bot below its limit: one that is passed silences some bots for ten minutes."""
        now = self._ticks()
        recent = self._recent.setdefault(channel.id, deque())
        while recent and recent[0] <= now - MINUTE_SECONDS:
            recent.popleft()
        if len(recent) >= per_minute:
            raise RejectedError(
                Reason.RATE_LIMITED,
                f"{channel.id} had {per_minute} messages in a minute, which is all it may",
            )
        recent.append(now)


def _secrets(channel: Channel) -> tuple[str, str]:
    try:
        return channel.url_file.read(), channel.secret_file.read() if channel.secret_file else ""
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "empty, or not text"
        name = getattr(error, "filename", None) or channel.url_file.path
        raise RejectedError(Reason.SECRET, f"{name} cannot be read: {what}") from None


def _judge(channel: Channel, status: int, answer: bytes) -> tuple[Reason | None, str]:
    """Tells why a message was not taken, if so; some services put their code beside a status of 400."""
    try:
        reason, words = VENDORS[channel.type].judge(httpx.Response(200, content=answer).json())
    except ValueError:
        reason, words = Reason.ANSWER, "the answer is not JSON"
    if httpx.codes.is_success(status):
        return reason, words
    if reason not in {None, Reason.ANSWER}:
        return reason, f"HTTP {status}, {words}"
    if status == TOO_MANY:
        return Reason.RATE_LIMITED, f"HTTP {status}"
    if status >= SERVER_ERROR:
        return Reason.UNAVAILABLE, f"HTTP {status}"
    return Reason.MESSAGE, f"HTTP {status}"


def _masked(words: str, url: str, secret: str) -> str:
    for text in sorted({*secret_parts(url), secret} - {""}, key=len, reverse=True):
        words = words.replace(text, MASK)
    return re.sub(r"\s+", " ", words)[:MAX_WORDS]
