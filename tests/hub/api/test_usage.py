"""Calls: as a list, summed up, over time; every number beside DuckDB's over the same rows."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401
# Statements for DuckDB are put together of fixed pieces.
# ruff: noqa: S608

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

if TYPE_CHECKING:
    import pyarrow as pa

NOW = 1_795_264_496.789
NOW_US = int(NOW * 1e6)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
AHEAD_US = 2 * DAY_US


def generated(tenant: int, count: int = 6000) -> list[dict[str, Any]]:
    """Rows of 40 days and the ten hours to come; every tenth was delivered before, with other numbers."""
    chance = random.Random(tenant)
    rows = []
    for number in range(count):
        agent = chance.randrange(15)
        row = {
            "tenant_id": tenant,
            "ts": NOW_US + 10 * HOUR_US - int(chance.random() ** 2 * 40 * DAY_US),
            "event_id": number.to_bytes(16, "big"),
            "project_id": chance.choice(["p1", "p2", "", "a/b", "it's \\ 100%"]),
            "agent_id": f"a{agent}",
            "agent_name": f"Agent {agent % 12}",
            "model_name": chance.choice(["gpt-4", "glm-4", "模型", "o'neil"]),
            "input_tokens": chance.randrange(4_000_000_000),
            "total_tokens": chance.randrange(4_000_000_000),
            "cost_nano_usd": chance.randrange(10**12),
            "duration_us": chance.randrange(10**9),
            "ver": 2,
        }
        rows.append(row)
        if number % 10 == 0:
            rows.append(row | {"total_tokens": 1, "cost_nano_usd": 1, "ver": 1})
    chance.shuffle(rows)
    return rows


class Oracle:
    """The same questions in another engine's words."""

    def __init__(self, rows: pa.Table) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register("delivered", rows)
        self._connection.execute(
            "CREATE TABLE calls AS SELECT * FROM delivered"
            " QUALIFY row_number() OVER (PARTITION BY project_id, event_id ORDER BY ver DESC) = 1"
        )

    def ask(self, sql: str, start_us: int, end_us: int, **filters: str) -> list[tuple[Any, ...]]:
        columns = {"project": "project_id = ?", "model": "model_name = ?"}
        columns["agent"] = "? IN (agent_name, agent_id)"
        where = ["epoch_us(ts) >= ?", "epoch_us(ts) < ?", *(columns[name] for name in filters)]
        filled = sql.format(calls=f"(SELECT * FROM calls WHERE {' AND '.join(where)})")
        return self._connection.execute(filled, [start_us, end_us, *filters.values()]).fetchall()


RANGES: list[tuple[dict[str, Any], int, int]] = [
    ({}, NOW_US - 30 * DAY_US, NOW_US + AHEAD_US),
    ({"days": 1}, NOW_US - DAY_US, NOW_US + AHEAD_US),
    ({"days": 3660}, 0, NOW_US + AHEAD_US),
    (
        {"start": "2026-11-19T10:20:30Z", "end": "2026-11-19T10:40:30Z"},
        1_795_083_630_000_000,
        1_795_084_830_000_000,
    ),
    (
        {"start": "2026-11-01T00:00:00+08:00", "end": "2026-11-20T23:59:59.999999"},
        1_793_462_400_000_000,
        1_795_219_199_999_999,
    ),
    ({"end": "2026-11-10", "days": 5}, 1_793_836_800_000_000, 1_794_268_800_000_000),
]
FILTERS: list[dict[str, str]] = [
    {},
    {"project": "p1"},
    {"project": "it's \\ 100%"},
    {"agent": "Agent 3"},
    {"agent": "a13"},
    {"model": "模型", "project": "a/b"},
    {"model": "o'neil", "agent": "Agent 1"},
]


@pytest.mark.parametrize("filters", FILTERS)
async def test_a_summary_says_what_duckdb_says(store: Any, api: Any, filters: dict[str, str]) -> None:
    oracle = Oracle(await store.insert("stg_usage", generated(api.tenant)))
    await store.fill_mart()
    for asked, start_us, end_us in RANGES:
        answer = await api.get("/usage/summary", **asked, **filters)
        [total] = oracle.ask(
            "SELECT coalesce(sum(total_tokens), 0), coalesce(sum(cost_nano_usd), 0), count(*),"
            " coalesce(sum(duration_us) / count(*), 0) FROM {calls}",
            start_us,
            end_us,
            **filters,
        )
        assert answer["summary"] == {
            "total_tokens": total[0],
            "total_cost_usd": pytest.approx(float(total[1]) / 1e9),
            "total_calls": total[2],
            "avg_duration_ms": pytest.approx(float(total[3]) / 1000),
        }
        for name, column, most in (("by_agent", "agent_name", 10), ("by_model", "model_name", 1000)):
            wanted = oracle.ask(
                f"SELECT {column}, sum(total_tokens) AS tokens, sum(cost_nano_usd), count(*) FROM {{calls}}"
                f" GROUP BY 1 ORDER BY tokens DESC, 1 LIMIT {most}",
                start_us,
                end_us,
                **filters,
            )
            assert answer[name] == [
                {column: key, "tokens": tokens, "cost": pytest.approx(float(cost) / 1e9), "calls": calls}
                for key, tokens, cost, calls in wanted
            ]


@pytest.mark.parametrize("interval", ["hour", "day", "week"])
@pytest.mark.parametrize("filters", FILTERS[:4])
async def test_a_trend_says_what_duckdb_says(
    store: Any, api: Any, interval: str, filters: dict[str, str]
) -> None:
    oracle = Oracle(await store.insert("stg_usage", generated(api.tenant)))
    await store.fill_mart()
    for asked, start_us, end_us in (RANGES[1], *RANGES[3:]):
        answer = await api.get("/usage/trend", interval=interval, **asked, **filters)
        wanted = oracle.ask(
            f"SELECT epoch_us(date_trunc('{interval}', make_timestamp(epoch_us(ts)))),"
            " sum(total_tokens), sum(cost_nano_usd), count(*) FROM {calls}"
            " GROUP BY 1 ORDER BY 1",
            start_us,
            end_us,
            **filters,
        )
        assert [period for period in answer if period["calls"]] == [
            {
                "period": iso(begin),
                "tokens": tokens,
                "cost": pytest.approx(float(cost) / 1e9),
                "calls": calls,
            }
            for begin, tokens, cost, calls in wanted
        ]
        begins = [datetime.fromisoformat(period["period"]).timestamp() for period in answer]
        lengths = {after - before for before, after in itertools.pairwise(begins)}
        assert len(lengths) <= 1, "a period without calls is there, with zeros"


@pytest.mark.parametrize("filters", FILTERS)
async def test_pages_of_the_list_are_all_calls_once_newest_first(
    store: Any, api: Any, filters: dict[str, str]
) -> None:
    oracle = Oracle(await store.insert("stg_usage", generated(api.tenant, 2000)))
    asked: dict[str, Any] = {**filters, "limit": 173}
    got = []
    while True:
        page = await api.get("/usage", **asked)
        got += [(call["timestamp"], call["id"], call["total_tokens"]) for call in page["results"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    wanted = oracle.ask(
        "SELECT epoch_us(ts), lower(hex(event_id)), total_tokens FROM {calls}"
        " ORDER BY ts DESC, event_id DESC",
        NOW_US - 30 * DAY_US,
        NOW_US + AHEAD_US,
        **filters,
    )
    assert got == [(iso(ts), id_, tokens) for ts, id_, tokens in wanted]


def iso(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
    return moment.isoformat().replace("+00:00", "Z")


async def test_calls_of_one_microsecond_are_not_lost_between_pages(store: Any, api: Any) -> None:
    ids = [number.to_bytes(16, "big") for number in range(25)]
    await store.insert("stg_usage", [{"tenant_id": api.tenant, "event_id": id_} for id_ in ids])
    first = await api.get("/usage", limit=10)
    second = await api.get("/usage", limit=10, cursor=first["next"])
    third = await api.get("/usage", limit=10, cursor=second["next"])
    got = [call["id"] for page in (first, second, third) for call in page["results"]]
    assert got == [id_.hex() for id_ in reversed(ids)]
    assert third["next"] is None


async def test_a_call_has_the_fields_of_document_1(store: Any, api: Any) -> None:
    await store.insert("stg_usage", [{"tenant_id": api.tenant, "event_id": bytes(15) + b"\x07"}])
    [call] = (await api.get("/usage/"))["results"]
    assert call == {
        "id": "0" * 31 + "7",
        "timestamp": "2026-11-21T12:33:56.789000Z",
        "agentscope_project_id": "p1",
        "agentscope_agent_id": "a1",
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


async def test_whole_hours_come_from_the_mart_and_the_last_one_from_the_calls(store: Any, api: Any) -> None:
    old = {"tenant_id": api.tenant, "ts": NOW_US - 5 * HOUR_US, "total_tokens": 1000}
    await store.insert("stg_usage", [old])
    await store.insert(
        "stg_usage", [{"tenant_id": api.tenant, "event_id": bytes(15) + b"\x01", "total_tokens": 7}]
    )
    assert (await api.get("/usage/summary"))["summary"]["total_tokens"] == 7, (
        "nobody has added up the old hour"
    )
    await store.fill_mart()
    assert (await api.get("/usage/summary"))["summary"]["total_tokens"] == 1007


async def test_the_hour_that_has_just_ended_comes_from_the_calls(store: Any, api: Any, clock: Any) -> None:
    await store.insert("stg_usage", [{"tenant_id": api.tenant, "total_tokens": 9}])
    clock.now = NOW - NOW % 3600 + 3600 + 60
    assert (await api.get("/usage/summary"))["summary"]["total_tokens"] == 9


async def test_who_has_no_calls_gets_zeros(api: Any) -> None:
    answer = await api.get("/usage/summary/")
    zeros = {"total_tokens": 0, "total_cost_usd": 0.0, "total_calls": 0, "avg_duration_ms": 0.0}
    assert answer == {"summary": zeros, "by_agent": [], "by_model": []}
    trend = await api.get("/usage/trend/")
    assert len(trend) == 25
    assert {period["calls"] for period in trend} == {0}
    assert await api.get("/usage") == {"results": [], "next": None}


async def test_a_limit_holds_for_agents_and_models(store: Any, api: Any) -> None:
    await store.insert("stg_usage", generated(api.tenant, 300))
    answer = await api.get(
        "/usage/summary", limit=2, model="", agent="", start="2026-11-21", end="2026-11-22"
    )
    assert (len(answer["by_agent"]), len(answer["by_model"])) == (2, 2)


async def test_times_without_a_zone_are_in_the_tenants(store: Any, api: Any, people: Any) -> None:
    await store.insert("stg_usage", [{"tenant_id": api.tenant}])
    people.zones[api.tenant] = "Asia/Shanghai"
    inside = await api.get("/usage", start="2026-11-21T20:33:00", end="2026-11-21T20:34:00")
    assert len(inside["results"]) == 1
    people.zones[api.tenant] = "Nowhere/At-All"
    outside = await api.get("/usage", start="2026-11-21T20:33:00", end="2026-11-21T20:34:00")
    assert outside["results"] == []
