"""Between accepting and storing: an entry is durable when `append` returns, and gone after `done`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claw_hub.records import Kind

__all__ = ["Bus", "Delivered", "Entry", "Lag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one accepted request holds.

    Attributes:
        kind: Of its records.
        tenant_id: Whose they are.
        received_us: When the edge had read it, in microseconds since 1970 (UTC).
        body: JSON exactly as it was sent, inflated: one object, or an array of them.
        count: Records in it.
        idempotency_key: What the client called this request; empty where it did not.
    """

    kind: Kind
    tenant_id: int
    received_us: int
    body: bytes
    count: int
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """An entry, as a worker gets it.

    Attributes:
        id: The bus's name of it; grows with time within a kind.
        entry: What was appended.
        deliveries: How often it was handed out, this time included.
    """

    id: str
    entry: Entry
    deliveries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What is appended and not done, by kind.

    Attributes:
        entries: How many.
        records: How many records are in them; where the bus cannot tell, at least `entries`.
        oldest_seconds: Age of the oldest; 0 where there is none.
        bytes: Memory that the bus holds for them, as far as it can tell.
    """

    entries: Mapping[Kind, int] = field(default_factory=dict)
    records: Mapping[Kind, int] = field(default_factory=dict)
    oldest_seconds: Mapping[Kind, float] = field(default_factory=dict)
    bytes: int = 0


class Bus(Protocol):
    """Redis Streams on one machine, Kafka beyond; tests/hub/bus holds both to the same contract."""

    async def append(self, entry: Entry) -> str:
        """Makes an entry durable; returns its id.

        Raises:
            UnavailableError: It may or may not have been appended; the client has to send it again.
        """
        ...

    async def read(self, consumer: str, *, count: int, block_seconds: float) -> Sequence[Delivered]:
        """Returns up to `count` entries for `consumer`: first those that it, or a dead one, left undone.

        What was given out once is not given out again in the same life of a consumer, unless it is not done
        for so long that the consumer counts as dead. Of a `count` less than the kinds, one of each comes.

        Raises:
            UnavailableError: The bus is away. What was given out before may come again.
        """
        ...

    async def done(self, delivered: Sequence[Delivered]) -> None:
        """Forgets entries: what they held is stored elsewhere; doing it again is harmless.

        Raises:
            UnavailableError: The bus is away; they come again.
        """
        ...

    async def lag(self) -> Lag:
        """Tells what is not done.

        Raises:
            UnavailableError: The bus is away.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
