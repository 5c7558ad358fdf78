"""What every collector is: something that reads numbers from one target, and can be cut off at any moment."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from claw_exporter import catalog
from claw_exporter.errors import ClawError

if TYPE_CHECKING:
    from claw_exporter.spec import Gauge, Metric

Labels = tuple[str, ...]
Series = Mapping[str, Mapping[Labels, float]]
Classified = tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 15.0
JITTER_RATIO: Final = 0.25

_ConnectionT = TypeVar("_ConnectionT")


class ProbeError(ClawError):
    """A collector could not give its numbers.

    Attributes:
        error_type: One of `claw_exporter.catalog.PROBE_ERROR_TYPES`.
    """

    def __init__(self, error_type: str, message: str) -> None:
        self.error_type = error_type
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Report:
    """What one run read.

    Attributes:
        series: Metric name -> label values (in the order of the metric's labels) -> number.
        dropped_rows: How much was left out because there was more than the limit.
    """

    series: Series
    dropped_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a collector runs, and how long it may take.

    Attributes:
        name: Name of the probe, its label on ``/metrics``.
        interval_seconds: From the start of one run to the start of the next.
        timeout_seconds: A run that takes longer is cut off.
    """

    name: str
    interval_seconds: float
    timeout_seconds: float


@dataclass(slots=True, eq=False)
class Link(Generic[_ConnectionT]):
    """The one connection to a target: made when needed, dropped after any error, never two at a time.

    Attempts that fail are followed by pauses that grow from `FIRST_PAUSE_SECONDS` to `LONGEST_PAUSE_SECONDS`,
    each shortened by up to a quarter: targets that a server's end took away do not all come back at once.

    Attributes:
        connect: Opens a connection.
        discard: Closes one at once, without waiting for the target.
        clock: Seconds, steadily growing.
        chance: Gives a number from 0 to 1, by which a pause is shortened.
        turn: For `Collector.turn`.
    """

    connect: Callable[[], Awaitable[_ConnectionT]]
    discard: Callable[[_ConnectionT], None]
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _connection: _ConnectionT | None = None
    _attempt: int = 0
    _failures: int = 0
    _retry_at: float = 0.0
    _error: Exception | None = None

    async def get(self) -> _ConnectionT:
        """Give the connection, opening it where there is none.

        Raises:
            Exception: What the attempt raised; the same again during the pause after it.
        """
        if self._connection is not None:
            return self._connection
        if self._error is not None and self.retry_seconds():
            raise self._error.with_traceback(None)
        self._attempt += 1
        attempt = self._attempt
        try:
            connection = await self.connect()
        except (
            BaseException
        ) as error:  # also when cut off: a target that hangs is left alone for a while, too
            self._failed(error)
            raise
        if attempt != self._attempt:
            self.discard(connection)
            raise ProbeError("connection", "the connection came up after its run had been cut off")
        self._failures, self._error, self._connection = 0, None, connection
        return connection

    def drop(self) -> None:
        """Forget the connection, and one that is being opened."""
        self._attempt += 1
        connection, self._connection = self._connection, None
        if connection is not None:
            self.discard(connection)

    def retry_seconds(self) -> float | None:
        """Say how long no attempt is made; None where the next one may be made at once."""
        left = self._retry_at - self.clock()
        return left if self._failures and left > 0 else None

    def _failed(self, error: BaseException) -> None:
        # The exponent is bounded too: a target may be away for weeks, and 2.0**1024 is too large for a float.
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
        pause *= 1 - JITTER_RATIO * self.chance()
        self._failures += 1
        self._retry_at = self.clock() + pause
        self._error = error if isinstance(error, Exception) else TimeoutError("no answer while connecting")


class Collector(ABC):
    """Reads one target.

    Attributes:
        schedule: When to call `collect`.
        link: The connection to the target, shared by all who ask that target; None where none is needed.
        metrics: What `collect` may report.
        up: Metric that is 1 while `collect` succeeds and 0 while it does not, if there is one.
        took: Metric for the duration of the last run, if there is one.
        up_labels: Label values of ``up`` and ``took``.
        errors: Kinds of exception with the error type they mean; the first that fits counts.
        error_types: What a run may fail with.
        origin: What the collector was made from; one with an equal origin does the same.
        turn: Held during a run: one connection answers one question at a time.
    """

    metrics: tuple[Metric, ...]
    up: Gauge | None = None
    took: Gauge | None = None
    up_labels: Labels = ()
    errors: Classified = ()
    error_types: tuple[str, ...] = catalog.PROBE_ERROR_TYPES

    def __init__(
        self, schedule: Schedule, link: Link[Any] | None = None, *, origin: tuple[Hashable, ...] = ()
    ) -> None:
        self.schedule = schedule
        self.link = link
        self.origin = origin or (self,)
        self.turn = link.turn if link else asyncio.Lock()

    @abstractmethod
    async def collect(self) -> Report:
        """Read the numbers now; raise where that is not possible."""

    def abort(self) -> None:
        """Let go of what a failed run used, at once and without waiting for the target."""
        if self.link:
            self.link.drop()

    def retry_seconds(self) -> float | None:
        """Say when a failed run is worth another try; None: when it is due anyway."""
        return self.link.retry_seconds() if self.link else None


def classify(error: Exception, known: Classified) -> str:
    """Give the error type of an exception."""
    if isinstance(error, ProbeError):
        return error.error_type
    # TimeoutError is an OSError: it stands first.
    table = (*known, (TimeoutError, "timeout"), (OSError, "connection"))
    return next((error_type for kinds, error_type in table if isinstance(error, kinds)), "internal")
