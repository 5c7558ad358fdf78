"""What a statement is, where its data begin, and whether the embedded engine may see it.

The engine would take several statements at once, read and write files of this machine, and talk to other
servers. An ``ENGINE = Kafka`` even leaves a directory that cannot be opened again. None of that gets as far
as the engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

from claw_hub.warehouse.protocol import EngineError
from claw_hub.warehouse.sql import Token, call_names, engines, tokens

if TYPE_CHECKING:
    from claw_hub.warehouse.protocol import Ask

__all__ = ["ENGINES", "Prepared", "engine_mistake", "prepare"]

ENGINES: Final = frozenset(
    {
        "AggregatingMergeTree",
        "Atomic",
        "Memory",
        "MergeTree",
        "Null",
        "ReplacingMergeTree",
        "SummingMergeTree",
    }
)
"""Engines of tables and databases that keep their data here and nowhere else."""

_OUTSIDE: Final = frozenset(
    {
        "arrowflight",
        "azureblobstorage",
        "azureblobstoragecluster",
        "cluster",
        "clusterallreplicas",
        "deltalake",
        "executable",
        "file",
        "filecluster",
        "gcs",
        "hdfs",
        "hdfscluster",
        "hudi",
        "iceberg",
        "jdbc",
        "mongodb",
        "mysql",
        "odbc",
        "postgresql",
        "python",
        "redis",
        "remote",
        "remotesecure",
        "s3",
        "s3cluster",
        "sqlite",
        "url",
        "urlcluster",
        "ytsaurus",
    }
)
_CREATED: Final = frozenset({"TABLE", "VIEW", "DATABASE"})
_CREATING: Final = ("CREATE", "OR", "REPLACE", "ATTACH", "TEMPORARY", "MATERIALIZED")
# The statement of an INSERT is at the front of a body that may be large and is no text.
_HEAD_BYTES: Final = 65_536
_BEFORE_DATA: Final = re.compile(rb"[ \t]*\r?\n?")
_SYNTAX_ERROR: Final = 62
_DISABLED: Final = 344


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement, ready for the engine.

    Attributes:
        sql: The statement; of an INSERT with data, what stands before its SETTINGS and FORMAT.
        clause: Of an INSERT, its SETTINGS.
        format: Of the data, or of the answer.
        data: Of an INSERT that brings them; None for everything else.
        is_insert: It writes rows, wherever they come from.
    """

    sql: str
    format: str
    data: bytes | None = None
    is_insert: bool = False
    clause: str = ""


def prepare(ask: Ask) -> Prepared:
    """Takes a request apart.

    Raises:
        EngineError: It is no text, has several statements, or wants what is not allowed here.
    """
    head = ask.statement[:_HEAD_BYTES].decode("latin-1")
    first = next(tokens(head), None)
    if first is None:
        raise EngineError(_SYNTAX_ERROR, "Syntax error: Empty query")
    if first.upper == "INSERT":
        return _prepare_insert(ask, head)
    text = _text(ask.statement)
    read = list(tokens(text))
    _refuse_several(read)
    _refuse(_mistake(read))
    return Prepared(text, _format(read) or ask.format)


def engine_mistake(read: list[Token]) -> str | None:
    """Says what is wrong with a statement that defines something; None where nothing is."""
    if not read or read[0].upper not in ("CREATE", "ATTACH", "REPLACE"):
        return None
    kind = next((one.upper for one in read if one.upper not in _CREATING), "")
    named = engines(read)
    wrong = [name for name in named if name not in ENGINES]
    if kind not in _CREATED:
        return f"{read[0].upper} {kind} is not allowed; only TABLE, VIEW and DATABASE are"
    if wrong:
        return f"ENGINE = {wrong[0]} is not allowed; these are: {', '.join(sorted(ENGINES))}"
    if kind == "TABLE" and not named:
        return f"a table has to say its ENGINE; these are allowed: {', '.join(sorted(ENGINES))}"
    return None


def _mistake(read: list[Token]) -> str | None:
    outside = sorted(call_names(read) & _OUTSIDE)
    if outside:
        return f"{outside[0]}() reaches outside of the warehouse, which is not allowed"
    words = {(one.upper, behind.upper) for one, behind in pairwise(read)}
    if words & {("INTO", "OUTFILE"), ("FROM", "INFILE"), ("INTO", "FUNCTION")}:
        return "files and table functions are not written or read by a statement"
    return engine_mistake(read)


def _refuse(mistake: str | None) -> None:
    if mistake:
        raise EngineError(_DISABLED, mistake)


def _refuse_several(read: list[Token]) -> None:
    behind = [
        one for index, one in enumerate(read) if index and read[index - 1].text == ";" and one.text != ";"
    ]
    if behind:
        raise EngineError(
            _SYNTAX_ERROR, f"Syntax error (Multi-statements are not allowed): {behind[0].text!r}"
        )


def _prepare_insert(ask: Ask, head: str) -> Prepared:
    read: list[Token] = []
    depth, clause, stream = 0, 0, tokens(head)
    for token in stream:
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "symbol" else 0
        if depth == 0 and token.upper in ("SELECT", "WITH"):
            return _prepare_copy(ask)
        if depth == 0 and token.upper in ("FORMAT", "VALUES"):
            form = token if token.upper == "VALUES" else next(islice(stream, 1), token)
            return _with_data(ask, read, clause or token.start, form)
        if depth == 0 and token.upper == "SETTINGS":
            clause = token.start
        read.append(token)
    return _prepare_copy(ask)


def _with_data(ask: Ask, read: list[Token], clause: int, form: Token) -> Prepared:
    _refuse(_mistake(read))
    skipped = _BEFORE_DATA.match(ask.statement, form.end)
    data = ask.statement[skipped.end() if skipped else form.end :]
    name = "Values" if form.upper == "VALUES" else form.text
    sql, settings = _text(ask.statement[:clause]), _text(ask.statement[clause : read[-1].end])
    return Prepared(sql, name, data, is_insert=True, clause=settings)


def _prepare_copy(ask: Ask) -> Prepared:
    text = _text(ask.statement)
    read = list(tokens(text))
    _refuse_several(read)
    _refuse(_mistake(read))
    return Prepared(text, ask.format, is_insert=True)


def _format(read: list[Token]) -> str:
    last = [one for one in read if one.text != ";"][-2:]
    return last[1].text if len(last) > 1 and last[0].upper == "FORMAT" else ""


def _text(statement: bytes) -> str:
    try:
        return statement.decode()
    except UnicodeDecodeError as error:
        raise EngineError(_SYNTAX_ERROR, f"Syntax error: the statement is not UTF-8 ({error})") from error
