"""Whatever is asked, the answer is one: never a 5xx, and what succeeds has the shape that OpenAPI says."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BASE = "/api/v1/observability"
NAMES = [
    "days",
    "start",
    "end",
    "project",
    "agent",
    "model",
    "status",
    "limit",
    "cursor",
    "interval",
    "event_type",
]
VALUES = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(
        ["hour", "day", "week", "running", "1", "30", "1000", "'", "\\", "%00", "{x}", "🙂", "NaN"]
    ),
    st.binary(max_size=20).map(lambda raw: raw.decode("latin-1")),
)
ASKED = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
PATHS = [
    "/usage",
    "/usage/summary",
    "/usage/trend",
    "/executions",
    "/executions/active",
    "/timeline",
    "/project/{}/stats",
]


async def test_no_question_is_answered_with_5xx(api: Any) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(path=st.sampled_from(PATHS), project=st.text(min_size=1, max_size=20), asked=ASKED)
    def ask(path: str, project: str, asked: dict[str, str]) -> None:
        where = path.format(quote(project, safe=""))
        answer = asyncio.run_coroutine_threadsafe(api.ask(where, **asked), loop).result(30)
        assert answer.status_code < 500, (where, asked, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["error"].startswith("err-claw-hub-"), (where, asked, answer.text)

    await asyncio.to_thread(ask)


async def test_every_operation_is_described_with_an_example(app: Any) -> None:
    document = app.openapi()
    assert sorted(document["paths"]) == sorted(
        [
            *(f"{BASE}{path}" for path in PATHS[:-1]),
            f"{BASE}/project/{{project_id}}/stats",
            f"{BASE}/stream",
            f"{BASE}/stream/tickets",
        ]
    )
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert {"APIKeyHeader", "HTTPBearer"} <= {name for way in operation["security"] for name in way}
        assert "422" not in operation["responses"]
    models = document["components"]["schemas"]
    for name in (
        "Usage",
        "Summary",
        "Period",
        "Execution",
        "TimelineEvent",
        "ProjectStats",
        "Ticket",
        "Refusal",
    ):
        assert models[name]["examples"], name
