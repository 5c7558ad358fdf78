"""From the bytes of a request to its records, in one pass of pydantic's core."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from pydantic import Field, TypeAdapter, ValidationError, create_model

from claw_hub.errors import BodyError, DepthError, HubError, RecordError, TooLargeError
from claw_hub.records.fields import shown
from claw_hub.records.models import MODELS, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from claw_hub.records.kinds import Kind

__all__ = ["MAX_DEPTH", "MAX_RECORDS", "parse"]

MAX_DEPTH: Final = 32
MAX_RECORDS: Final = 10_000

_WRAPPED: Final = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"records"[ \t\r\n]*:')
_SPACES: Final = b" \t\r\n"
_STRINGS: Final = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"[]{}'))
_EXPECTED: Final = 'one JSON object, an array of them, or {"records": [...]}'
_ONE_BRACKET: Final = bytes.maketrans(b"{}", b"[]")
_TOO_DEEP: Final = "recursion limit exceeded"


def parse(
    kind: Kind, body: bytes, *, max_records: int = MAX_RECORDS, max_depth: int = MAX_DEPTH
) -> Sequence[Record]:
    """Returns the records of a request: one JSON object, an array of them, or ``{"records": [...]}``.

    Args:
        kind: Of all of them.
        body: UTF-8.
        max_records: More are refused.
        max_depth: Of arrays and objects within each other, the outermost included.

    Raises:
        BodyError: It is not JSON (NaN and Infinity are not), or neither an object nor an array.
        DepthError: It nests deeper.
        RecordError: A record is none; the first one is named, by its place in the request from 0.
        TooLargeError: There are more records.
    """
    _refuse_what_is_no_number(body)
    try:
        records = _records(kind, body, max_records)
    except ValidationError as error:
        raise _refusal(error, body, max_records=max_records, max_depth=max_depth) from None
    _refuse_depth(body, max_depth)
    return records


def _records(kind: Kind, body: bytes, max_records: int) -> Sequence[Record]:
    if body.lstrip(_SPACES)[:1] == b"[":
        return _array(kind, max_records).validate_json(body)
    if _WRAPPED.match(body):
        return _wrapped(kind, max_records, body)
    try:
        return (_single(kind).validate_json(body),)
    except ValidationError:
        if b'"records"' not in body:
            raise
        return _wrapped(kind, max_records, body)


def _wrapped(kind: Kind, max_records: int, body: bytes) -> Sequence[Record]:
    records: Sequence[Record] = _wrapper(kind, max_records).validate_json(body).records  # type: ignore[attr-defined]
    return records


@cache
def _single(kind: Kind) -> TypeAdapter[Record]:
    return TypeAdapter(MODELS[kind])


@cache
def _array(kind: Kind, max_records: int) -> TypeAdapter[list[Record]]:
    return TypeAdapter(_list(kind, max_records))


@cache
def _wrapper(kind: Kind, max_records: int) -> TypeAdapter[BaseModel]:
    return TypeAdapter(create_model("Batch", records=(_list(kind, max_records), ...)))


def _list(kind: Kind, max_records: int) -> Any:  # noqa: ANN401 - a type that is only known now
    model: Any = MODELS[kind]
    return Annotated[list[model], Field(max_length=max_records, fail_fast=True)]


def _refuse_what_is_no_number(body: bytes) -> None:
    """Refuses NaN and Infinity, which pydantic reads; where the words are, they may be text."""
    if b"NaN" in body or b"Infinity" in body:
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BodyError(f"the body is not JSON: {error}; NaN and Infinity are no numbers in it") from None


def _refuse_depth(body: bytes, max_depth: int) -> None:
    """Takes JSON apart from the inside: each turn takes away what holds no other array or object."""
    if body.count(b"{") + body.count(b"[") <= max_depth:
        return
    left = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(_ONE_BRACKET, _NOT_STRUCTURE)
    left = _STRINGS.sub(b"", left.replace(b'""', b""))
    for _ in range(max_depth):
        if not left:
            return
        left = left.replace(b"[]", b"")
    if left:
        raise DepthError(f"the body nests deeper than {max_depth} arrays and objects; send it flatter")


def _refusal(error: ValidationError, body: bytes, *, max_records: int, max_depth: int) -> HubError:
    errors = error.errors(include_url=False, include_context=False)
    match errors[0]["type"]:
        case "json_invalid" if _TOO_DEEP in errors[0]["msg"]:
            return DepthError(f"the body nests deeper than {max_depth} arrays and objects; send it flatter")
        case "json_invalid":
            return BodyError(f"the body is not JSON: {errors[0]['msg'].removeprefix('Invalid JSON: ')}")
        case "too_long":
            return TooLargeError(f"the request holds more than {max_records} records; send fewer at once")
    _refuse_depth(body, max_depth)
    return _record_error(errors)


def _record_error(errors: Sequence[ErrorDetails]) -> HubError:
    place = _place(errors[0])
    # The last word about the first wrong field: a type's own, where the core's is too general.
    last = [error for error in errors if _place(error) == place][-1]
    ordinal, field = place
    if not field:
        if ordinal is None:
            return BodyError(f"the body is {shown(last['input'])}: {_EXPECTED}")
        return RecordError(f"record {ordinal} is {shown(last['input'])}: a JSON object")
    where = f"record {ordinal or 0}: {field}"
    match last["type"]:
        case "missing":
            return RecordError(f"{where} is missing")
        case "field":
            return RecordError(f"{where} {last['msg']}")
    return RecordError(f"{where} is {shown(last['input'])}: {last['msg']}")


def _place(error: ErrorDetails) -> tuple[int | None, str]:
    location = list(error["loc"])
    if location[:1] == ["records"]:
        del location[0]
    match location:
        case [int(ordinal)]:
            return ordinal, ""
        case [int(ordinal), field, *_]:
            return ordinal, str(field)
        case [field, *_]:
            return None, str(field)
    return None, ""
