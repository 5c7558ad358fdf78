"""Times of records: some say their zone, some do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["instant_us"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def instant_us(when: datetime, zone: tzinfo) -> int:
    """Returns microseconds since 1970 (UTC) of a record's time.

    Args:
        when: As `parse` gives it; naive where the client did not say a zone.
        zone: Where a naive time was read off the clock: `Tenant.naive_timezone`.
    """
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone)
    return (when - _EPOCH) // _MICROSECOND
