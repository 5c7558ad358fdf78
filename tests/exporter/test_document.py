"""Reading YAML by tables: what each reader takes, and what it says about the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from claw_exporter.document import (
    Choice,
    Document,
    ListOf,
    Mistake,
    Number,
    Reader,
    Table,
    Text,
    Value,
    boolean,
    key,
    shortened,
    suggestion,
)


@dataclass(frozen=True, kw_only=True)
class Point:
    x: int = key(Number(0, 9, whole=True))
    y: int = key(Number(0, 9, whole=True), 5)


def read(text: str, reader: Reader, **environment: str) -> Any:  # noqa: ANN401 - what the reader gives
    document = Document(environment)
    value = document.read(text, reader)
    assert document.mistakes == []
    return value


def mistakes(text: str, reader: Reader, **environment: str) -> list[str]:
    document = Document(environment)
    document.read(text, reader)
    return [mistake.describe("f.yml") for mistake in document.mistakes]


def one(**readers: Reader) -> Table:
    """A table of one key, for readers of scalars."""
    (name, reader), *_ = readers.items()
    return Table(dataclass(frozen=True, kw_only=True)(type("One", (), _class_of(name, reader))))


def _class_of(name: str, reader: Reader) -> dict[str, object]:
    return {"__annotations__": {name: object}, name: key(reader, None)}


def test_a_table_builds_its_dataclass_with_defaults() -> None:
    assert read("x: 3", Table(Point)) == Point(x=3, y=5)


def test_a_null_takes_the_default() -> None:
    assert read("{x: 3, y: ~}", Table(Point)) == Point(x=3, y=5)


def test_a_null_where_a_key_is_needed_is_a_mistake() -> None:
    assert mistakes("x: ~", Table(Point)) == ["f.yml:1: x '~' is not a whole number; example 0"]


def test_an_empty_document_is_an_empty_mapping() -> None:
    assert mistakes("", Table(Point)) == ["f.yml: lacks 'x'; add it"]


def test_an_unknown_key_is_answered_with_the_nearest_known_one() -> None:
    assert mistakes("xx: 1\nx: 1", Table(Point)) == ["f.yml:1: 'xx' is no setting; did you mean 'x'?"]


def test_an_unknown_key_unlike_any_is_answered_with_all_of_them() -> None:
    assert mistakes("{colour: 1, x: 1}", Table(Point)) == ["f.yml:1: 'colour' is no setting; known: x, y"]


def test_a_key_that_stands_twice_is_a_mistake() -> None:
    assert mistakes("x: 1\nx: 2", Table(Point)) == [
        "f.yml:2: 'x' stands twice, first in line 1; keep one",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1]", "f.yml:1: is a list (lines that begin with -); a mapping (key: value) belongs here"),
        ("5", "f.yml:1: is one value; a mapping (key: value) belongs here"),
        ("x: {a: 1}", "f.yml:1: x is a mapping (key: value); one value belongs here"),
        ("x: [a: 1]", "f.yml:1: x is a list (lines that begin with -); one value belongs here"),
    ],
)
def test_the_wrong_kind_of_node_is_named(text: str, expected: str) -> None:
    assert mistakes(text, Table(Point)) == [expected]


def test_rules_over_several_keys_are_asked_when_all_keys_are_right() -> None:
    table = Table(Point, (lambda point: "has y below x" if point.y < point.x else None,))
    assert mistakes("{x: 2, y: 1}", table) == ["f.yml:1: has y below x"]
    assert read("{x: 1, y: 2}", table) == Point(x=1, y=2)


def test_every_mistake_of_a_document_is_found_in_one_reading() -> None:
    assert len(mistakes("- {x: a}\n- {y: 99}\n- {x: 1, z: 1}", ListOf(Table(Point)))) == 4


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [", 1), ("a: 'b\n", 2), ("a: 1\n\tb: 2", 2), ("a: b: c", 1), ("--- 1\n--- 2", 2)],
)
def test_what_is_not_yaml_is_one_mistake_with_its_line(text: str, line: int) -> None:
    (found,) = mistakes(text, Table(Point))
    assert found.startswith(f"f.yml:{line}: is not YAML: ")


def test_a_control_character_is_a_mistake_without_a_line() -> None:
    (found,) = mistakes("a: \x07", Table(Point))
    assert found.startswith("f.yml: is not YAML: ")


def test_variables_are_filled_in() -> None:
    assert read("t: a${B}c${D:-e}f", one(t=Text()), B="1").t == "a1cef"


def test_a_variable_with_a_default_counts_as_missing_when_it_is_empty() -> None:
    assert read("t: ${B:-c}", one(t=Text()), B="").t == "c"


def test_a_doubled_dollar_keeps_the_braces() -> None:
    assert read("t: $${B}", one(t=Text())).t == "${B}"


def test_each_missing_variable_is_a_mistake() -> None:
    assert mistakes("t: ${B} ${C}", one(t=Text())) == [
        "f.yml:1: t '${B} ${C}' needs the environment variable B; set it, or write ${B:-a default}",
        "f.yml:1: t '${B} ${C}' needs the environment variable C; set it, or write ${C:-a default}",
    ]


def test_a_variable_that_is_empty_makes_an_optional_value_absent() -> None:
    assert read("t: ${B:-}", one(t=Text())).t is None


def test_a_quoted_empty_text_is_not_absent() -> None:
    assert mistakes("t: ''", one(t=Text())) == ["f.yml:1: t '' does not fit; some text belongs here"]


def test_text_is_taken_as_written_and_not_as_yaml_guesses() -> None:
    assert read("t: yes", one(t=Text())).t == "yes"


def test_a_secret_is_not_quoted_in_a_message() -> None:
    (found,) = mistakes("t: hunter2", one(t=Text(pattern="a", expected="an a", secret=True)))
    assert "hunter2" not in found


def test_rules_of_a_text_name_what_is_wrong() -> None:
    reader = one(t=Text(rules=(lambda text: "is too rude" if text == "no" else None,)))
    assert mistakes("t: no", reader) == ["f.yml:1: t 'no' is too rude"]
    assert read("t: please", reader).t == "please"


def test_a_name_declared_twice_is_a_mistake() -> None:
    assert mistakes("[a, b,\na]", ListOf(Text(declares="pet"))) == [
        "f.yml:2: [2] 'a' is the same pet as in line 1; give each its own"
    ]


def test_a_name_may_be_referred_to_before_it_is_declared() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Zoo:
        favourite: str = key(Text(refers="pet"))
        pets: tuple[str, ...] = key(ListOf(Text(declares="pet")))

    assert read("{favourite: cat, pets: [cat]}", Table(Zoo)).favourite == "cat"
    assert mistakes("{favourite: cow, pets: [cat]}", Table(Zoo)) == [
        "f.yml:1: favourite 'cow' names no pet; known: cat"
    ]


@pytest.mark.parametrize("text", ["true", "Yes", "on"])
def test_spellings_of_true(text: str) -> None:
    assert read(f"t: {text}", one(t=boolean)).t is True


@pytest.mark.parametrize("text", ["false", "no", "OFF", "'false'"])
def test_spellings_of_false(text: str) -> None:
    assert read(f"t: {text}", one(t=boolean)).t is False


def test_anything_else_is_neither() -> None:
    assert mistakes("t: maybe", one(t=boolean)) == ["f.yml:1: t 'maybe' is neither true nor false"]
    assert mistakes("t: [1]", one(t=boolean)) == [
        "f.yml:1: t is a list (lines that begin with -); one value belongs here"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", "'1.5' is not a whole number of rows; example 1"),
        ("0", "'0' is out of range; a whole number of rows from 1 to 10 belongs here"),
        ("11", "'11' is out of range; a whole number of rows from 1 to 10 belongs here"),
    ],
)
def test_whole_numbers_are_whole_and_in_range(text: str, expected: str) -> None:
    reader = one(t=Number(1, 10, whole=True, unit="rows"))
    assert mistakes(f"t: {text}", reader) == [f"f.yml:1: t {expected}"]


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e9"])
def test_numbers_are_finite_and_in_range(text: str) -> None:
    (found,) = mistakes(f"t: {text}", one(t=Number(0.5, 10)))
    assert "is out of range; a number from 0.5 to 10 belongs here" in found


def test_a_number_may_come_from_the_environment() -> None:
    assert read("t: ${N}", one(t=Number(0.5, 10)), N="2.5").t == 2.5


def test_a_choice_names_its_options() -> None:
    assert read("t: a", one(t=Choice(("a", "b")))).t == "a"
    assert mistakes("t: c", one(t=Choice(("a", "")))) == ["f.yml:1: t 'c' is none of: a, (nothing)"]


def test_lists_know_their_least_length() -> None:
    assert mistakes("t: []", one(t=ListOf(Text(), at_least=1))) == [
        "f.yml:1: t is too short; at least 1 belong here"
    ]


def test_what_is_no_list_is_named() -> None:
    assert mistakes("t: {a: 1}", one(t=ListOf(Text()))) == [
        "f.yml:1: t is a mapping (key: value); a list (lines that begin with -) belongs here"
    ]


def test_a_list_that_contains_itself_ends() -> None:
    assert mistakes("&a [*a]", ListOf(Text())) == [
        "f.yml:1: [0] is a list (lines that begin with -); one value belongs here"
    ]


def test_long_values_are_shortened_in_messages() -> None:
    assert shortened("x" * 61) == "x" * 57 + "..."
    assert shortened("x" * 60) == "x" * 60


def test_a_suggestion_says_when_nothing_is_known() -> None:
    assert suggestion("a", []) == "; known: none"


def test_mistakes_sort_by_line() -> None:
    assert sorted([Mistake(2, "", "b"), Mistake(1, "z", "a")]) == [Mistake(1, "z", "a"), Mistake(2, "", "b")]


def test_a_value_without_a_place_has_line_zero() -> None:
    import yaml  # noqa: PLC0415 - only here

    assert Value(Document({}), yaml.ScalarNode("", "x"), "").line == 0
