"""What may be asked: filters, time ranges, and cursors that belong to them."""

import base64
import binascii
import hashlib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from claw_hub.errors import CursorError, QueryError

__all__ = [
    "MAX_DAYS",
    "MAX_LIMIT",
    "ActiveQuery",
    "Cursor",
    "ExecutionsQuery",
    "PageQuery",
    "ProjectQuery",
    "Span",
    "SummaryQuery",
    "TimeQuery",
    "TimelineQuery",
    "TrendQuery",
    "UsageQuery",
    "digest",
    "span",
]

MAX_LIMIT: Final = 1000
MAX_DAYS: Final = 3660
MAX_CURSOR: Final = 4096
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
# What the warehouse can hold as the beginning of an hour (seconds in a UInt32), with a margin.
LATEST: Final = datetime(2105, 1, 1, tzinfo=UTC)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_US: Final = (LATEST - EARLIEST) // timedelta(microseconds=1)
HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
# Clients send local times without a zone, up to 14 hours ahead; who names no end wants to see those, too.
AHEAD_US: Final = 2 * DAY_US
# The hour that has just ended is still being added up: until then it is read from the calls themselves.
SETTLED_AFTER_US: Final = 300_000_000

# An empty filter is none. Control characters are in no name that anybody means.
Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Moment = Annotated[str | None, Field(max_length=64)]

_PROJECT: Final = Field(default="", description="Only this project.", examples=["proj-123"])
_AGENT: Final = Field(default="", description="Only this agent, by name or id.", examples=["Strategy Agent"])
_MODEL: Final = Field(default="", description="Only this model.", examples=["gpt-4"])


class TimeQuery(BaseModel):
    """A range of time: the last `days` before `end`, or from `start` to `end`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int | None = Field(
        default=None, ge=1, le=MAX_DAYS, description="The last so many days before `end`.", examples=[30]
    )
    start: Moment = Field(
        default=None,
        description="Beginning, ISO 8601; without a zone it is in the tenant's.",
        examples=["2026-11-01T00:00:00Z"],
    )
    end: Moment = Field(
        default=None, description="End, excluded; by default everything up to now.", examples=["2026-12-01"]
    )

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.days is not None and self.start is not None:
            raise ValueError("give days or start, not both")
        return self


class PageQuery(TimeQuery):
    """A page of a list."""

    project: Text = _PROJECT
    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="Entries of a page, at most.")
    cursor: str | None = Field(default=None, max_length=MAX_CURSOR, description="`next` of the page before.")


class UsageQuery(PageQuery):
    """Of calls."""

    agent: Text = _AGENT
    model: Text = _MODEL


class ActiveQuery(PageQuery):
    """Of executions that run."""

    agent: Text = _AGENT


class ExecutionsQuery(ActiveQuery):
    """Of executions."""

    status: Literal["", "running", "completed", "failed"] = Field(default="", description="Only these.")


class TimelineQuery(PageQuery):
    """Of events."""

    agent: Text = Field(default="", description="Only this agent, by id.", examples=["agent-456"])
    event_type: Text = Field(default="", description="Only events of this type.", examples=["llm_call"])


class ProjectQuery(TimeQuery):
    """Of one project's numbers."""


class SummaryQuery(TimeQuery):
    """Of sums."""

    project: Text = _PROJECT
    agent: Text = _AGENT
    model: Text = _MODEL
    limit: int | None = Field(
        default=None,
        ge=1,
        le=MAX_LIMIT,
        description="Entries of by_agent and by_model; by default 10 agents and all models.",
    )


class TrendQuery(TimeQuery):
    """Of sums by period."""

    project: Text = _PROJECT
    agent: Text = _AGENT
    model: Text = _MODEL
    interval: Literal["hour", "day", "week"] = Field(
        default="hour",
        description="A period, in UTC; weeks begin on Monday. By default of a day, 30 days, 12 weeks.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of time, and which of its hours the marts know.

    Attributes:
        start_us: Beginning, included, in microseconds since 1970.
        end_us: End, excluded.
        now_us: When it was asked.
    """

    start_us: int
    end_us: int
    now_us: int

    @property
    def settled(self) -> tuple[int, int]:
        """Beginning and end of the whole hours that are added up; both the same where there are none."""
        begin = -(-self.start_us // HOUR_US) * HOUR_US
        end = min(self.end_us, self.now_us - SETTLED_AFTER_US) // HOUR_US * HOUR_US
        return (begin, end) if begin < end else (begin, begin)


def span(query: TimeQuery, *, now: float, zone: str, default_days: int | None) -> Span:
    """Returns the range of time that a query asks for.

    Args:
        query: What was asked.
        now: Seconds since 1970.
        zone: IANA name of the zone of times that have none.
        default_days: Length where the query says nothing; None stands for everything there is.

    Raises:
        QueryError: A time cannot be read, or the range is empty or too long.
    """
    now_us = math.floor(now * 1e6)
    end_us = now_us + AHEAD_US if query.end is None else _moment_us("end", query.end, zone)
    days = default_days if query.days is None else query.days
    if query.start is not None:
        start_us = _moment_us("start", query.start, zone)
    elif days is None:
        return Span(start_us=0, end_us=end_us, now_us=now_us)
    else:
        start_us = max((now_us if query.end is None else end_us) - days * DAY_US, 0)
    if start_us >= end_us:
        raise QueryError(f"start is {query.start!r}: it has to be before end ({query.end or 'now'})")
    if end_us - start_us > MAX_DAYS * DAY_US + AHEAD_US:
        raise QueryError(f"start is {query.start!r}: more than {MAX_DAYS} days before end")
    return Span(start_us=start_us, end_us=end_us, now_us=now_us)


def _moment_us(name: str, value: str, zone: str) -> int:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(value.strip().replace(" ", "+") if "T" in value else value.strip())
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=_zone(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(f"{name} is {value!r}: not ISO 8601; example 2026-11-01T00:00:00Z") from None
    if not EARLIEST <= moment < LATEST:
        raise QueryError(f"{name} is {value!r}: not between {EARLIEST:%Y} and {LATEST:%Y}")
    return (moment - EARLIEST) // timedelta(microseconds=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list: what follows lies below it.

    It is not signed: whoever makes one up sees what is his own anyway. The digest keeps it from being taken
    along to another list, where it would silently leave things out.

    Attributes:
        ts_us: Time of the last entry before, in microseconds since 1970.
        id: Its id, as hexadecimal digits.
    """

    ts_us: int
    id: str = ""

    def encode(self, digest: str) -> str:
        """Returns what a client is given."""
        packed = orjson.dumps([self.ts_us, self.id, digest])
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, digest: str) -> Self:
        """Reads what a client sent.

        Raises:
            CursorError: It is none, or belongs to another list.
        """
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            ts_us, id_, of = orjson.loads(packed)
            valid = type(ts_us) is int and 0 <= ts_us < LATEST_US and HEX.fullmatch(id_) is not None
        except (ValueError, TypeError, binascii.Error):
            valid, of = False, ""
        if not valid:
            raise CursorError("cursor is not one: send `next` of the page before as it is")
        if of != digest:
            raise CursorError("cursor belongs to another list: send the same filters as for the page before")
        return cls(ts_us, id_)


def digest(name: str, tenant_id: int, query: PageQuery) -> str:
    """Returns what makes two queries the same list, as 16 hexadecimal digits."""
    filters = query.model_dump(exclude={"cursor", "limit"})
    packed = orjson.dumps([name, tenant_id, filters], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(packed, digest_size=8).hexdigest()
