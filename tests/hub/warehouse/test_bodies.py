"""Bodies and statements, taken apart before the engine sees any of them."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import lz4.frame  # type: ignore[import-untyped]
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from claw_hub.errors import MediaTypeError, TooLargeError
from claw_hub.warehouse.bodies import form_fields, inflate
from claw_hub.warehouse.guard import prepare
from claw_hub.warehouse.protocol import Ask, EngineError
from claw_hub.warehouse.sql import split, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "deflate": zlib.compress,
    "gzip": gzip.compress,
    "identity": bytes,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", COMPRESSIONS)
@given(data=st.binary(max_size=5_000))
def test_what_was_compressed_comes_out(encoding: str, data: bytes) -> None:
    assert inflate(COMPRESSIONS[encoding](data), encoding, max_bytes=5_000) == data


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd"])
def test_several_pieces_in_a_row_are_one_body(encoding: str) -> None:
    compress = COMPRESSIONS[encoding]
    body = compress(b"a" * 3_000_000) + compress(b"b" * 10)
    assert inflate(body, encoding, max_bytes=4_000_000) == b"a" * 3_000_000 + b"b" * 10


@pytest.mark.parametrize("encoding", sorted(set(COMPRESSIONS) - {"identity"}))
def test_a_body_that_inflates_to_too_much_is_refused_before_it_is_large(encoding: str) -> None:
    body = COMPRESSIONS[encoding](bytes(50_000_000))
    with pytest.raises(TooLargeError, match="inflates to more than 1000000 bytes"):
        inflate(body, encoding, max_bytes=1_000_000)


@pytest.mark.parametrize("encoding", sorted(set(COMPRESSIONS) - {"identity"}))
def test_a_body_that_ends_early_is_refused(encoding: str) -> None:
    body = COMPRESSIONS[encoding](bytes(range(256)) * 40)
    with pytest.raises(MediaTypeError):
        inflate(body[:-5], encoding, max_bytes=100_000)


@given(body=st.binary(max_size=300), encoding=st.sampled_from([*COMPRESSIONS, "br", "x"]))
def test_no_body_breaks_the_reader(body: bytes, encoding: str) -> None:
    try:
        inflate(body, encoding, max_bytes=10_000)
    except (MediaTypeError, TooLargeError):
        return


def test_a_multipart_form_gives_its_texts() -> None:
    parts = (
        '--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {a:String}\r\n'
        '--x\r\nContent-Disposition: form-data; name="param_a"\r\n\r\n☃ & \n=\r\n--x--\r\n'
    )
    assert form_fields(parts.encode(), "multipart/form-data; boundary=x") == {
        "query": "SELECT {a:String}",
        "param_a": "☃ & \n=",
    }


@pytest.mark.parametrize(
    "part",
    [
        'Content-Disposition: form-data; name="t"; filename="t.csv"\r\n\r\n1\r\n',
        "Content-Disposition: form-data\r\n\r\n1\r\n",
        "\r\n1\r\n",
        'Content-Disposition: form-data; name="t"\r\n\r\n\udcff\r\n',
    ],
)
def test_a_form_with_anything_else_is_refused(part: str) -> None:
    body = f"--x\r\n{part}--x--\r\n".encode("utf-8", "surrogateescape")
    with pytest.raises(MediaTypeError):
        form_fields(body, "multipart/form-data; boundary=x")


@given(body=st.binary(max_size=200))
def test_no_form_breaks_the_reader(body: bytes) -> None:
    for media_type in ("multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form"):
        try:
            form_fields(body, media_type)
        except MediaTypeError:
            continue


@given(statement=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_statement_breaks_the_guard(statement: bytes) -> None:
    for prefix in (b"", b"INSERT INTO t ", b"INSERT INTO t FORMAT ", b"CREATE TABLE ", b"SELECT '"):
        try:
            prepare(Ask(prefix + statement))
        except EngineError as error:
            assert error.code in {62, 344}  # noqa: PT017 - either is right


@given(text=st.text(max_size=300))
def test_tokens_are_what_the_text_is_made_of(text: str) -> None:
    end = 0
    for token in tokens(text):
        assert token.start >= end
        assert text[token.start : token.end] == token.text
        end = token.end
    assert all(part.strip() in text for part in split(text))


@pytest.mark.parametrize(
    ("statement", "sql", "form", "clause", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\n;\xff", "INSERT INTO t", "Native", "", b"\n;\xff"),
        (b"insert into t (format, a) format CSV\r\n1,2", "insert into t (format, a)", "CSV", "", b"1,2"),
        (b"INSERT INTO t VALUES (1); DROP TABLE t", "INSERT INTO t", "Values", "", b"(1); DROP TABLE t"),
        (
            b"INSERT INTO t (settings) SETTINGS a = 1 FORMAT X 1",
            "INSERT INTO t (settings)",
            "X",
            "SETTINGS a = 1",
            b"1",
        ),
        (
            b"/* INSERT */ INSERT INTO `format` FORMAT TSV",
            "/* INSERT */ INSERT INTO `format`",
            "TSV",
            "",
            b"",
        ),
    ],
)
def test_an_insert_is_cut_where_its_data_begin(
    statement: bytes, sql: str, form: str, clause: str, data: bytes
) -> None:
    prepared = prepare(Ask(statement))
    assert (prepared.sql.strip(), prepared.format, prepared.clause.strip()) == (sql, form, clause)
    assert (prepared.data, prepared.is_insert) == (data, True)


@pytest.mark.parametrize(
    "statement",
    [
        b"INSERT INTO t SELECT 1; DROP TABLE t",
        b"INSERT INTO t SELECT '\xff'",
        b"SELECT '\xff'",
        b"SELECT 1;; SELECT 2",
        b"-- nothing",
        b"",
    ],
)
def test_what_is_not_one_statement_is_an_error_of_syntax(statement: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        prepare(Ask(statement))
    assert (caught.value.code, caught.value.http_status) == (62, 400)
