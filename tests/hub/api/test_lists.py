"""Executions, events, and a project's numbers."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401
# Statements for DuckDB are put together of fixed pieces.
# ruff: noqa: S608

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW_US = 1_795_264_496_789_000
DAY_US = 86_400_000_000


def executions(tenant: int) -> list[dict[str, Any]]:
    """Executions of 60 days, told of when they began; most of them again, when they ended."""
    chance = random.Random(tenant)
    rows = []
    for number in range(1500):
        agent = chance.randrange(9)
        row: dict[str, Any] = {
            "tenant_id": tenant,
            "execution_id": f"run/{number} \\ 'é'",
            "project_id": chance.choice(["p1", "p2", "", "a/b"]),
            "agent_id": f"a{agent}",
            "agent_name": f"Agent {agent % 7}",
            "started_at": NOW_US - chance.randrange(60) * DAY_US - chance.randrange(3) * 1000,
            "content": f"content of {number}",
            "ver": 1,
        }
        rows.append(row)
        if number % 5:
            ended = {
                "status": chance.choice(["completed", "failed"]),
                "ended_at": row["started_at"] + 5_000_000,
            }
            timed = {"duration_us": chance.choice([None, chance.randrange(10**9)])}
            rows.append({**row, **ended, **timed, "ver": 2})
    chance.shuffle(rows)
    return rows


async def all_pages(api: Any, path: str, **asked: Any) -> AsyncIterator[dict[str, Any]]:
    while True:
        page = await api.get(path, **asked)
        assert len(page["results"]) <= asked["limit"]
        for entry in page["results"]:
            yield entry
        if page["next"] is None:
            return
        asked["cursor"] = page["next"]


def oracle(delivered: Any, identity: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.register("delivered", delivered)
    connection.execute(
        "CREATE TABLE rows AS SELECT * FROM delivered"
        f" QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY ver DESC) = 1"
    )
    return connection


@pytest.mark.parametrize(
    ("path", "asked", "where"),
    [
        ("/executions", {}, f"epoch_us(started_at) >= {NOW_US - 30 * DAY_US}"),
        ("/executions", {"days": 90, "status": "failed"}, "status = 'failed'"),
        (
            "/executions",
            {"days": 90, "project": "a/b", "agent": "Agent 1"},
            "project_id = 'a/b' AND agent_name = 'Agent 1'",
        ),
        ("/executions", {"days": 90, "agent": "a8"}, "agent_id = 'a8'"),
        ("/executions/active", {}, "status = 'running'"),
        ("/executions/active/", {"project": "p1"}, "status = 'running' AND project_id = 'p1'"),
    ],
)
async def test_pages_of_executions_are_what_duckdb_finds(
    store: Any, api: Any, path: str, asked: dict[str, Any], where: str
) -> None:
    known = oracle(await store.insert("stg_executions", executions(api.tenant)), "execution_id")
    found = known.execute(
        "SELECT execution_id, status, duration_us / 1000, content FROM rows"
        f" WHERE {where} ORDER BY started_at DESC, encode(execution_id) DESC"
    ).fetchall()
    got = [
        (entry["execution_id"], entry["status"], entry["duration_ms"], entry["content"])
        async for entry in all_pages(api, path, limit=37, **asked)
    ]
    assert got == found
    assert got


async def test_an_execution_has_the_fields_of_document_1(store: Any, api: Any) -> None:
    ended = {"status": "completed", "ended_at": NOW_US, "duration_us": 12_000, "ver": 2, "content": "done"}
    await store.insert("stg_executions", [{"tenant_id": api.tenant}])
    await store.insert("stg_executions", [{"tenant_id": api.tenant, **ended}])
    [entry] = (await api.get("/executions/"))["results"]
    assert entry == {
        "id": "e1",
        "execution_id": "e1",
        "agentscope_project_id": "p1",
        "agentscope_agent_id": "a1",
        "agent_name": "Strategy Agent",
        "node_id": "n1",
        "round_index": 0,
        "start_time": "2026-11-21T12:33:56.789000Z",
        "end_time": "2026-11-21T12:34:56.789000Z",
        "duration_ms": 12.0,
        "status": "completed",
        "content": "done",
        "error_message": "",
        "llm_calls": 2,
        "total_tokens": 300,
        "total_cost_usd": 0.02,
    }


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({}, "true"),
        ({"project": "p2"}, "project_id = 'p2'"),
        ({"agent": "a3", "event_type": "tool"}, "agent_id = 'a3' AND event_type = 'tool'"),
        ({"days": 3}, f"epoch_us(ts) >= {NOW_US - 3 * DAY_US}"),
    ],
)
async def test_pages_of_the_timeline_are_what_duckdb_finds(
    store: Any, api: Any, asked: dict[str, Any], where: str
) -> None:
    chance = random.Random(api.tenant)
    events = [
        {
            "tenant_id": api.tenant,
            "event_id": number.to_bytes(16, "big"),
            "ts": NOW_US - chance.randrange(25) * DAY_US - chance.randrange(3),
            "project_id": chance.choice(["p1", "p2", ""]),
            "agent_id": f"a{chance.randrange(5)}",
            "event_type": chance.choice(["llm_call", "tool"]),
            "message": f"message {number}",
        }
        for number in range(900)
    ]
    known = oracle(await store.insert("stg_timeline", events * 2), "project_id, ts, event_id")
    found = known.execute(
        f"SELECT lower(hex(event_id)), message FROM rows WHERE {where} ORDER BY ts DESC, event_id DESC"
    ).fetchall()
    got = [(e["id"], e["message"]) async for e in all_pages(api, "/timeline", limit=41, **asked)]
    assert got == found
    assert got


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('{"x":1,"y":{"z":["é",null]}}', {"x": 1, "y": {"z": ["é", None]}}),
        ("", {}),
        ("[1]", {"value": [1]}),
        ("{cut off", {"value": "{cut off"}),
    ],
)
async def test_what_an_event_carries_is_an_object(store: Any, api: Any, stored: str, shown: Any) -> None:
    await store.insert("stg_timeline", [{"tenant_id": api.tenant, "metadata": stored}])
    [entry] = (await api.get("/timeline/"))["results"]
    assert entry == {
        "id": "0" * 32,
        "timestamp": "2026-11-21T12:33:56.789000Z",
        "event_type": "llm_call",
        "agentscope_project_id": "p1",
        "agentscope_agent_id": "a1",
        "node_id": "n1",
        "message": "asked",
        "metadata": shown,
    }


@pytest.mark.parametrize("project", ["p1", "a/b", "unheard of"])
async def test_a_projects_numbers_are_what_duckdb_finds(store: Any, api: Any, project: str) -> None:
    known = oracle(await store.insert("stg_executions", executions(api.tenant)), "execution_id")
    calls = [
        {
            "tenant_id": api.tenant,
            "event_id": number.to_bytes(16, "big"),
            "ts": NOW_US - number * DAY_US,
            "project_id": ["p1", "a/b"][number % 2],
        }
        for number in range(100)
    ]
    await store.insert("stg_usage", calls)
    await store.fill_mart()
    answer = await api.get(f"/project/{project}/stats")
    ends = known.execute(
        "SELECT count(*), count(*) FILTER (status = 'running'), count(*) FILTER (status = 'completed'),"
        " count(*) FILTER (status = 'failed'), coalesce(avg(duration_us) / 1000, 0)"
        " FROM rows WHERE project_id = ?",
        [project],
    ).fetchall()[0]
    running = known.execute(
        "SELECT agent_name FROM rows WHERE project_id = ? AND status = 'running'"
        " ORDER BY started_at DESC, encode(execution_id) DESC LIMIT 100",
        [project],
    ).fetchall()
    count = sum(call["project_id"] == project for call in calls)
    assert answer["project_id"] == project
    assert answer["usage"] == {
        "total_tokens": 150 * count,
        "total_cost_usd": pytest.approx(0.01 * count),
        "llm_calls": count,
    }
    assert answer["executions"] == {
        "total": ends[0],
        "running": ends[1],
        "completed": ends[2],
        "failed": ends[3],
        "success_rate": round(ends[2] / ends[0] * 100, 2) if ends[0] else 0.0,
        "avg_duration_ms": pytest.approx(ends[4]),
    }
    assert [agent["agent_name"] for agent in answer["active_agents"]] == [name for (name,) in running]


async def test_a_projects_numbers_can_be_those_of_some_days(store: Any, api: Any) -> None:
    old, new = {"started_at": NOW_US - 9 * DAY_US}, {"started_at": NOW_US - DAY_US // 2, "execution_id": "e2"}
    await store.insert("stg_executions", [{"tenant_id": api.tenant, **old}, {"tenant_id": api.tenant, **new}])
    assert (await api.get("/project/p1/stats/"))["executions"]["total"] == 2
    assert (await api.get("/project/p1/stats/", days=1))["executions"]["total"] == 1
