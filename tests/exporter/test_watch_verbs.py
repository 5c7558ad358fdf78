"""The names of operations come from closed lists."""

from __future__ import annotations

import time
from typing import Any

import pytest

from claw_exporter.watch.verbs import BLOCKING_COMMANDS, REDIS_COMMANDS, SQL_VERBS, redis_command, sql_verb


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        ("SELECT 1", "select"),
        ("select*from t", "select"),
        ("Insert\ninto t values (1)", "insert"),
        ("BEGIN;", "begin"),
        ("begin isolation level serializable", "begin"),
        ("  \n\tUPDATE t SET a = 1", "update"),
        ("/* app=x, route='/chat' */ DELETE FROM t", "delete"),
        ("-- why\n-- and how\nSELECT 1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("truncate;", "truncate"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "select"),
        ("WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x", "insert"),
        ("WITH RECURSIVE \"select\" (a) AS (VALUES (1)), y AS (SELECT ')') UPDATE t SET a = 1", "update"),
        ("WITH x AS (SELECT $$ ) select $$, $a$ ( $a$) DELETE FROM t", "delete"),
        ("with x as (select 1 /* ) insert */ -- ) insert\n) merge into t", "merge"),
        ("WITH x AS (SELECT 1", "other"),
        ("FROBNICATE everything", "other"),
        ("select_all_of_it()", "other"),
        ("", "other"),
        ("   ", "other"),
        ("-- nothing", "other"),
        ("/* never closed", "other"),
        (None, "other"),
        (b"SELECT 1", "other"),
        (7, "other"),
    ],
)
def test_the_verb_of_a_statement(statement: Any, verb: str) -> None:  # noqa: ANN401  # mistakes as well
    assert sql_verb(statement) == verb


def test_a_million_statements_have_verbs_of_the_list_only() -> None:
    odd = {sql_verb(f"VERB{number} x") for number in range(10_000)}
    odd |= {sql_verb(f"WITH x AS ({number}) VERB") for number in range(1000)}
    assert odd <= {*SQL_VERBS, "other"}


@pytest.mark.parametrize("unit", ["(", " ", "/*", "'", "--", "/* */", "$$", '"', "WITH ", "a "])
def test_no_statement_takes_long(unit: str) -> None:
    for start in ("", "WITH x AS ("):
        started = time.perf_counter()
        sql_verb((start + unit * 1_000_000)[:1_000_000] + "1")
        assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("GET", "key"), "get"),
        (("get", "key"), "get"),
        ((b"HSET", "key"), "hset"),
        (("CONFIG GET", "maxmemory"), "config"),
        (("GeT", "key"), "get"),
        (("EVALSHA", "abc", 0), "other"),
        (("JSON.SET", "key"), "other"),
        (("BLPOP", "key", 1), ""),
        (("bzpopmin", "key", 1), ""),
        (("BlPop", "key", 1), ""),
        (("XREAD", b"COUNT", b"1", b"STREAMS", "s", "0"), "xread"),
        (("XREAD", b"BLOCK", b"100", b"STREAMS", "s", "0"), ""),
        (("XREADGROUP", b"GROUP", "g", "c", "BLOCK", 100, ["x"], b"STREAMS", "s", ">"), ""),
        ((), "other"),
        ((7,), "other"),
        (([],), "other"),
        ((memoryview(bytearray(b"GET")), "key"), "other"),
    ],
)
def test_the_name_of_a_command(words: tuple[Any, ...], name: str) -> None:
    assert redis_command(words) == name


def test_a_million_commands_have_names_of_the_list_only() -> None:
    odd = {redis_command((f"C{number}", "key")) for number in range(10_000)}
    assert odd == {"other"}
    assert not set(REDIS_COMMANDS) & set(BLOCKING_COMMANDS)
    assert len(set(REDIS_COMMANDS)) == len(REDIS_COMMANDS) < 300
