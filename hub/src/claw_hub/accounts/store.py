"""What all parts of the accounts share: reading, changing with everybody told, and pages of lists."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from claw_hub.accounts.database import translated
from claw_hub.accounts.listener import CHANNEL
from claw_hub.accounts.memory import Memory
from claw_hub.accounts.model import Page
from claw_hub.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["Change", "Store", "checked"]

_log: Final = logging.getLogger("claw_hub.accounts")

PAGE: Final = 100

_ItemT = TypeVar("_ItemT")


class Change:
    """A transaction that tells every process what it changed.

    Args:
        session: The transaction.
    """

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.told: list[str] = []

    def tell(self, name: str) -> None:
        """Makes every process forget what has this name, once the change is committed."""
        self.told.append(name)

    async def finish(self) -> None:
        """Writes what is left to write; `NOTIFY` is delivered with the commit, or not at all."""
        await self.session.flush()
        for name in self.told:
            await self.session.execute(select(func.pg_notify(CHANNEL, name)))


class Store:
    """Postgres, and a memory of it.

    Args:
        engine: Of the database.
        clock: Seconds since 1970.
    """

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._memory = Memory(clock=clock)

    def now(self) -> datetime:
        """Tells the time, by the clock that was given."""
        return datetime.fromtimestamp(self._clock(), UTC)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        with translated():
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def _changing(self, *, conflict: str = "there is such a thing already") -> AsyncIterator[Change]:
        with translated(conflict=conflict):
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                change = Change(session)
                try:
                    async with session.begin():
                        yield change
                        await change.finish()
                finally:
                    # Also where nobody can tell whether the commit arrived.
                    for name in change.told:
                        self._memory.forget(name)

    async def _page(self, statement: Select[Any], of: Callable[[Any], _ItemT], *, limit: int) -> Page[_ItemT]:
        """Runs a query that is ordered by `id`; returns up to `limit` of its rows."""
        async with self._reading() as session:
            rows: Sequence[Any] = (await session.scalars(statement.limit(limit + 1))).all()
        more = len(rows) > limit
        return Page(items=[of(row) for row in rows[:limit]], next_id=rows[limit - 1].id if more else None)


def checked(changes: Mapping[str, Any], checks: Mapping[str, Callable[[str, Any], Any]]) -> dict[str, Any]:
    """Returns what is to be changed.

    Raises:
        BadRequestError: There is no such field, or a value is wrong.
    """
    unknown = sorted(set(changes) - set(checks))
    if unknown:
        raise BadRequestError(f"{unknown[0]!r} cannot be changed; these can: {', '.join(checks)}")
    return {name: checks[name](name, value) for name, value in changes.items()}
