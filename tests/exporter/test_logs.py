"""The exporter's log: one JSON object a line, no secrets in it."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from claw_exporter.logs import JsonFormatter, configure

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def line(*secrets: str, message: str = "happened", **fields: object) -> dict[str, object]:
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, message, None, None)
    record.fields = fields
    parsed: dict[str, object] = json.loads(JsonFormatter(secrets).format(record))
    return parsed


def test_a_line_is_an_event_with_fields() -> None:
    written = line(probe="db", seconds=1.5, done=True)
    assert written.pop("time")
    assert written == {
        "level": "warning",
        "event": "happened",
        "logger": "a.b",
        "probe": "db",
        "seconds": 1.5,
        "done": True,
    }


def test_secrets_are_masked_in_events_fields_and_objects() -> None:
    written = line(
        "hunter2",
        "postgres://u:hunter2@h",
        message="to hunter2",
        dsn="postgres://u:hunter2@h",
        at={"a": ["hunter2"]},
    )
    assert (written["event"], written["dsn"], written["at"]) == ("to ***", "***", {"a": ["***"]})


def test_a_secret_that_is_part_of_a_name_leaves_the_name_alone() -> None:
    assert line("claw", message="claw_exporter as claw")["event"] == "claw_exporter as ***"


def test_exceptions_come_as_one_field_without_secrets() -> None:
    stream = io.StringIO()
    configure(stream, level="info", secrets=["hunter2"])
    logging.getLogger("x").error("broke", exc_info=ValueError("hunter2"))
    written = json.loads(stream.getvalue())
    assert written["traceback"].endswith("ValueError: ***")


def test_routine_lines_of_the_server_are_left_out() -> None:
    configure(sys.stderr, level="debug")
    assert logging.getLogger("uvicorn.error").getEffectiveLevel() == logging.WARNING
    assert logging.getLogger("claw_exporter").getEffectiveLevel() == logging.DEBUG
