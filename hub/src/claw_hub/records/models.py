"""The three kinds of records, as they are sent: names of requirement document 1, and a few that we add.

Costs are kept in nano-USD, durations in microseconds. A time without a zone stays naive: `instant_us` takes
the tenant's. Fields that are not here are ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, WithJsonSchema

# pydantic reads them when it builds the models.
from claw_hub.records.fields import (  # noqa: TC001
    Count,
    DurationUs,
    Id,
    JsonText,
    LongText,
    Name,
    NanoUsd,
    OptionalDurationUs,
    OptionalTime,
    RequiredId,
    RequiredName,
    Round,
    Text,
    TokenSum,
)
from claw_hub.records.kinds import Kind

__all__ = ["MODELS", "ExecutionRecord", "Record", "Status", "TimelineRecord", "UsageRecord"]

if TYPE_CHECKING:
    from typing import Final


class Status(StrEnum):
    """How far an execution is; a later one wins over an earlier one."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


def _named(*names: str, default: Any = ...) -> Any:  # noqa: ANN401 - as pydantic's Field
    return Field(default, validation_alias=AliasChoices(*names))


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    event_id: Id = ""
    project_id: Id = _named("agentscope_project_id", "project_id", default="")
    agent_id: Id = _named("agentscope_agent_id", "agent_id", default="")


class UsageRecord(_Record):
    """One call of a model."""

    kind: ClassVar[Kind] = Kind.USAGE

    model_name: Name
    agent_name: Name = ""
    timestamp: OptionalTime = None
    input_tokens: Count = 0
    output_tokens: Count = 0
    total_tokens: Count = 0
    cache_read_tokens: Count = _named("cache_read_tokens", "cache_read_input_tokens", default=0)
    cache_write_tokens: Count = _named("cache_write_tokens", "cache_creation_input_tokens", default=0)
    reasoning_tokens: Count = 0
    cost_nano_usd: NanoUsd = _named("cost_usd", default=0)
    duration_us: DurationUs = _named("duration_ms", default=0)
    span_id: Id = ""

    @property
    def tokens(self) -> int:
        """The total; the sum where the client did not say it."""
        return self.total_tokens or self.input_tokens + self.output_tokens


class ExecutionRecord(_Record):
    """One execution of an agent; told when it begins, and again when it has ended."""

    kind: ClassVar[Kind] = Kind.EXECUTION

    execution_id: RequiredId
    status: Annotated[Status, WithJsonSchema({"type": "string", "enum": list(Status)})]
    agent_name: Name = ""
    node_id: Id = ""
    round_index: Round = 0
    started_at: OptionalTime = _named("start_time", default=None)
    ended_at: OptionalTime = _named("end_time", default=None)
    duration_us: OptionalDurationUs = _named("duration_ms", default=None)
    content: LongText = ""
    error_message: Text = ""
    llm_calls: Count = 0
    total_tokens: TokenSum = 0
    total_cost_nano_usd: NanoUsd = _named("total_cost_usd", default=0)


class TimelineRecord(_Record):
    """Something that happened in a project; the seed's client says no time, so that of its arrival counts."""

    kind: ClassVar[Kind] = Kind.TIMELINE

    event_type: RequiredName
    timestamp: OptionalTime = None
    node_id: Id = ""
    message: Text = ""
    metadata: JsonText = "{}"


Record = UsageRecord | ExecutionRecord | TimelineRecord

MODELS: Final[dict[Kind, type[Record]]] = {
    model.kind: model for model in (UsageRecord, ExecutionRecord, TimelineRecord)
}
