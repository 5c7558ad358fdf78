"""Arguments of tool calls: what looks the same, and what does not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from claw_exporter.arguments import fingerprint


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Place:
    city: str
    tags: list[str] = field(default_factory=list)


class Query(BaseModel):
    text: str
    limit: int = 5


class Session:
    """An object that does not show what it holds."""

    def __init__(self) -> None:
        self.queries = 0


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


SAME = [
    ("text", "te" + "xt"),
    ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}),
    ({3, 1, 2}, {2, 3, 1}),
    (Place("Ulm", ["a"]), Place("Ulm", ["a"])),
    (Query(text="a"), Query(text="a", limit=5)),
    (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
    (Session(), Session()),
    (lambda: 1, lambda: 1),
    (float("nan"), float("nan")),
    (None, None),
    (10**5000, 10**5000),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_values_that_look_the_same_have_the_same_number(one: object, other: object) -> None:
    assert fingerprint("tool", one) == fingerprint("tool", other)


DIFFERENT = [
    ("text", "texT"),
    ("1", 1),
    (-1, -2),  # their hashes are the same
    (10**5000, 10**5000 + 1),
    (["a", "b"], ["ab"]),
    (["a", ["b"]], ["a", "b"]),
    ([1, 2], [2, 1]),
    ([], ()),
    ({"a": 1}, {"a": 2}),
    ({"a": {"b": 1}}, {"a": {"b": 2}}),
    ({1, 2}, {1, 3}),
    (Place("Ulm"), Place("Bonn")),
    (Query(text="a"), Query(text="b")),
    (Colour.RED, Colour.BLUE),
    (Decimal("1.0"), Decimal("1.1")),
    (b"a", "a"),
    ("x" * 100_000, "x" * 100_001),
    ("x" * 100_000, "x" * 99_999 + "y"),
    (None, False),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_values_that_look_different_have_different_numbers(one: object, other: object) -> None:
    assert fingerprint("tool", one) != fingerprint("tool", other)


def test_an_object_that_holds_itself_has_an_end() -> None:
    circle: list[Any] = []
    circle.append(circle)
    table: dict[str, Any] = {}
    table["table"] = table
    assert fingerprint(circle) == fingerprint(circle)
    assert fingerprint(table) == fingerprint(table)


@pytest.mark.parametrize(
    "huge",
    [
        "x" * 5_000_000,
        b"x" * 5_000_000,
        list(range(1_000_000)),
        dict.fromkeys(range(1_000_000), "x"),
        set(range(1_000_000)),
        [[[["x"] * 100] * 100] * 100] * 100,
        [{n: {m: {"a": "b"} for m in range(100)} for n in range(100)}] * 100,
        nested(900),
        frozenset(frozenset(frozenset((n, m, k) for k in range(60)) for m in range(60)) for n in range(60)),
        Place("x" * 5_000_000, ["y"] * 1_000_000),
        1 << 1_000_000,
    ],
    ids=["text", "bytes", "list", "dict", "set", "lists", "dicts", "deep", "sets", "dataclass", "number"],
)
def test_huge_arguments_are_looked_at_in_part(huge: object) -> None:
    started = time.process_time()
    fingerprint(huge)
    assert time.process_time() - started < 0.1


def test_what_a_repr_raises_reaches_the_caller() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fingerprint(Broken())
