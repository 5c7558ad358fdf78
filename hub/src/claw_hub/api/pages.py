"""Lists by page: newest first, each page begins below the last entry of the one before."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from claw_hub.api.parameters import DAY_US, Cursor, PageQuery, Span, digest
from claw_hub.errors import CursorError

__all__ = ["Listing", "Row", "Warehouse", "listed"]

Row = Mapping[str, Any]
# How far back the first look goes, and how much farther each look after it.
FIRST_LOOK_US: Final = DAY_US
WIDER: Final = 8
HEX_ID_LENGTH: Final = 32


class Warehouse(Protocol):
    """What `claw_hub.warehouse.Warehouse` does for queries."""

    def query(self, name: str, *, tenant_id: int, **parameters: Any) -> Awaitable[list[dict[str, Any]]]:  # noqa: ANN401 - as the statement binds them
        """Returns the rows of ``clickhouse/queries/<name>.sql``.

        Raises:
            QueryTimeoutError: It would take too long.
            UnavailableError: The warehouse is away.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list that can be asked for.

    Attributes:
        statement: Its name; the rows have ``ts_us`` and ``id``.
        hex_ids: Whether ids are hexadecimal digits already.
        narrow: Whether the statement costs what its range is wide: then the nearest past is looked at first.
    """

    statement: str
    hex_ids: bool = True
    narrow: bool = True


async def listed(
    warehouse: Warehouse,
    listing: Listing,
    query: PageQuery,
    *,
    tenant_id: int,
    within: Span,
    **filters: str,
) -> tuple[Sequence[Row], str | None]:
    """Returns the rows of a page, and the cursor of the next one.

    Raises:
        CursorError: The query's cursor does not fit.
    """
    of = digest(listing.statement, tenant_id, query)
    cursor = _position(query, of, within, listing)

    async def look(since_us: int) -> list[dict[str, Any]]:
        return await warehouse.query(
            listing.statement,
            tenant_id=tenant_id,
            since_us=since_us,
            before_us=cursor.ts_us,
            before_id=cursor.id,
            rows=query.limit + 1,
            **filters,
        )

    rows = await (_nearest(look, within, cursor, query.limit) if listing.narrow else look(within.start_us))
    if len(rows) <= query.limit:
        return rows, None
    rows = rows[: query.limit]
    last = rows[-1]["id"]
    position = Cursor(rows[-1]["ts_us"], last if listing.hex_ids else last.encode().hex())
    return rows, position.encode(of)


def _position(query: PageQuery, of: str, within: Span, listing: Listing) -> Cursor:
    """Returns where the page begins; a cursor that somebody made up leads nowhere else."""
    end = Cursor(within.end_us)
    if not query.cursor:
        return end
    cursor = Cursor.decode(query.cursor, of)
    if listing.hex_ids and len(cursor.id) != HEX_ID_LENGTH:
        raise CursorError("cursor is not one: send `next` of the page before as it is")
    return cursor if cursor.ts_us < end.ts_us else end


async def _nearest(
    look: Callable[[int], Awaitable[list[dict[str, Any]]]], within: Span, cursor: Cursor, limit: int
) -> list[dict[str, Any]]:
    """Looks farther and farther back, until there is a page and the beginning of the next."""
    width_us, newest_us = FIRST_LOOK_US, min(cursor.ts_us, within.now_us)
    while True:
        since_us = max(newest_us - width_us, within.start_us)
        rows = await look(since_us)
        if len(rows) > limit or since_us == within.start_us:
            return rows
        width_us *= WIDER
