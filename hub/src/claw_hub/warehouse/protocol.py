"""What is asked of the engine, what it answers, and how it says no; shared by the owner and the HTTP side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from claw_hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Ask", "EngineError"]

_STATUSES: Final = {
    **dict.fromkeys((6, 26, 27, 33, 36, 38, 41, 43, 47, 53, 62, 72, 115, 117, 377, 456, 457), 400),
    **dict.fromkeys((192, 193, 194, 344, 497, 516), 403),
    **dict.fromkeys((60, 81), 404),
    164: 403,
    159: 408,  # not 504: clients would ask the same again
    307: 413,
    202: 503,
}
"""Code of the engine -> status of HTTP; 500 for the others, as ClickHouse has it."""


class EngineError(HubError):
    """The engine refuses a statement.

    Attributes:
        code: ClickHouse's number of what is wrong.
        message: Its words.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"Code: {code}. DB::Exception: {message}")

    @property
    def http_status(self) -> int:
        """What ClickHouse's HTTP interface answers."""
        return _STATUSES.get(self.code, 500)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    Attributes:
        statement: SQL; of an INSERT, the data follow it.
        format: Of the answer, where the statement names none.
        database: Where tables without a database are looked for; empty for ``default``.
        parameters: Name -> value of ``{name:Type}``, escaped as in TabSeparated.
        settings: Of the engine, for this statement.
    """

    statement: bytes
    format: str = "TabSeparated"
    database: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request.

    Attributes:
        body: The result, in `format`.
        format: As the statement names it, or the default.
        read_rows: Rows read from tables.
        read_bytes: Their size.
        written_rows: Rows inserted.
        written_bytes: Their size.
        result_rows: Rows of the result.
        elapsed_seconds: How long the engine took.
    """

    body: bytes
    format: str
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    elapsed_seconds: float = 0.0
