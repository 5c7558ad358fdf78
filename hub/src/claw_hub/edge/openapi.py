"""What the documentation of the API says about ingest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from claw_hub.errors import (
    BodyError,
    CredentialsError,
    DepthError,
    ForbiddenError,
    MediaTypeError,
    QuotaError,
    RateError,
    RecordError,
    TooLargeError,
    UnavailableError,
)
from claw_hub.records import Kind
from claw_hub.records.models import MODELS
from claw_hub.records.parsing import MAX_RECORDS

if TYPE_CHECKING:
    from claw_hub.errors import HubError

__all__ = ["RESPONSES", "SUMMARIES", "operation"]

SUMMARIES: Final = {
    Kind.USAGE: "Take calls of models: tokens, cost, duration",
    Kind.EXECUTION: "Take executions of agents: when they begin, and again when they have ended",
    Kind.TIMELINE: "Take events of a project's timeline",
}

_EXAMPLES: Final[dict[Kind, dict[str, Any]]] = {
    Kind.USAGE: {
        "timestamp": "2024-01-01T00:00:00Z",
        "agentscope_project_id": "proj-123",
        "agentscope_agent_id": "agent-456",
        "agent_name": "Strategy Agent",
        "model_name": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "cost_usd": 0.01,
        "duration_ms": 1500,
    },
    Kind.EXECUTION: {
        "execution_id": "exec-789",
        "agentscope_project_id": "proj-123",
        "agentscope_agent_id": "agent-456",
        "agent_name": "Strategy Agent",
        "node_id": "node-1",
        "round_index": 0,
        "start_time": "2024-01-01T00:00:00Z",
        "end_time": "2024-01-01T00:00:01.500Z",
        "duration_ms": 1500,
        "status": "completed",
        "content": "Done.",
        "error_message": "",
        "llm_calls": 1,
        "total_tokens": 150,
        "total_cost_usd": 0.01,
    },
    Kind.TIMELINE: {
        "event_type": "llm_call",
        "project_id": "proj-123",
        "agent_id": "agent-456",
        "node_id": "node-1",
        "message": "gpt-4 answered",
        "metadata": {"tokens": 150},
    },
}

_ERRORS: Final[tuple[type[HubError], ...]] = (
    BodyError,
    DepthError,
    RecordError,
    CredentialsError,
    ForbiddenError,
    TooLargeError,
    MediaTypeError,
    QuotaError,
    RateError,
    UnavailableError,
)

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 256},
    "description": "Sent again with the same key, a request is stored once.",
}


def operation(kind: Kind) -> dict[str, Any]:
    """Returns what FastAPI cannot know of an endpoint that reads its body itself."""
    record = MODELS[kind].model_json_schema()
    # How many are too many is 413, like a body that is too large: no matter of the schema, but of size.
    records = {"type": "array", "items": record, "description": f"At most {MAX_RECORDS} records."}
    wrapped = {"type": "object", "properties": {"records": records}, "required": ["records"]}
    example = _EXAMPLES[kind]
    return {
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [record, records, wrapped]},
                    "examples": {
                        "one": {"summary": "One record", "value": example},
                        "array": {"summary": "A batch", "value": [example]},
                        "wrapped": {"summary": "A batch, wrapped", "value": {"records": [example]}},
                    },
                }
            },
        },
    }


def _refusals() -> dict[int | str, dict[str, Any]]:
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in _ERRORS:
        response = by_status.setdefault(error.status, {"description": "", "content": {}})
        meaning = (error.__doc__ or "").partition("\n")[0]
        response["description"] += f"`{error.error_id}`: {meaning}\n\n"
        response["content"] = {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
                    "required": ["error", "message"],
                }
            }
        }
    return by_status


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "It is durable.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "status": {"type": "string", "enum": ["ok"]},
                        "id": {"type": "string"},
                        "accepted": {"type": "integer"},
                    },
                    "required": ["status", "id", "accepted"],
                },
                "example": {"status": "ok", "id": "1763712000123-0", "accepted": 1},
            }
        },
    },
    **_refusals(),
}
