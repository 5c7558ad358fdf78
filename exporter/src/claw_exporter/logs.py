"""One JSON object per line: the event's name, then its fields; secrets are masked wherever they turn up."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = "***"
_NOTHING: Final = r"(?!)"


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object; ``extra={"fields": {...}}`` adds fields.

    Args:
        secrets: Texts that are replaced by ``***``.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        # The longest first: one may be part of another. Whole words only: a password may be part of a name.
        longest_first = sorted(filter(None, secrets), key=len, reverse=True)
        words = "|".join(rf"(?<!\w){re.escape(secret)}(?!\w)" for secret in longest_first)
        self._secret = re.compile(words or _NOTHING)

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(self._masked(line), ensure_ascii=False, default=str)

    def _masked(self, value: object) -> object:
        match value:
            case dict():
                return {name: self._masked(item) for name, item in value.items()}
            case list() | tuple():
                return [self._masked(item) for item in value]
            case str():
                return self._secret.sub(MASK, value)
            case int() | float() | None:
                return value
            case _:
                return self._masked(str(value))


def configure(stream: TextIO, *, level: str, secrets: Iterable[str] = ()) -> None:
    """Send the log of the whole process to ``stream``, from ``level`` on, without ``secrets``."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their routine lines say nothing that our own "started" and "stopped" do not.
    for chatty in ("uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
