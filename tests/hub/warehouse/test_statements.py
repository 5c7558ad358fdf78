"""Every statement of clickhouse/queries, read as text: none for one tenant can show another's rows."""
# ruff: noqa: S608 - statements are what is tested, and none is run

from __future__ import annotations

import re

import pytest

from claw_hub.warehouse.isolation import isolation_mistakes, tenant_tables
from claw_hub.warehouse.packaged import migration_texts, query_texts
from claw_hub.warehouse.sql import parameters, split, tokens

TABLES = tenant_tables(migration_texts().values())
STATEMENTS = query_texts()
BOUND = "tenant_id = {tenant_id:UInt32}"


def test_the_tables_of_tenants_are_known() -> None:
    assert {
        "raw_batches",
        "stg_usage",
        "stg_executions",
        "stg_timeline",
        "quarantine",
        "mart_usage_hour",
    } <= TABLES


@pytest.mark.parametrize(
    "name", [name for name in STATEMENTS if not name.startswith(("warehouse/", "worker/"))]
)
def test_a_statement_reads_the_rows_of_one_tenant_only(name: str) -> None:
    assert isolation_mistakes(STATEMENTS[name], TABLES) == []


@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_statement_is_one_statement(name: str) -> None:
    assert len(split(STATEMENTS[name])) == 1


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 1 FROM stg_usage WHERE {BOUND}",
        f"select 1 from claw.`stg_usage` final prewhere {BOUND} where a = 1 or b = 2",
        f"SELECT 1 FROM stg_usage AS u WHERE (a OR b) AND u.{BOUND} AND stg_usage.ts > 0 ORDER BY 1",
        f"WITH x AS (SELECT * FROM stg_usage WHERE {BOUND}) SELECT * FROM x",
        f"SELECT a FROM stg_usage WHERE {BOUND} UNION ALL SELECT a FROM stg_timeline WHERE {BOUND}",
        f"SELECT 1 FROM stg_usage WHERE {BOUND} AND id IN (SELECT id FROM stg_timeline WHERE {BOUND})",
        f"SELECT 1 FROM stg_usage u JOIN stg_timeline t ON u.a = t.a WHERE u.{BOUND} AND t.{BOUND}",
        "SELECT {tenant_id:UInt32} FROM numbers(1)",
        f"SELECT 'FROM stg_timeline' FROM stg_usage -- FROM stg_timeline\nWHERE {BOUND};",
    ],
)
def test_what_is_sound_passes(sql: str) -> None:
    assert isolation_mistakes(sql, TABLES) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM stg_usage",
        "SELECT 1 FROM stg_usage WHERE tenant_id = 7 OR {tenant_id:UInt32}",
        f"SELECT 1 FROM stg_usage WHERE {BOUND} OR 1",
        f"SELECT 1 FROM stg_usage WHERE {BOUND} AND a ? b : c",
        f"SELECT 1 FROM stg_usage WHERE NOT {BOUND}",
        f"SELECT 1 FROM stg_usage WHERE ({BOUND} OR 1)",
        f"SELECT 1 FROM stg_usage HAVING {BOUND}",
        f"SELECT 1 FROM stg_usage WHERE a = 'tenant_id' -- AND {BOUND}",
        f"SELECT {BOUND} FROM stg_usage WHERE 'x' = '{BOUND}'",
        "SELECT 1 FROM stg_usage WHERE tenant_id = {tenant_id:UInt64}",
        "SELECT 1 FROM stg_usage WHERE tenant_id = {tenant:UInt32}",
        "SELECT 1 FROM stg_usage WHERE tenant_id >= {tenant_id:UInt32}",
        "SELECT 1 FROM stg_usage WHERE tenant_id = {tenant_id:UInt32} + 1",
        f"SELECT 1 FROM stg_usage, stg_timeline WHERE {BOUND}",
        f"SELECT 1 FROM stg_usage u JOIN stg_timeline t ON u.a = t.a WHERE u.{BOUND}",
        f"SELECT 1 FROM stg_usage WHERE {BOUND} AND id IN (SELECT id FROM stg_timeline)",
        f"SELECT 1 FROM stg_usage WHERE {BOUND} AND id IN stg_timeline",
        f"SELECT a FROM stg_usage WHERE {BOUND} UNION ALL SELECT a FROM stg_timeline",
        f"SELECT (SELECT count() FROM stg_timeline) FROM stg_usage WHERE {BOUND}",
        f"WITH x AS (SELECT * FROM stg_usage) SELECT * FROM x WHERE {BOUND}",
        f"SELECT 1 FROM merge('claw', '^stg') WHERE {BOUND}",
        f"SELECT 1 FROM system.tables WHERE {BOUND}",
        f"SELECT 1 FROM stg_usage WHERE {BOUND}; SELECT 1 FROM stg_usage",
        f"INSERT INTO stg_usage SELECT * FROM stg_usage WHERE {BOUND}",
        "",
    ],
)
def test_what_could_show_a_tenant_anothers_rows_is_found(sql: str) -> None:
    assert isolation_mistakes(sql, TABLES) != []


def test_parameters_are_found_outside_of_strings_and_comments() -> None:
    sql = (
        "SELECT {a:Array(Nullable(String))}, '{b:String}', {c : DateTime64(6, 'UTC')} -- {d:String}\n, map{e}"
    )
    assert parameters(tokens(sql)) == {"a": "Array(Nullable(String))", "c": "DateTime64(6,'UTC')"}


def test_a_text_is_split_at_the_semicolons_that_end_statements() -> None:
    text = "a ';' \";\" `;` /* ; */ b;-- nothing;\n ; c 'it''s; \\'; x' ; "
    assert split(text) == ["a ';' \";\" `;` /* ; */ b", "c 'it''s; \\'; x'"]


def test_the_identity_of_every_row_has_the_time_that_its_partition_is_made_of() -> None:
    # `Warehouse` relies on it: FINAL does not look for twins in other partitions.
    for statement in (one for text in migration_texts().values() for one in split(text)):
        partition = re.search(r"PARTITION BY toYYYYMM(?:DD)?\((\w+)\)", statement)
        identity = re.search(r"ORDER BY \((.*)\)", statement)
        assert identity, statement
        # An entry of the bus, which is in the identity of what is in quarantine, was received once.
        if partition and "quarantine" not in statement:
            assert re.search(rf"\b{partition.group(1)}\b", identity.group(1)), statement
