"""Business numbers: the rows of a query in SQL, turned into metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from claw_exporter.collectors.base import Collector, Labels, ProbeError, Report, Schedule
from claw_exporter.collectors.postgres import ERRORS, PostgresLink, milliseconds

if TYPE_CHECKING:
    from claw_exporter.settings import Query, QueryMetric

LONGEST_LABEL_CHARACTERS: Final = 128
# Rows beyond the limit are counted on the server, but not without end.
MOST_COUNTED_ROWS: Final = 100_000

Row = Mapping[str, Any] | asyncpg.Record


class QueryCollector(Collector):
    """Asks one query.

    Args:
        query: Which.
        link: To the database that the query names.
    """

    errors = ERRORS

    def __init__(self, query: Query, link: PostgresLink) -> None:
        name = f"query/{query.name}"
        super().__init__(
            Schedule(
                name=name, interval_seconds=query.interval_seconds, timeout_seconds=query.timeout_seconds
            ),
            link,
            origin=(query, link),
        )
        self._query = query
        self._link = link
        self.metrics = tuple(metric.spec() for metric in query.metrics)

    async def collect(self) -> Report:
        """Ask, with the server's own deadline beside ours, so that no query outlives its answer."""
        connection = await self._link.get()
        query = self._query
        async with connection.transaction(readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = {milliseconds(query.timeout_seconds)}")
            cursor = await connection.cursor(query.sql)
            rows = await cursor.fetch(query.max_rows)
            dropped = await cursor.forward(MOST_COUNTED_ROWS) if len(rows) == query.max_rows else 0
        return Report(
            {metric.name: samples(metric, rows) for metric in query.metrics if rows},
            dropped_rows=dropped,
        )


def samples(metric: QueryMetric, rows: Sequence[Row]) -> dict[Labels, float]:
    """Turn rows into label values and numbers; a row whose value is NULL says nothing and is skipped.

    Raises:
        ProbeError: A column is missing, a value is no number, or two rows have the same labels.
    """
    found: dict[Labels, float] = {}
    for row in rows:
        if _column(row, metric.value) is None:
            continue
        labels = tuple(_label(_column(row, name)) for name in metric.labels)
        if labels in found:
            raise ProbeError("result", f"{metric.name} gets two rows with the labels {labels}; GROUP BY them")
        found[labels] = _number(row[metric.value], metric.value)
    return found


def _column(row: Row, name: str) -> Any:  # noqa: ANN401 - whatever Postgres gives
    try:
        return row[name]
    except KeyError:
        raise ProbeError(
            "result", f"the query gives no column {name!r}; it gives {', '.join(row.keys())}"
        ) from None


def _label(value: object) -> str:
    return "" if value is None else str(value)[:LONGEST_LABEL_CHARACTERS]


def _number(value: object, column: str) -> float:
    if isinstance(value, int | float | Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise ProbeError(
        "result", f"the column {column!r} holds {str(value)[:40]!r}, which is no number; cast it"
    )
