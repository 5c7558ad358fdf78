"""The embedded warehouse, as the unmodified clickhouse-connect sees it over a real server on the loopback."""

from __future__ import annotations

import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import lz4.frame  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from backports import zstd
from clickhouse_connect.driver.exceptions import DatabaseError

from claw_hub.warehouse.testing import EmbeddedProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from clickhouse_connect.driver.client import Client

    Connect = Callable[..., Client]

PASSWORD = "a password: with a colon"
NOON = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)


def ask(
    warehouse: EmbeddedProcess,
    sql: str | bytes = "",
    **options: Any,  # noqa: ANN401 - those of httpx
) -> httpx.Response:
    method = options.pop("method", "POST")
    auth = options.pop("auth", ("default", PASSWORD))
    with httpx.Client(trust_env=False) as http:
        return http.request(method, f"{warehouse.url}/", content=sql or None, auth=auth, **options)


def test_the_client_connects_and_learns_the_version(client: Client) -> None:
    assert client.ping()
    assert int(str(client.server_version).split(".")[0]) >= 26
    assert client.command("SELECT 1") == 1


def test_rows_of_every_type_the_tables_use_come_back_as_they_went(client: Client) -> None:
    client.command(
        "CREATE TABLE t (id UInt64, name LowCardinality(String), key FixedString(4), "
        "at DateTime64(6, 'UTC'), end Nullable(DateTime64(6, 'UTC')), price Decimal(18, 9), "
        "kind Enum8('a' = 1, 'b' = 2), tags Array(String), more Map(String, UInt32), uuid UUID) "
        "ENGINE = MergeTree ORDER BY id"
    )
    row = [
        2**64 - 1,
        "Straßen; 'agent' \t ☃",
        b"\x00;\xff\n",
        NOON,
        None,
        Decimal("0.000000001"),
        "b",
        ["x", "y;\n"],
        {"k": 7},
        UUID(int=5),
    ]
    client.insert("t", [row])
    settings = {"session_timezone": "UTC"}
    result = client.query("SELECT * FROM t", settings=settings, tz_mode="aware")
    assert list(result.result_rows[0]) == row


def test_parameters_are_bound_by_the_engine_whatever_they_hold(client: Client) -> None:
    evil = "x'; DROP TABLE t; -- \\ \t \n {y:UInt8} ☃"
    sql = "SELECT {text:String} AS text, {number:Int64} AS number, {list:Array(String)} AS list"
    parameters = {"text": evil, "number": -5, "list": ["a'b", "c\\d"]}
    assert client.query(sql, parameters=parameters).first_item == {
        "text": evil,
        "number": -5,
        "list": ["a'b", "c\\d"],
    }


def test_long_parameters_come_as_a_form(connect: Connect, warehouse: EmbeddedProcess) -> None:
    long = "☃ & = + % " * 5_000
    with connect(warehouse, form_encode_query_params=True) as client:
        assert client.query("SELECT {text:String}", parameters={"text": long}).first_row == (long,)


def test_a_form_may_be_urlencoded(warehouse: EmbeddedProcess) -> None:
    answer = ask(warehouse, data={"query": "SELECT {a:String}", "param_a": "b & c"})
    assert answer.text == "b & c\n"


@pytest.mark.parametrize("compress", [False, "gzip", "lz4", "zstd"])
def test_inserts_arrive_with_every_compression(
    connect: Connect, warehouse: EmbeddedProcess, database: str, *, compress: bool | str
) -> None:
    with connect(warehouse, database=database, compress=compress) as client:
        client.command("CREATE TABLE t (id UInt32, text String) ENGINE = MergeTree ORDER BY id")
        rows = [[number, f"; text\n{number}"] for number in range(300_000)]
        summary = client.insert("t", rows, column_names=["id", "text"])
        assert summary.written_rows == 300_000
        assert client.query("SELECT count(), sum(id), uniqExact(text) FROM t").first_row == (
            300_000,
            sum(range(300_000)),
            300_000,
        )


@pytest.mark.parametrize("compress", [False, "lz4", "zstd"])
def test_arrow_tables_go_in_and_come_out(
    connect: Connect, warehouse: EmbeddedProcess, database: str, *, compress: bool | str
) -> None:
    with connect(warehouse, database=database, compress=compress) as client:
        client.command(
            "CREATE TABLE t (id UInt32, name LowCardinality(String), at DateTime64(6, 'UTC'), "
            "key FixedString(16), kind Enum8('a' = 1, 'b' = 2), "
            "end Nullable(DateTime64(6, 'UTC'))) ENGINE = MergeTree ORDER BY id"
        )
        table = pa.table(
            {
                "id": pa.array(range(1_000), pa.uint32()),
                "name": pa.array(["x", "y"] * 500).dictionary_encode(),
                "at": pa.array([NOON] * 1_000, pa.timestamp("us", "UTC")),
                "key": pa.array([bytes(range(16))] * 1_000, pa.binary(16)),
                "kind": pa.array(["a", "b"] * 500),
                "end": pa.array([None, NOON] * 500, pa.timestamp("us", "UTC")),
            }
        )
        client.insert_arrow("t", table)
        back = client.query_arrow("SELECT id, at, end, key, toString(kind) AS kind FROM t ORDER BY id")
        assert back["id"].to_pylist() == list(range(1_000))
        assert back["at"].to_pylist() == [NOON] * 1_000
        assert back["end"].null_count == 500
        assert bytes(back["key"][0].as_py()) == bytes(range(16))
        assert back["kind"].to_pylist() == ["a", "b"] * 500


def test_an_insert_may_stand_in_the_address_and_its_data_in_the_body(
    warehouse: EmbeddedProcess, client: Client, database: str
) -> None:
    client.command("CREATE TABLE t (id UInt32, text String) ENGINE = MergeTree ORDER BY id")
    parameters = {"database": database, "query": "INSERT INTO t FORMAT JSONEachRow"}
    body = b'{"id":1,"text":"a"}\n{"id":2,"text":"b"}'
    encodings: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "lz4": lz4.frame.compress,
        "zstd": zstd.compress,
        "identity": bytes,
    }
    for encoding, compress in encodings.items():
        answer = ask(warehouse, compress(body), params=parameters, headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.text) == (200, ""), encoding
    assert client.command("SELECT count() FROM t") == 10


def test_values_and_selects_are_inserted_too(client: Client) -> None:
    client.command("CREATE TABLE t (id UInt32, text String) ENGINE = MergeTree ORDER BY id")
    client.command("INSERT INTO t (id, text) VALUES (1, 'a;b'), (2, 'c')")
    client.command("INSERT INTO t (id, text) SELECT number + 3, 'x' FROM numbers(3)")
    client.command("INSERT INTO t (SELECT 9, 'y')")
    assert client.query("SELECT groupArray(id) FROM (SELECT id FROM t ORDER BY id)").first_row == (
        [1, 2, 3, 4, 5, 9],
    )


def test_settings_hold_for_one_request(client: Client) -> None:
    sql = "SELECT getSetting('max_threads')"
    before = client.command(sql)
    assert client.command(sql, settings={"max_threads": 7}) == 7
    assert client.command(sql) == before


def test_a_query_is_ended_when_its_time_is_up(client: Client) -> None:
    with pytest.raises(DatabaseError, match="TIMEOUT_EXCEEDED") as caught:
        client.query("SELECT sum(number) FROM numbers(1000000000000)", settings={"max_execution_time": 0.2})
    assert caught.value.code == 159


def test_a_query_is_ended_when_its_memory_is_up(client: Client) -> None:
    with pytest.raises(DatabaseError, match="MEMORY_LIMIT_EXCEEDED") as caught:
        client.query("SELECT groupArray(number) FROM numbers(9000000)", settings={"max_memory_usage": 10**7})
    assert caught.value.code == 241


def test_errors_have_the_code_and_the_words_of_the_engine(client: Client) -> None:
    for sql, code, words in (
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", 60, "nowhere"),
        ("SELECT {a:String}", 456, "Substitution `a` is not set"),
        ("SELECT 1; DROP TABLE t", 62, "Multi-statements are not allowed"),
        ("", 62, "Empty query"),
    ):
        with pytest.raises(DatabaseError, match=words) as caught:
            client.command(sql or " ")
        assert caught.value.code == code, sql


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE k (a Int8) ENGINE = Kafka SETTINGS kafka_broker_list = 'x:1'",
        "CREATE TABLE k (a Int8) engine Kafka",
        "CREATE /* ENGINE = MergeTree */ TABLE k (a Int8) ENGINE=`Kafka`",
        "CREATE TABLE k AS url('http://x/', CSV, 'a Int8')",
        "CREATE TABLE k (a Int8)",
        "CREATE DATABASE k ENGINE = PostgreSQL('x:1', 'd', 'u', 'p')",
        "CREATE FUNCTION f AS x -> x",
        "CREATE USER u",
        "ATTACH TABLE k (a Int8) ENGINE = Kafka",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://169.254.169.254/', CSV)",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "INSERT INTO FUNCTION file('/tmp/x', CSV) SELECT 1",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "INSERT INTO t SELECT * FROM remote('x', d.t)",
    ],
)
def test_what_would_leave_the_warehouse_is_refused(client: Client, sql: str) -> None:
    with pytest.raises(DatabaseError, match=r"not allowed|has to say its|are not written") as caught:
        client.command(sql)
    assert caught.value.code == 344


def test_broken_data_are_refused_whole(client: Client, warehouse: EmbeddedProcess, database: str) -> None:
    client.command("CREATE TABLE t (id UInt32, text String) ENGINE = MergeTree ORDER BY id")
    native = client.raw_query("SELECT toUInt32(number) AS id, 'x' AS text FROM numbers(9)", fmt="Native")
    for data in (native[:-3], native + b"\x01", b"\xff" * 40):
        sql = b"INSERT INTO t (id, text) FORMAT Native\n" + data
        answer = ask(warehouse, sql, params={"database": database})
        assert answer.status_code >= 400
        assert int(answer.headers["X-ClickHouse-Exception-Code"]) > 0
    assert client.command("SELECT count() FROM t") == 0


def test_rows_that_a_table_refuses_are_an_error_and_not_lost(client: Client) -> None:
    client.command("CREATE TABLE t (id UInt32, CONSTRAINT c CHECK id < 5) ENGINE = MergeTree ORDER BY id")
    with pytest.raises(DatabaseError) as caught:
        client.insert("t", [[7]], column_names=["id"])
    assert caught.value.code == 469
    client.command("CREATE TABLE p (id UInt32) ENGINE = MergeTree PARTITION BY id ORDER BY id")
    with pytest.raises(DatabaseError) as caught:
        client.insert_arrow("p", pa.table({"id": pa.array(range(200), pa.uint32())}))
    assert caught.value.code == 252


def test_an_insert_may_have_settings(client: Client) -> None:
    client.command("CREATE TABLE t (id UInt32) ENGINE = MergeTree PARTITION BY id ORDER BY id")
    client.command("INSERT INTO t (id) SETTINGS max_partitions_per_insert_block = 5 VALUES (1), (2)")
    assert client.command("SELECT count() FROM t") == 2


def test_read_only_requests_change_nothing(client: Client, warehouse: EmbeddedProcess, database: str) -> None:
    client.command("CREATE TABLE t (id UInt32) ENGINE = MergeTree ORDER BY id")
    for sql in ("INSERT INTO t VALUES (1)", "DROP TABLE t", "SET readonly = 0", "SET max_threads = 1"):
        with pytest.raises(DatabaseError, match=r"READONLY|readonly") as caught:
            client.command(sql, settings={"readonly": 1})
        assert caught.value.code == 164, sql
    answer = ask(warehouse, method="GET", params={"query": "DROP TABLE t", "database": database})
    assert answer.status_code == 403
    answer = ask(warehouse, method="GET", params={"query": "SELECT count() FROM t", "database": database})
    assert answer.text == "0\n"


@pytest.mark.parametrize(
    "options",
    [
        {"auth": None},
        {"auth": ("default", "wrong")},
        {"auth": ("somebody", PASSWORD)},
        {"auth": None, "headers": {"Authorization": "Basic ☃".encode()}},
        {"auth": None, "headers": {"X-ClickHouse-Key": "wrong"}},
        {"auth": None, "params": {"user": "default", "password": PASSWORD}},
    ],
)
def test_without_the_password_nothing_is_answered(
    warehouse: EmbeddedProcess, options: dict[str, Any]
) -> None:
    answer = ask(warehouse, "SELECT 1", **options)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


def test_the_password_may_come_in_the_headers_of_clickhouse(warehouse: EmbeddedProcess) -> None:
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
    assert ask(warehouse, "SELECT 1", auth=None, headers=headers).text == "1\n"


def test_a_wrong_password_is_an_error_of_the_client(connect: Connect, warehouse: EmbeddedProcess) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(warehouse, password="wrong")
    assert caught.value.code == 516


def test_a_password_file_that_is_gone_shuts_everybody_out_until_it_is_back(
    warehouse: EmbeddedProcess,
) -> None:
    assert warehouse.password_file
    hidden = warehouse.password_file.rename(warehouse.password_file.with_suffix(".hidden"))
    try:
        answer = ask(warehouse, "SELECT 1")
        assert (answer.status_code, "cannot be read" in answer.text) == (403, True)
    finally:
        hidden.rename(warehouse.password_file)
    assert ask(warehouse, "SELECT 1").text == "1\n"


def test_the_id_of_a_query_comes_back_where_a_header_can_carry_it(warehouse: EmbeddedProcess) -> None:
    for given, expected in (("a-1", "a-1"), ("a\r\nSet-Cookie: b", ""), ("☃", "")):
        answer = ask(warehouse, "SELECT 1", params={"query_id": given})
        assert (answer.status_code, answer.headers["X-ClickHouse-Query-Id"]) == (200, expected)


def test_a_body_that_is_not_what_it_says_is_refused(warehouse: EmbeddedProcess) -> None:
    for encoding in ("gzip", "deflate", "lz4", "zstd", "br", "compress"):
        answer = ask(warehouse, b"SELECT 1", headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (415, "27"), encoding


def test_ping_needs_no_password(warehouse: EmbeddedProcess) -> None:
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"{warehouse.url}/ping").text == "Ok.\n"
    assert ask(warehouse, method="GET").text == "Ok.\n"


def test_the_format_of_an_answer_is_the_statements_or_the_default(warehouse: EmbeddedProcess) -> None:
    answer = ask(warehouse, "SELECT 1 AS a FORMAT JSONEachRow")
    assert (answer.text, answer.headers["X-ClickHouse-Format"]) == ('{"a":1}\n', "JSONEachRow")
    answer = ask(warehouse, "SELECT 1 AS a", params={"default_format": "CSVWithNames"})
    assert answer.text == '"a"\n1\n'
    answer = ask(warehouse, "SELECT 1, 2", headers={"X-ClickHouse-Format": "CSV"})
    assert answer.text == "1,2\n"


def test_many_clients_at_once_get_their_own_answers(
    connect: Connect, warehouse: EmbeddedProcess, client: Client
) -> None:
    client.command("CREATE TABLE t (id UInt32) ENGINE = MergeTree ORDER BY id")

    def work(number: int) -> int:
        with connect(warehouse, database=client.database, settings={"max_threads": number + 1}) as own:
            own.insert("t", [[number]], column_names=["id"])
            return int(str(own.command("SELECT getSetting('max_threads')")))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == list(range(1, 41))
    assert client.query("SELECT count(), sum(id) FROM t").first_row == (40, sum(range(40)))


def test_what_was_answered_is_there_after_a_kill(
    connect: Connect, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> None:
    with EmbeddedProcess(tmp_path_factory.mktemp("killed") / "data", free_port()) as process:
        with connect(process, username="", password="") as client:
            client.command("CREATE DATABASE d")
            client.command("CREATE TABLE d.t (id UInt32) ENGINE = MergeTree ORDER BY id")
            for number in range(20):
                client.insert("d.t", [[number]], column_names=["id"])
        process.kill()
        process.start()
        with connect(process, username="", password="") as client:
            assert client.query("SELECT count(), sum(id) FROM d.t").first_row == (20, 190)


def test_results_stream_into_the_client_in_blocks(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200_000


async def test_the_async_client_asks_too(warehouse: EmbeddedProcess, database: str) -> None:
    pytest.importorskip("aiohttp")
    import clickhouse_connect  # noqa: PLC0415 - beside the skip

    client = await clickhouse_connect.get_async_client(
        host="127.0.0.1", port=warehouse.port, username="default", password=PASSWORD, database=database
    )
    try:
        await client.command("CREATE TABLE t (id UInt32) ENGINE = MergeTree ORDER BY id")
        await client.insert("t", [[1], [2]], column_names=["id"])
        result = await client.query("SELECT sum(id) FROM t WHERE id < {n:UInt32}", parameters={"n": 5})
        assert result.first_row == (3,)
        with pytest.raises(DatabaseError) as caught:
            await client.query("SELECT * FROM nowhere")
        assert caught.value.code == 60
    finally:
        await client.close()


def test_a_time_without_a_zone_is_utc(client: Client) -> None:
    ((value,),) = client.query("SELECT now() AS at", tz_mode="aware").result_rows
    assert abs(value - datetime.now(UTC)) < timedelta(minutes=1)
