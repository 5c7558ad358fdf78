"""What answers look like; their examples are those of the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ActiveAgent",
    "AgentUsage",
    "Execution",
    "ExecutionPage",
    "ExecutionStats",
    "ModelUsage",
    "Period",
    "ProjectStats",
    "ProjectUsage",
    "Summary",
    "Ticket",
    "TimelineEvent",
    "TimelinePage",
    "Totals",
    "Usage",
    "UsagePage",
    "moment",
    "usd",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEXT: Final = "Cursor of the next page; null where this is the last."


def moment(us: int) -> datetime:
    """Returns a time from its microseconds since 1970."""
    return EPOCH + timedelta(microseconds=us)


def usd(nano_usd: int) -> float:
    """Returns dollars."""
    return nano_usd / 1e9


class Usage(BaseModel):
    """One call of a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "8f14e45fceea167a5a36dedd4bea2543",
                    "timestamp": "2026-11-20T10:48:37.383926Z",
                    "agentscope_project_id": "proj-123",
                    "agentscope_agent_id": "agent-456",
                    "agent_name": "Strategy Agent",
                    "model_name": "gpt-4",
                    "input_tokens": 100,
                    "output_tokens": 50,
                    "total_tokens": 150,
                    "cache_read_tokens": 0,
                    "cache_write_tokens": 0,
                    "reasoning_tokens": 0,
                    "cost_usd": 0.01,
                    "cost_source": "client",
                    "duration_ms": 1500.5,
                    "span_id": "",
                }
            ]
        }
    )

    id: str
    timestamp: datetime
    agentscope_project_id: str
    agentscope_agent_id: str
    agent_name: str
    model_name: str
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_read_tokens: int = Field(description="Part of input_tokens.")
    cache_write_tokens: int = Field(description="Part of input_tokens.")
    reasoning_tokens: int = Field(description="Part of output_tokens.")
    cost_usd: float
    cost_source: Literal["none", "client", "priced"] = Field(
        description="Who says what it cost: nobody, who sent it, or the price list."
    )
    duration_ms: float
    span_id: str


class UsagePage(BaseModel):
    """Calls, newest first."""

    results: list[Usage]
    next: str | None = Field(description=NEXT)


class Totals(BaseModel):
    """Sums over all calls."""

    total_tokens: int
    total_cost_usd: float
    total_calls: int
    avg_duration_ms: float


class AgentUsage(BaseModel):
    """Sums over an agent's calls."""

    agent_name: str
    tokens: int
    cost: float = Field(description="In USD.")
    calls: int


class ModelUsage(BaseModel):
    """Sums over a model's calls."""

    model_name: str
    tokens: int
    cost: float = Field(description="In USD.")
    calls: int


class Summary(BaseModel):
    """Sums over calls: all together, by agent and by model, most tokens first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "summary": {
                        "total_tokens": 150000,
                        "total_cost_usd": 15.5,
                        "total_calls": 500,
                        "avg_duration_ms": 1200.5,
                    },
                    "by_agent": [
                        {"agent_name": "Strategy Agent", "tokens": 80000, "cost": 8.0, "calls": 200}
                    ],
                    "by_model": [{"model_name": "gpt-4", "tokens": 100000, "cost": 12.0, "calls": 300}],
                }
            ]
        }
    )

    summary: Totals
    by_agent: list[AgentUsage]
    by_model: list[ModelUsage]


class Period(BaseModel):
    """Sums over the calls of one hour, day or week."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"period": "2026-11-20T10:00:00Z", "tokens": 1500, "cost": 0.1, "calls": 10}]
        }
    )

    period: datetime = Field(description="Its beginning.")
    tokens: int
    cost: float = Field(description="In USD.")
    calls: int


class Execution(BaseModel):
    """One execution of an agent, as it was last told."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "exec-1",
                    "execution_id": "exec-1",
                    "agentscope_project_id": "proj-123",
                    "agentscope_agent_id": "agent-456",
                    "agent_name": "Strategy Agent",
                    "node_id": "node-1",
                    "round_index": 0,
                    "start_time": "2026-11-20T10:48:37.504956Z",
                    "end_time": "2026-11-20T10:48:49.504956Z",
                    "duration_ms": 12000.0,
                    "status": "completed",
                    "content": "done",
                    "error_message": "",
                    "llm_calls": 2,
                    "total_tokens": 300,
                    "total_cost_usd": 0.02,
                }
            ]
        }
    )

    id: str
    execution_id: str
    agentscope_project_id: str
    agentscope_agent_id: str
    agent_name: str
    node_id: str
    round_index: int
    start_time: datetime
    end_time: datetime | None
    duration_ms: float | None
    status: Literal["running", "completed", "failed"]
    content: str
    error_message: str
    llm_calls: int
    total_tokens: int
    total_cost_usd: float


class ExecutionPage(BaseModel):
    """Executions, newest start first."""

    results: list[Execution]
    next: str | None = Field(description=NEXT)


class TimelineEvent(BaseModel):
    """Something that happened."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "45c48cce2e2d7fbdea1afc51c7c6ad26",
                    "timestamp": "2026-11-20T10:48:37.383926Z",
                    "event_type": "llm_call",
                    "agentscope_project_id": "proj-123",
                    "agentscope_agent_id": "agent-456",
                    "node_id": "node-1",
                    "message": "asked gpt-4",
                    "metadata": {"attempt": 1},
                }
            ]
        }
    )

    id: str
    timestamp: datetime
    event_type: str
    agentscope_project_id: str
    agentscope_agent_id: str
    node_id: str
    message: str
    metadata: dict[str, Any]


class TimelinePage(BaseModel):
    """Events, newest first."""

    results: list[TimelineEvent]
    next: str | None = Field(description=NEXT)


class ProjectUsage(BaseModel):
    """Sums over a project's calls."""

    total_tokens: int
    total_cost_usd: float
    llm_calls: int


class ExecutionStats(BaseModel):
    """How a project's executions ended."""

    total: int
    running: int
    completed: int
    failed: int
    success_rate: float = Field(description="Completed of all, running ones included, in percent.")
    avg_duration_ms: float = Field(description="Of those whose duration is known.")


class ActiveAgent(BaseModel):
    """An execution that runs."""

    agent_name: str
    start_time: datetime
    round_index: int


class ProjectStats(BaseModel):
    """One project's numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "project_id": "proj-123",
                    "usage": {"total_tokens": 150000, "total_cost_usd": 15.5, "llm_calls": 500},
                    "executions": {
                        "total": 40,
                        "running": 1,
                        "completed": 37,
                        "failed": 2,
                        "success_rate": 92.5,
                        "avg_duration_ms": 8200.0,
                    },
                    "active_agents": [
                        {
                            "agent_name": "Strategy Agent",
                            "start_time": "2026-11-20T10:48:37.504956Z",
                            "round_index": 0,
                        }
                    ],
                }
            ]
        }
    )

    project_id: str
    usage: ProjectUsage
    executions: ExecutionStats
    active_agents: list[ActiveAgent]


class Ticket(BaseModel):
    """Opens one live stream, once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ticket": "k3Jx0m8Qw1s5b7y2n4v6c9z1a3d5f7h9j0l2p4r6t8u", "expires_in_seconds": 30}]
        }
    )

    ticket: str
    expires_in_seconds: int
