"""Rows to metrics, without and with a real Postgres."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from claw_exporter.collectors.base import ProbeError, Report, classify
from claw_exporter.collectors.postgres import ERRORS, link_to
from claw_exporter.collectors.sql import LONGEST_LABEL_CHARACTERS, QueryCollector, samples
from claw_exporter.probes import Probe
from claw_exporter.settings import Postgres, Query, QueryMetric, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claw_native.servers import Postgres as Server

BY_COLOUR = QueryMetric(name="cats", help="Cats.", value="n", labels=("colour",))


def test_each_row_is_a_series() -> None:
    assert samples(BY_COLOUR, [{"colour": "red", "n": 1}, {"colour": "black", "n": 2}]) == {
        ("red",): 1,
        ("black",): 2,
    }


def test_rows_without_a_value_say_nothing() -> None:
    assert samples(BY_COLOUR, [{"colour": "red", "n": None}]) == {}


def test_a_label_that_is_null_is_empty() -> None:
    assert samples(BY_COLOUR, [{"colour": None, "n": 1}]) == {("",): 1}


def test_labels_are_bounded() -> None:
    ((label,),) = samples(BY_COLOUR, [{"colour": "x" * 1000, "n": 1}])
    assert len(label) == LONGEST_LABEL_CHARACTERS


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1), (1.5, 1.5), (Decimal("2.5"), 2.5), (True, 1), (timedelta(minutes=1), 60)],
)
def test_numbers_and_durations_are_values(value: object, number: float) -> None:
    assert samples(BY_COLOUR, [{"colour": "red", "n": value}]) == {("red",): number}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"colour": "red", "n": "many"}], "the column 'n' holds 'many', which is no number; cast it"),
        ([{"colour": "red", "m": 1}], "the query gives no column 'n'; it gives colour, m"),
        ([{"n": 1}], "the query gives no column 'colour'; it gives n"),
        ([{"colour": "red", "n": 1}] * 2, r"two rows with the labels \('red',\); GROUP BY them"),
    ],
)
def test_rows_that_do_not_fit_are_an_error_that_says_what_to_do(
    rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ProbeError, match=message) as raised:
        samples(BY_COLOUR, rows)
    assert raised.value.error_type == "result"


class Asker:
    """Asks queries over one link, as the process does."""

    def __init__(self, dsn: str) -> None:
        self.link = link_to(Postgres(name="db", dsn=Secret(dsn)))

    def collector(self, sql: str, **more: Any) -> QueryCollector:  # noqa: ANN401 - fields of Query
        metrics = (QueryMetric(name="cats", help="Cats.", value="n", labels=more.pop("labels", ())),)
        return QueryCollector(Query(name="q", database="db", sql=sql, metrics=metrics, **more), self.link)

    async def ask(self, sql: str, **more: Any) -> Report:  # noqa: ANN401 - fields of Query
        return await self.collector(sql, **more).collect()

    async def run(self, sql: str, **more: Any) -> Probe:  # noqa: ANN401 - fields of Query
        probe = Probe(self.collector(sql, **more), stale_after_seconds=60)
        await probe.run()
        return probe


@pytest.fixture
async def asker(postgres: Server) -> AsyncIterator[Asker]:
    asker = Asker(postgres.dsn)
    yield asker
    asker.link.drop()


async def test_a_query_gives_its_rows(asker: Asker) -> None:
    report = await asker.ask(
        "SELECT * FROM (VALUES ('red', 1), ('black', 2)) t (colour, n)", labels=("colour",)
    )
    assert report == Report({"cats": {("red",): 1, ("black",): 2}})


async def test_a_query_without_rows_gives_nothing(asker: Asker) -> None:
    assert await asker.ask("SELECT 1 AS n WHERE false") == Report({})


async def test_rows_beyond_the_limit_are_left_out_and_counted(asker: Asker) -> None:
    report = await asker.ask(
        "SELECT i AS n, i AS colour FROM generate_series(1, 25) i", max_rows=10, labels=("colour",)
    )
    assert len(report.series["cats"]) == 10
    assert report.dropped_rows == 15


async def test_exactly_as_many_rows_as_allowed_leave_nothing_out(asker: Asker) -> None:
    report = await asker.ask(
        "SELECT i AS n, i AS colour FROM generate_series(1, 10) i", max_rows=10, labels=("colour",)
    )
    assert (len(report.series["cats"]), report.dropped_rows) == (10, 0)


async def test_counting_what_was_left_out_has_an_end(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claw_exporter.collectors.sql.MOST_COUNTED_ROWS", 100)
    report = await asker.ask("SELECT i AS n FROM generate_series(1, 1000000) i", max_rows=1)
    assert report.dropped_rows == 100


async def test_a_slow_query_hits_its_deadline(asker: Asker) -> None:
    probe = await asker.run("SELECT pg_sleep(30)::text AS n", timeout_seconds=0.2)
    assert probe.state.error_type == "timeout"
    assert probe.state.duration_seconds < 5


async def test_a_slow_query_ends_on_the_server_too(asker: Asker, postgres: Server) -> None:
    await asker.run("SELECT pg_sleep(30)::text AS n", timeout_seconds=0.2)
    observer = await asyncpg.connect(postgres.dsn)
    try:
        for _ in range(200):
            left = await observer.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'claw-exporter'"
            )
            if not left:
                break
            await observer.execute("SELECT pg_sleep(0.02)")
        assert left == 0
    finally:
        await observer.close()


async def test_a_server_that_is_killed_in_the_middle_of_a_run_is_found_again(
    asker: Asker, postgres: Server
) -> None:
    run = asyncio.create_task(asker.run("SELECT pg_sleep(30)::text AS n", timeout_seconds=20))
    observer = await asyncpg.connect(postgres.dsn)
    async with asyncio.timeout(10):
        while not await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND state = 'active'"
        ):
            pass
    postgres.stop()
    observer.terminate()
    assert (await run).state.error_type == "connection"
    postgres.start()
    assert (await asker.run("SELECT 1 AS n")).state.error_type == ""


async def test_after_an_error_the_next_query_works(asker: Asker) -> None:
    assert (await asker.run("SELECT nonsense")).state.error_type == "query"
    assert (await asker.run("SELECT 1 AS n")).state.error_type == ""


async def test_a_table_that_does_not_exist_yet_is_a_failing_probe_until_it_does(
    asker: Asker, postgres: Server
) -> None:
    sql = "SELECT count(*) AS n FROM not_yet"
    assert (await asker.run(sql)).state.error_type == "query"
    owner = await asyncpg.connect(postgres.dsn)
    try:
        await owner.execute("CREATE TABLE not_yet (id int)")
        probe = await asker.run(sql)
        assert dict(probe.series("cats")) == {(): 0}
    finally:
        await owner.execute("DROP TABLE IF EXISTS not_yet")
        await owner.close()


async def test_a_row_that_is_gone_takes_its_series_with_it(asker: Asker, postgres: Server) -> None:
    owner = await asyncpg.connect(postgres.dsn)
    try:
        await owner.execute("CREATE TABLE cats (colour text); INSERT INTO cats VALUES ('red'), ('black')")
        sql = "SELECT colour, count(*) AS n FROM cats GROUP BY 1"
        probe = await asker.run(sql, labels=("colour",))
        assert dict(probe.series("cats")) == {("red",): 1, ("black",): 1}
        await owner.execute("DELETE FROM cats WHERE colour = 'red'")
        await probe.run()
        assert dict(probe.series("cats")) == {("black",): 1}
        await owner.execute("DELETE FROM cats")
        await probe.run()
        assert dict(probe.series("cats")) == {}
        assert probe.age_seconds < 60
    finally:
        await owner.execute("DROP TABLE IF EXISTS cats")
        await owner.close()


async def test_a_query_cannot_write(asker: Asker, postgres: Server) -> None:
    owner = await asyncpg.connect(postgres.dsn)
    await owner.execute("CREATE SEQUENCE IF NOT EXISTS tickets")
    try:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await asker.ask("SELECT nextval('tickets') AS n")
    finally:
        await owner.execute("DROP SEQUENCE tickets")
        await owner.close()


async def test_queries_over_one_link_share_its_connection(asker: Asker) -> None:
    first = await asker.ask("SELECT pg_backend_pid() AS n")
    assert await asker.ask("SELECT pg_backend_pid() AS n") == first


def test_errors_of_the_driver_are_sorted() -> None:
    assert classify(asyncpg.QueryCanceledError(), ERRORS) == "timeout"
    assert classify(asyncpg.CannotConnectNowError(), ERRORS) == "connection"
    assert classify(asyncpg.InvalidPasswordError(), ERRORS) == "authentication"
    assert classify(asyncpg.InterfaceError("x"), ERRORS) == "connection"
    assert classify(asyncpg.UndefinedTableError(), ERRORS) == "query"
