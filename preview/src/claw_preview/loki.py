"""The part of Loki's HTTP API the page may use: log lines, counts of them, and values of variables."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

import httpx

from claw_preview.errors import BadQueryError, LokiError
from claw_preview.prometheus import LABEL_VALUES
from claw_preview.source import Answer, Source, Troubles

__all__ = ["Loki"]

NANOSECONDS = 1_000_000_000
TIMES = ("start", "end", "time")


class Loki(Source):
    """Asks one Loki. Times are given in seconds, as for Prometheus."""

    NAME = "Loki"
    PATH = "loki/api/v1"
    START = "start it"
    SETTING = "--loki or CLAW_PREVIEW_LOKI_URL"
    PARAMETERS: ClassVar = {
        "query": frozenset({"query", "time", "limit", "direction"}),
        "query_range": frozenset({"query", "start", "end", "step", "limit", "direction"}),
    }
    TROUBLES = Troubles(LokiError, LokiError, LokiError, LokiError)

    async def ask(self, endpoint: str, parameters: Mapping[str, str]) -> Answer:
        """Pass `query` or `query_range` on; see Source.ask."""
        return await super().ask(endpoint, _in_nanoseconds(parameters))

    async def variable(self, query: str, *, start: str, end: str) -> list[str]:
        """Values of a dashboard variable: label_values(label) or label_values({selector}, label).

        Raises:
            BadQueryError: another kind of query, or Loki refuses it.
            LokiError: no usable answer.
        """
        match = LABEL_VALUES.fullmatch(query.strip())
        if not match:
            raise BadQueryError(
                f"the variable query {query.strip()!r} is not understood; it must be label_values(label) "
                "or label_values({selector}, label)"
            )
        selector = (match["selector"] or "").strip()
        span = _in_nanoseconds({"start": start, "end": end})
        return await self._strings(
            f"label/{match['label']}/values", span | ({"query": selector} if selector else {})
        )

    def _speaks(self, response: httpx.Response) -> bool:
        # A refusal is plain text.
        return response.status_code in {400, 429} or super()._speaks(response)

    def _understood(self, status: int, body: bytes) -> Answer:
        """A refusal gets the form of Prometheus', so that the page reads one form only."""
        if body.lstrip().startswith(b"{"):
            return Answer(status, body)
        error = body.decode(errors="replace").strip()
        return Answer(status, json.dumps({"status": "error", "errorType": "loki", "error": error}).encode())


def _in_nanoseconds(parameters: Mapping[str, str]) -> dict[str, str]:
    """Loki takes whole nanoseconds; a number it cannot be is its own to refuse."""
    return {
        name: str(int(Decimal(value) * NANOSECONDS)) if name in TIMES and _is_number(value) else value
        for name, value in parameters.items()
    }


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
