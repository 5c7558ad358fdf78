"""One reader of a live stream: what waits for it is bounded, and it misses nothing unnoticed."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

import orjson
from redis.exceptions import RedisError

from claw_hub.api.positions import Position
from claw_hub.errors import UnavailableError

__all__ = ["CLOSED", "GAP", "Feed", "Message", "Page", "Subscription"]

# Events about the stream itself.
CLOSED: Final = "closed"
GAP: Final = "gap"


@dataclass(frozen=True, slots=True)
class Message:
    """An event, as a reader gets it.

    Attributes:
        position: Of it; that of the event before where it is about the stream itself.
        event: Its name: a kind of record, `GAP` or `CLOSED`.
        data: JSON, in one line.
        project: Whose it is; None stands for everybody.
    """

    position: Position
    event: str
    data: bytes
    project: str | None = None

    @classmethod
    def gap(cls, after: Position) -> Self:
        """Says that events behind a position are gone."""
        text = "events after this id are gone; ask the lists for them"
        return cls(after, GAP, orjson.dumps({"after": str(after), "message": text}))


class Page(Protocol):
    """A part of a stream; `claw_hub.api.live.Page` is one."""

    @property
    def messages(self) -> Sequence[Message]:
        """What it holds."""

    @property
    def end(self) -> Position:
        """Where to go on."""

    @property
    def gap(self) -> bool:
        """Whether something before it is gone."""

    @property
    def more(self) -> bool:
        """Whether there may be more."""


class Feed(Protocol):
    """What reads the stream for all of a process."""

    @property
    def position(self) -> Position:
        """What it has handed out."""

    async def page(self, after: Position) -> Page:
        """Reads what comes after a position."""
        ...


class Subscription:
    """Events for one reader, in their order.

    Args:
        feed: Where they come from.
        after: What the reader has seen; None for everything up to now.
        project: Only this project's; empty stands for all.
        max_waiting: Events that wait, at most.
        leave: Called once, when the reader is gone.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        after: Position | None,
        project: str,
        max_waiting: int,
        leave: Callable[["Subscription"], None],
    ) -> None:
        self._feed = feed
        self._project = project
        self._max_waiting = max_waiting
        self._leave = leave
        self._waiting: deque[Message] = deque()
        self._news = asyncio.Event()
        self._end: Message | None = None
        # What lies between the reader and the feed is read from the stream, a page at a time.
        self._missed: deque[Message] = deque()
        self._until = feed.position
        self._behind = after if after is not None and after < feed.position else None
        self.position = feed.position if self._behind is None else self._behind

    def offer(self, message: Message) -> None:
        """Lets an event wait for the reader; a reader for whom too many wait is dropped."""
        if self._end is not None or not self._wants(message):
            return
        if len(self._waiting) >= self._max_waiting:
            self.end("slow", "events were not read fast enough; connect again with the id of the last one")
            return
        self._waiting.append(message)
        self._news.set()

    def end(self, reason: str, text: str) -> None:
        """Lets `next` return one more message, which says why it is the last."""
        if self._end is None:
            self._waiting.clear()
            self._missed.clear()
            self._end = Message(self.position, CLOSED, orjson.dumps({"reason": reason, "message": text}))
            self._news.set()
            self._leave(self)

    async def next(self, timeout_seconds: float) -> Message | None:
        """Returns the next event, or None where none comes in time; after `CLOSED` nothing comes any more.

        Raises:
            UnavailableError: What was missed cannot be read.
        """
        while self._end is None and self._behind is not None and not self._missed:
            self._behind = await self._catch_up(self._behind)
        if not (self._end or self._missed or self._waiting) and not await self._hears(timeout_seconds):
            return None
        if self._end is not None:
            return self._end
        message = (self._missed or self._waiting).popleft()
        self.position = max(self.position, message.position)
        return message

    def close(self) -> None:
        """Lets go; the reader is gone."""
        self.end("left", "the reader is gone")

    async def _hears(self, timeout_seconds: float) -> bool:
        self._news.clear()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._news.wait()
        except TimeoutError:
            # What the others read meanwhile is behind this reader, too.
            self.position = max(self.position, self._feed.position)
            return False
        return True

    async def _catch_up(self, after: Position) -> Position | None:
        """Reads a page of what was missed; returns where the next begins, None where there is none."""
        try:
            page = await self._feed.page(after)
        except (RedisError, OSError) as error:
            raise UnavailableError("the live stream is away; try again") from error
        if page.gap:
            self._missed.append(Message.gap(after))
        self._missed.extend(
            message for message in page.messages if message.position <= self._until and self._wants(message)
        )
        return page.end if page.more and page.end < self._until else None

    def _wants(self, message: Message) -> bool:
        return not self._project or message.project in {None, self._project}
