"""How values are read from a command line, and how lists look on a terminal."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from claw_hub.accounts.model import Page

__all__ = ["NONE", "amount", "cell", "everything", "moment", "number_or_none", "table"]

NONE: Final = "none"


def number_or_none(kind: Callable[[str], float]) -> Callable[[str], float | str]:
    """Returns a reader of numbers that knows `NONE`, which is not the same as nothing said."""

    def read(text: str) -> float | str:
        return text if text == NONE else kind(text)

    read.__name__ = "number, or none"
    return read


def amount(text: str) -> Decimal:
    """Reads an amount of US dollars."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of US dollars; example 2.5") from None


def moment(text: str) -> datetime:
    """Reads a date or a time; one without a zone is UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; examples 2026-01-01, 2026-01-01T08:00Z"
        ) from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


async def everything(fetch: Callable[..., Awaitable[Page[Any]]]) -> list[Any]:
    """Returns all parts of a list; `fetch` takes `after_id`."""
    items: list[Any] = []
    after_id: int | None = 0
    while after_id is not None:
        page = await fetch(after_id=after_id)
        items += page.items
        after_id = page.next_id
    return items


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns lines whose columns are as wide as their widest value."""
    cells = [list(head), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    """Returns a value as people read it; what is not there is a dash."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        case Decimal():
            return f"{value.normalize():f}"
        case _:
            return str(value)
