"""Two tenants whose ids are the same everywhere: neither finds anything of the other."""

# Fixtures of conftest.py are Any here: test files are imported by path, and cannot import its types.
# ruff: noqa: ANN401

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BASE = "/api/v1/observability"
PATHS = [
    "/usage",
    "/usage/summary",
    "/usage/trend",
    "/executions",
    "/executions/active",
    "/timeline",
    "/project/p1/stats",
]
FILTERS: list[dict[str, Any]] = [{}, {"project": "p1"}, {"days": 300}]


@dataclass(frozen=True)
class Event:
    tenant_id: int
    project_id: str
    kind: str
    data: dict[str, Any]


async def fill(store: Any, tenant: int, *, name: str, tokens: int) -> None:
    """Stores the same ids for whoever it is, under names and numbers of his own."""
    own = {"tenant_id": tenant, "project_id": "p1", "agent_id": "a1", "agent_name": name}
    ids = [number.to_bytes(16, "big") for number in range(5)]
    calls = [{**own, "event_id": id_, "model_name": name, "total_tokens": tokens} for id_ in ids]
    await store.insert("stg_usage", calls)
    runs = [{**own, "execution_id": f"e{number}", "content": name} for number in range(5)]
    await store.insert("stg_executions", runs)
    said = {"tenant_id": tenant, "project_id": "p1", "message": name}
    await store.insert("stg_timeline", [{**said, "event_id": id_} for id_ in ids])


async def test_no_endpoint_shows_anything_of_another_tenant(store: Any, api_of: Any) -> None:
    first, second, nobody = store.tenant(), store.tenant(), store.tenant()
    await fill(store, first, name="FIRST", tokens=111)
    await fill(store, second, name="SECOND", tokens=222_222)
    await store.fill_mart()
    for path in PATHS:
        for filters in FILTERS:
            asked = {
                name: value
                for name, value in filters.items()
                if not path.startswith("/project") or name == "days"
            }
            one = (await api_of(first).ask(path + "/", **asked)).text
            two = (await api_of(second).ask(path, **asked)).text
            none = (await api_of(nobody).ask(path, **asked)).text
            assert "SECOND" not in one
            assert "222222" not in one
            assert "1111110" not in one
            assert "FIRST" not in two
            assert "FIRST" not in none
            assert "SECOND" not in none
            assert (":555," in one) == (path in {"/usage/summary", "/usage/trend", "/project/p1/stats"})
            assert (":1111110," in two) == (path in {"/usage/summary", "/usage/trend", "/project/p1/stats"})


async def test_no_live_stream_shows_anything_of_another_tenant(listen: Any, live: Any) -> None:
    first, second = await listen("hc_1"), await listen("hc_2", project="p1")
    for number in range(20):
        await live.publish([Event(tenant, "p1", "usage", {"of": tenant, "n": number}) for tenant in (1, 2)])
    assert await first.expect(20) == [{"of": 1, "n": number} for number in range(20)]
    assert await second.expect(20) == [{"of": 2, "n": number} for number in range(20)]
    # The id of an event of the other tenant's leads into one's own stream only.
    again = await listen("hc_1", {"Last-Event-ID": second.last_id})
    await live.publish([Event(2, "p1", "usage", {"of": 2}), Event(1, "p1", "usage", {"of": 1, "n": 20})])
    name, data = await again.next()
    while name == "gap" or data.get("n") != 20:
        assert name == "gap" or data["of"] == 1
        name, data = await again.next()
    assert data == {"of": 1, "n": 20}
