"""What the worker has to know of tenants: prices and zones, read anew now and then."""

from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from claw_hub.errors import HubError, NotFoundError
from claw_hub.worker.pricing import PriceBook
from claw_hub.worker.rows import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

    from claw_hub.worker.pricing import Price

__all__ = ["Accounts", "Knowledge"]

_log: Final = logging.getLogger("claw_hub.worker.knowledge")

FRESH_SECONDS: Final = 60.0


class Zoned(Protocol):
    """The part of a tenant that is needed here."""

    @property
    def naive_timezone(self) -> str:
        """IANA's name of the zone of times that say none."""
        ...


class Accounts(Protocol):
    """The part of `claw_hub.accounts.Accounts` that is needed here."""

    async def tenant(self, tenant_id: int) -> Zoned:
        """Returns a tenant; raises `NotFoundError`, or `UnavailableError`."""
        ...

    async def prices(self) -> Sequence[Price]:
        """Returns all prices; raises `UnavailableError`."""
        ...


class Knowledge:
    """Prices and zones, as they were at most a minute ago; or, while the accounts are away, when last seen.

    Args:
        accounts: Who knows.
        clock: Seconds since 1970.
        fresh_seconds: How long an answer holds.
    """

    def __init__(
        self, accounts: Accounts, *, clock: Callable[[], float], fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._book: PriceBook | None = None
        self._book_at = 0.0
        self._zones: dict[int, tuple[tzinfo, float]] = {}

    async def context(self, tenant_ids: Iterable[int]) -> Context:
        """Returns what rows of these tenants depend on.

        Raises:
            HubError: The accounts do not answer, and never have: nothing may be priced wrongly.
        """
        zones = {tenant_id: await self._zone(tenant_id) for tenant_id in sorted(set(tenant_ids))}
        return Context(book=await self._prices(), zone=zones.__getitem__)

    async def _prices(self) -> PriceBook:
        now = self._clock()
        if self._book is None or not self._is_fresh(self._book_at):
            try:
                self._book, self._book_at = PriceBook(await self._accounts.prices()), now
            except HubError as error:
                if self._book is None:
                    raise
                self._book_at = now
                _log.warning("prices cannot be read", extra={"fields": {"error": str(error)}})
        return self._book

    async def _zone(self, tenant_id: int) -> tzinfo:
        known = self._zones.get(tenant_id)
        if known is not None and self._is_fresh(known[1]):
            return known[0]
        try:
            zone = _zone_of((await self._accounts.tenant(tenant_id)).naive_timezone)
        except NotFoundError:
            zone = UTC
        except HubError:
            if known is None:
                raise
            zone = known[0]
        self._zones[tenant_id] = (zone, self._clock())
        return zone

    def _is_fresh(self, since: float) -> bool:
        return 0 <= self._clock() - since < self._fresh_seconds


def _zone_of(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        _log.warning("a tenant's zone is none", extra={"fields": {"zone": name}})
        return UTC
