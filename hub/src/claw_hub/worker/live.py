"""Rows that were stored, as those who watch get them: shaped as the query API shapes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from claw_hub.records import Kind, LiveEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import pyarrow as pa

__all__ = ["live_events"]

NANO: Final = 1e9
US_PER_MS: Final = 1000


def live_events(kind: Kind, rows: pa.Table) -> Iterator[LiveEvent]:
    """Yields an event for each row of a staging table; a watcher knows one that comes again by its id."""
    shape = _SHAPES[kind]
    for row in rows.to_pylist():
        common = {
            "agentscope_project_id": row["project_id"],
            "agentscope_agent_id": row["agent_id"],
        }
        yield LiveEvent(row["tenant_id"], row["project_id"], kind, shape(row) | common)


def _usage(row: dict[str, Any]) -> dict[str, Any]:
    return _copied(row, _USAGE) | {
        "id": row["event_id"].hex(),
        "timestamp": _moment(row["ts"]),
        "cost_usd": row["cost_nano_usd"] / NANO,
        "duration_ms": row["duration_us"] / US_PER_MS,
    }


def _execution(row: dict[str, Any]) -> dict[str, Any]:
    return _copied(row, _EXECUTION) | {
        "id": row["execution_id"],
        "start_time": _moment(row["started_at"]),
        "end_time": row["ended_at"] and _moment(row["ended_at"]),
        "duration_ms": None if row["duration_us"] is None else row["duration_us"] / US_PER_MS,
        "total_cost_usd": row["total_cost_nano_usd"] / NANO,
    }


def _timeline(row: dict[str, Any]) -> dict[str, Any]:
    return _copied(row, ("event_type", "node_id", "message")) | {
        "id": row["event_id"].hex(),
        "timestamp": _moment(row["ts"]),
        "metadata": orjson.loads(row["metadata"]),
    }


def _copied(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


_USAGE: Final = (
    "agent_name",
    "model_name",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_source",
    "span_id",
)
_EXECUTION: Final = (
    "execution_id",
    "agent_name",
    "node_id",
    "round_index",
    "status",
    "content",
    "error_message",
    "llm_calls",
    "total_tokens",
)
_SHAPES: Final[dict[Kind, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    Kind.USAGE: _usage,
    Kind.EXECUTION: _execution,
    Kind.TIMELINE: _timeline,
}
