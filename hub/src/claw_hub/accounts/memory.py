"""What was read from Postgres a moment ago: most requests need no query, and work where Postgres is away."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from claw_hub.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Loaded", "Memory"]

FRESH_SECONDS: Final = 60.0
# Where nobody tells about changes (see `claw_hub.accounts.listener`), they are noticed this late.
UNTOLD_SECONDS: Final = 1.0
STALE_SECONDS: Final = 3600.0
ABSENT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
MAX_ENTRIES: Final = 50_000
MAX_ABSENT: Final = 10_000

_ValueT = TypeVar("_ValueT")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[_ValueT]):
    """What a query found.

    Attributes:
        value: Of it.
        owner: Name of what it belongs to: where that is forgotten, so is this.
    """

    value: _ValueT
    owner: str = ""


@dataclass(slots=True)
class _Entry:
    found: Loaded[Any] | None
    at: float
    epoch: int


class Memory:
    """Values by name: fresh for a minute, and for an hour where Postgres is away.

    Args:
        clock: Seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._present: OrderedDict[str, _Entry] = OrderedDict()
        # Apart from the others: whoever guesses keys drives no real one out.
        self._absent: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_told = False
        self._epoch = 0
        self._changes = 0
        self._is_away = False
        self._retry_at = 0.0

    async def get(self, name: str, load: Callable[[], Awaitable[Loaded[_ValueT] | None]]) -> _ValueT | None:
        """Returns what is known by a name, or what `load` finds; None where there is nothing.

        Many who ask for the same share one query.

        Raises:
            UnavailableError: `load` cannot ask, and nothing is remembered.
        """
        entry = self._present.get(name) or self._absent.get(name)
        if entry is None or not self._is_fresh(entry):
            entry = await self._renewed(name, load)
        if entry.found is None:
            return None
        if name in self._present:
            self._present.move_to_end(name)
        return cast("_ValueT", entry.found.value)

    def forget(self, name: str) -> None:
        """Drops what has this name or belongs to it, even where Postgres is away."""
        self._changes += 1
        # A query that is under way may have read what was before.
        self._flights.clear()
        self._absent.pop(name, None)
        gone = [key for key, entry in self._present.items() if _belongs(key, entry, name)]
        for key in gone:
            del self._present[key]

    def listen(self, *, is_told: bool) -> None:
        """Notes whether changes are told from now on; what was read before is read again."""
        self._is_told = is_told
        self._epoch += 1

    async def close(self) -> None:
        """Ends queries that are under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_fresh(self, entry: _Entry) -> bool:
        longest = FRESH_SECONDS if self._is_told else UNTOLD_SECONDS
        if entry.found is None:
            longest = min(longest, ABSENT_SECONDS)
        return entry.epoch == self._epoch and self._clock() - entry.at < longest

    def _kept(self, name: str) -> _Entry | None:
        entry = self._present.get(name)
        return entry if entry and self._clock() - entry.at < STALE_SECONDS else None

    async def _renewed(self, name: str, load: Callable[[], Awaitable[Loaded[Any] | None]]) -> _Entry:
        kept = self._kept(name)
        if kept is not None and self._is_away:
            # Nobody waits for a Postgres that did not answer a moment ago; it is asked beside.
            if self._clock() >= self._retry_at:
                self._flight(name, load)
            return kept
        try:
            return await asyncio.shield(self._flight(name, load))
        except UnavailableError:
            kept = self._kept(name)
            if kept is None:
                raise
            return kept

    def _flight(self, name: str, load: Callable[[], Awaitable[Loaded[Any] | None]]) -> asyncio.Task[_Entry]:
        task = self._flights.get(name)
        if task is None:
            task = self._flights[name] = asyncio.create_task(self._load(name, load), name=f"load {name[:12]}")
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._landed(name, done))
        return task

    def _landed(self, name: str, task: asyncio.Task[_Entry]) -> None:
        self._tasks.discard(task)
        if self._flights.get(name) is task:
            del self._flights[name]
        if not task.cancelled():
            task.exception()  # those who waited may all be gone

    async def _load(self, name: str, load: Callable[[], Awaitable[Loaded[Any] | None]]) -> _Entry:
        epoch, changes, at = self._epoch, self._changes, self._clock()
        try:
            found = await load()
        except UnavailableError:
            self._is_away, self._retry_at = True, self._clock() + RETRY_SECONDS
            raise
        self._is_away = False
        entry = _Entry(found, at, epoch)
        if changes == self._changes:
            self._store(name, entry)
        return entry

    def _store(self, name: str, entry: _Entry) -> None:
        here, other, most = self._present, self._absent, MAX_ENTRIES
        if entry.found is None:
            here, other, most = self._absent, self._present, MAX_ABSENT
        other.pop(name, None)
        here[name] = entry
        here.move_to_end(name)
        if len(here) > most:
            here.popitem(last=False)


def _belongs(key: str, entry: _Entry, name: str) -> bool:
    return key == name or (entry.found is not None and entry.found.owner == name)
