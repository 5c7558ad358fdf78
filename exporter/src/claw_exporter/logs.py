"""One JSON object per line: the event's name, then its fields; secrets are masked wherever they turn up."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = "***"


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object; ``extra={"fields": {...}}`` adds fields.

    Args:
        secrets: Texts that are replaced by ``***``.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        # The longest first: one secret may be part of another.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

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
            case str():
                for secret in self._secrets:
                    value = value.replace(secret, MASK)
                return value
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
