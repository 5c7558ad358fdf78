"""Go's reference-time layouts, as far as our pipelines use them; any other is an error.

By the documentation of Go's package `time`, whose rules differ from `strptime` in what matters here: a
fraction of a second may follow the seconds though the layout has none, after a point or a comma.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NAMED = {"RFC3339": "2006-01-02T15:04:05Z07:00", "RFC3339Nano": "2006-01-02T15:04:05Z07:00"}
# What stands in a layout for what; the longest first, as Go looks for them.
ELEMENTS = {
    "Z07:00": r"(?P<zone>Z|[+-]\d\d:\d\d)",
    "-07:00": r"(?P<zone>[+-]\d\d:\d\d)",
    "Z0700": r"(?P<zone>Z|[+-]\d{4})",
    "-0700": r"(?P<zone>[+-]\d{4})",
    "2006": r"(?P<year>\d{4})",
    "Jan": rf"(?P<name>{'|'.join(MONTHS)})",
    "01": r"(?P<month>\d\d)",
    "02": r"(?P<day>\d\d)",
    "15": r"(?P<hour>\d\d)",
    "04": r"(?P<minute>\d\d)",
    "05": r"(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?",
}
ELEMENT = re.compile("|".join(map(re.escape, ELEMENTS)))
LITERALS = set(" -/:T")


def parse(layout: str, text: str, *, local: tzinfo = UTC) -> datetime:
    """Return the moment, in UTC.

    Raises:
        ValueError: The text does not follow the layout.
        NotImplementedError: The layout has something that is not written here.
    """
    if layout in ("Unix", "UnixMs"):
        return _since_epoch(text, per_second=1 if layout == "Unix" else 1000)
    found = _expression(NAMED.get(layout, layout)).fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} does not follow {layout!r}")
    parts = found.groupdict()
    month = int(parts["month"]) if parts.get("month") else MONTHS.index(parts["name"]) + 1
    day, hour, minute, second = (int(parts[name]) for name in ("day", "hour", "minute", "second"))
    microseconds = int((parts["fraction"] or "")[:6].ljust(6, "0"))
    zone = _zone(parts["zone"]) if parts.get("zone") else local
    return datetime(int(parts["year"]), month, day, hour, minute, second, microseconds, zone).astimezone(UTC)


def _expression(layout: str) -> re.Pattern[str]:
    pattern, at = "", 0
    for element in ELEMENT.finditer(layout):
        pattern += _literal(layout[at : element.start()]) + ELEMENTS[element[0]]
        at = element.end()
    return re.compile(pattern + _literal(layout[at:]))


def _literal(text: str) -> str:
    if set(text) - LITERALS:
        raise NotImplementedError(f"{text!r} in a layout")
    return re.escape(text)


def _zone(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _since_epoch(text: str, *, per_second: int) -> datetime:
    if not re.fullmatch(r"\d+(\.\d+)?" if per_second == 1 else r"\d+", text):
        raise ValueError(f"{text!r} is no number of seconds")
    return EPOCH + timedelta(microseconds=int(Decimal(text) * 1_000_000 / per_second))
