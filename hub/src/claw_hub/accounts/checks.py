"""What may be written into the accounts: a check returns the value, or tells what it has to be."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from claw_hub.accounts.model import Role
from claw_hub.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["choice", "decimal", "email", "flag", "number", "refused", "role", "slug", "text", "time", "zone"]

_SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_EMAIL: Final = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}")
MOST_USD: Final = Decimal(10**9)
FINEST_USD: Final = Decimal("1e-9")


def refused(name: str, value: object, expected: str) -> BadRequestError:
    """Returns the error to raise; a long value is quoted in part."""
    shown = repr(value)
    return BadRequestError(f"{name} is {shown if len(shown) <= 80 else shown[:80] + '...'}: {expected}")  # noqa: PLR2004 - a line


def slug(name: str, value: Any) -> str:  # noqa: ANN401 - a check takes anything
    """Checks a tenant's name in commands."""
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise refused(name, value, "it has to be 1 to 63 of a-z, 0-9 and -, with no - at either end")
    return value


def email(name: str, value: Any) -> str:  # noqa: ANN401 - a check takes anything
    """Checks an address; returns it in lower case, as it is stored."""
    if not isinstance(value, str) or not _EMAIL.fullmatch(value):
        raise refused(name, value, "it has to be an address such as ada@example.com")
    return text(name, value.lower())


def text(name: str, value: Any, *, longest: int = 200) -> str:  # noqa: ANN401 - a check takes anything
    """Checks text of one line."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise refused(name, value, f"it has to be 1 to {longest} printable characters")
    return value


def flag(name: str, value: Any) -> bool:  # noqa: ANN401 - a check takes anything
    """Checks yes or no."""
    if not isinstance(value, bool):
        raise refused(name, value, "it has to be true or false")
    return value


def role(name: str, value: Any) -> str:  # noqa: ANN401 - a check takes anything
    """Checks a role."""
    return choice(*Role)(name, value)


def choice(*values: str) -> Callable[[str, Any], str]:
    """Returns the check of one of these."""

    def check(name: str, value: Any) -> str:  # noqa: ANN401 - a check takes anything
        if value not in values:
            raise refused(name, value, f"it has to be one of {', '.join(values)}")
        return str(value)

    return check


def number(
    least: float, most: float, *, whole: bool = True, optional: bool = True
) -> Callable[[str, Any], float | None]:
    """Returns the check of a number within bounds, both included."""

    def check(name: str, value: Any) -> float | None:  # noqa: ANN401 - a check takes anything
        if value is None and optional:
            return None
        wanted = int if whole else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool) or not least <= value <= most:
            kind = "a whole number" if whole else "a number"
            raise refused(name, value, f"it has to be {kind} from {least} to {most}")
        return value

    return check


def zone(name: str, value: Any) -> str:  # noqa: ANN401 - a check takes anything
    """Checks a time zone."""
    try:
        ZoneInfo(text(name, value, longest=64))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refused(name, value, "it has to be a time zone such as UTC or Asia/Shanghai") from None
    return str(value)


def time(name: str, value: datetime) -> datetime:
    """Checks a moment; one without a zone is UTC."""
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise refused(name, value.isoformat(), "it has to be a moment of years 1 to 9999 in UTC") from None


def decimal(name: str, value: Decimal) -> Decimal:
    """Checks a price in US dollars."""
    if not value.is_finite() or not 0 <= value <= MOST_USD or value != value.quantize(FINEST_USD):
        raise refused(name, str(value), f"it has to be from 0 to {MOST_USD} US dollars, to the nano-dollar")
    return value
