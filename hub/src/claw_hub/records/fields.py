"""Types of the fields of a record.

A type takes its ordinary values inside pydantic's core; only what is left (null, a number where text should
be, text that is too long, nonsense) reaches Python, to be put right or refused with what was expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = [
    "Count",
    "DurationUs",
    "Id",
    "JsonText",
    "LongText",
    "Name",
    "NanoUsd",
    "OptionalDurationUs",
    "OptionalTime",
    "RequiredId",
    "RequiredName",
    "Round",
    "Text",
    "TokenSum",
]

MAX_ID_CHARACTERS: Final = 256
MAX_NAME_CHARACTERS: Final = 256
MAX_TEXT_CHARACTERS: Final = 65_536
MAX_LONG_TEXT_CHARACTERS: Final = 262_144
# Two of them fit into the warehouse's UInt32, so a sum never overflows.
MAX_COUNT: Final = 2**31 - 1
MAX_UINT64: Final = 2**64 - 1
MAX_INT32: Final = 2**31 - 1
# What the warehouse's partitions should ever be for.
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2099
CUT: Final = "…[truncated]"

_NANO: Final = 1_000_000_000
_US_PER_MS: Final = 1_000
_MAX_SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class _Field:
    """How pydantic validates a field.

    Attributes:
        usual: What nearly every value fits; None where Python has to see all of them.
        otherwise: Takes any other value; returns what to store, or raises what `refuse` makes.
        json_schema: What the documentation of the API says.
    """

    usual: core_schema.CoreSchema | None
    otherwise: Callable[[Any], Any]
    json_schema: JsonSchemaValue

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        del source, handler
        otherwise = core_schema.no_info_plain_validator_function(self.otherwise)
        if self.usual is None:
            return otherwise
        return core_schema.union_schema([self.usual, otherwise], mode="left_to_right")

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        del schema, handler
        return dict(self.json_schema)


def refuse(value: object, expected: str) -> PydanticCustomError:
    """Returns the error that says what a value is, shortened, and what it should be."""
    return PydanticCustomError(
        "field", "is {value}: {expected}", {"value": shown(value), "expected": expected}
    )


def shown(value: object) -> str:
    """Returns a value as it may stand in a message: JSON, and never long."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # an integer past 64 bits
        text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[: _MAX_SHOWN_CHARACTERS - 1]}…"


def _text(*, max_characters: int, min_characters: int = 0, refused: bool = False) -> _Field:
    expected = f"text of {min_characters} to {max_characters} characters"

    def otherwise(value: object) -> str:
        match value:
            case None if not min_characters:
                return ""
            case str() if len(value) > max_characters and not refused:
                return value[: max_characters - len(CUT)] + CUT
            case int() if not isinstance(value, bool) and abs(value) <= MAX_UINT64:
                return str(value)
        raise refuse(value, expected)

    return _Field(
        core_schema.str_schema(strict=True, min_length=min_characters, max_length=max_characters),
        otherwise,
        _text_schema(max_characters=max_characters if refused else None, min_characters=min_characters),
    )


def _text_schema(*, max_characters: int | None, min_characters: int) -> JsonSchemaValue:
    text: JsonSchemaValue = {"type": "string", "minLength": min_characters}
    if max_characters is not None:  # else what is longer is cut
        text["maxLength"] = max_characters
    number = {"type": "integer", "minimum": -MAX_UINT64, "maximum": MAX_UINT64}
    return {"anyOf": [text, number] if min_characters else [text, number, {"type": "null"}]}


def _integer(*, at_least: int = 0, at_most: int) -> _Field:
    expected = f"an integer from {at_least} to {at_most}"

    def otherwise(value: object) -> int:
        match value:
            case None:
                return 0
            case float() if value.is_integer() and at_least <= value <= at_most:
                return int(value)
        raise refuse(value, expected)

    return _Field(
        core_schema.int_schema(strict=True, ge=at_least, le=at_most),
        otherwise,
        {"anyOf": [{"type": "integer", "minimum": at_least, "maximum": at_most}, {"type": "null"}]},
    )


def _scaled(*, factor: int, expected: str, if_null: int | None) -> _Field:
    """Numbers that are kept as integers of a smaller unit, rounded to the nearest."""

    def otherwise(value: object) -> int | None:
        if value is None:
            return if_null
        scaled = _times(value, factor)
        if scaled is None or not 0 <= scaled <= MAX_UINT64:
            raise refuse(value, expected)
        return scaled

    return _Field(
        None,
        otherwise,
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "null"}]},
    )


def _times(value: object, factor: int) -> int | None:
    """Returns a number, or text with one, times `factor`, rounded; None where it is no finite one."""
    match value:
        case bool():
            return None
        case int():
            return value * factor
        case float() if abs(value) <= MAX_UINT64:  # which NaN is not
            return round(value * factor)
        case str() if len(value) <= MAX_ID_CHARACTERS:
            return _decimal_times(value, factor)
    return None


def _decimal_times(text: str, factor: int) -> int | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # Its exponent may be anything; only what fits is worth working out.
    if not number.is_finite() or number.adjusted() > len(str(MAX_UINT64)):
        return None
    return round(number * factor)


def _time(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise refuse(value, f"a time between the years {FIRST_YEAR} and {LAST_YEAR}")
    return value


def _no_time(value: object) -> None:
    if value not in (None, ""):
        raise refuse(
            value,
            f"an ISO 8601 time (or seconds since 1970) of the years {FIRST_YEAR} to {LAST_YEAR}, or null",
        )


def _json_object(value: object) -> str:
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise refuse(value, "a JSON object")
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        raise refuse(value, "a JSON object whose integers fit into 64 bits") from None
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    return orjson.dumps({"truncated": text[: MAX_TEXT_CHARACTERS // 2] + CUT}).decode()


_TIME: Final = _Field(
    core_schema.no_info_after_validator_function(_time, core_schema.datetime_schema()),
    _no_time,
    {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}]},
)
_OBJECT: Final = _Field(
    None,
    _json_object,
    {"anyOf": [{"type": "object"}, {"type": "null"}]},
)
_USD: Final = f"a number, or text with one, from 0 to {MAX_UINT64 // _NANO}"
_MS: Final = f"a number from 0 to {MAX_UINT64 // _US_PER_MS}"

Id = Annotated[str, _text(max_characters=MAX_ID_CHARACTERS, refused=True)]
RequiredId = Annotated[str, _text(max_characters=MAX_ID_CHARACTERS, min_characters=1, refused=True)]
Name = Annotated[str, _text(max_characters=MAX_NAME_CHARACTERS)]
RequiredName = Annotated[str, _text(max_characters=MAX_NAME_CHARACTERS, min_characters=1)]
Text = Annotated[str, _text(max_characters=MAX_TEXT_CHARACTERS)]
LongText = Annotated[str, _text(max_characters=MAX_LONG_TEXT_CHARACTERS)]
Count = Annotated[int, _integer(at_most=MAX_COUNT)]
TokenSum = Annotated[int, _integer(at_most=MAX_UINT64)]
Round = Annotated[int, _integer(at_least=-MAX_INT32 - 1, at_most=MAX_INT32)]
NanoUsd = Annotated[int, _scaled(factor=_NANO, expected=_USD, if_null=0)]
DurationUs = Annotated[int, _scaled(factor=_US_PER_MS, expected=_MS, if_null=0)]
OptionalDurationUs = Annotated[int | None, _scaled(factor=_US_PER_MS, expected=_MS, if_null=None)]
OptionalTime = Annotated[datetime | None, _TIME]
JsonText = Annotated[str, _OBJECT]
