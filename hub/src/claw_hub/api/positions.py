"""Where a reader of a live stream is."""

import re
from dataclasses import dataclass
from typing import Final, Self

from claw_hub.errors import CursorError

__all__ = ["Position"]

SHAPE: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})-([0-9]{1,6})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """An event of a live stream, or the place before all of them. What is published together is one entry.

    Attributes:
        ms: Of the entry's id in Redis.
        sequence: Of the entry's id in Redis.
        index: Of the event in the entry.
    """

    ms: int = 0
    sequence: int = 0
    index: int = 0

    def __str__(self) -> str:
        """Returns the id that a client gets, and sends to go on from there."""
        return f"{self.ms}-{self.sequence}-{self.index}"

    @property
    def entry(self) -> str:
        """Id of the entry in Redis; there is no entry 0-0."""
        return f"{self.ms}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what a client sent.

        Raises:
            CursorError: It is no id of an event.
        """
        found = SHAPE.fullmatch(text)
        if not found or max(map(int, found.groups())) >= 2**63:
            raise CursorError(f"Last-Event-ID is {text[:64]!r}: not the id of an event of this stream")
        return cls(*map(int, found.groups()))

    @classmethod
    def of(cls, entry: str, index: int = 0) -> Self:
        """Returns the position of an event of an entry."""
        ms, _, sequence = entry.partition("-")
        return cls(int(ms), int(sequence), index)
