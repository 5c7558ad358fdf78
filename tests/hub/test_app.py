"""The whole hub in one process, as its clients see it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claw_hub.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from tests.hub.conftest import Hub

BASE = "/api/v1/observability"
Json = Any
FIXTURES = Path(__file__).parent / "edge" / "hivecore-hub-requests.jsonl"


def new_key(hub: Hub, slug: str) -> str:
    made = hub.run("tenant", "create", slug, "--name", slug.title())
    assert made.returncode == 0, made.stderr
    key = hub.run("key", "create", slug, "--name", "test")
    assert key.returncode == 0, key.stderr
    found = re.search(r"hc_[\w-]{61}", key.stdout)
    assert found, key.stdout
    return found[0]


def wait_for(get: Callable[[], Json], wanted: Callable[[Json], bool]) -> Json:
    until = time.monotonic() + 20
    while not wanted(found := get()):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def usage(**fields: Json) -> dict[str, Any]:
    return {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "agentscope_project_id": "proj-1",
        "agentscope_agent_id": "a1",
        "agent_name": "Strategy Agent",
        "model_name": "gpt-4",
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "cost_usd": 0.01,
        "duration_ms": 1500,
    } | fields


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{value}"' for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


def test_what_a_client_sent_is_in_the_summary_within_seconds(hub: Hub) -> None:
    hub.start()
    key = new_key(hub, "customer-a")
    with hub.client as client:
        client.headers["X-API-Key"] = key
        for line in FIXTURES.read_text().splitlines():
            request = json.loads(line)
            answer = client.post(request["path"], json=request["body"])
            assert answer.status_code == 201, answer.text
        assert client.post(f"{BASE}/ingest/usage/", json=[usage(), usage(), usage()]).status_code == 201

        def summary() -> Json:
            return client.get(f"{BASE}/usage/summary/", params={"days": 30}).json()

        found = wait_for(summary, lambda body: body["summary"]["total_calls"] == 4)
        assert found["summary"]["total_tokens"] == 600
        assert found["summary"]["total_cost_usd"] == pytest.approx(0.0423456789)
        assert [row["agent_name"] for row in found["by_agent"]] == ["Strategy Agent"]
        assert [row["model_name"] for row in found["by_model"]] == ["gpt-4"]
        (execution,) = client.get(f"{BASE}/executions/").json()["results"]
        assert (execution["execution_id"], execution["status"]) == ("e1", "completed")
        assert client.get(f"{BASE}/timeline/").json()["results"][0]["event_type"] == "llm_call"
    assert hub.stop() == 0, hub.log


def test_records_of_a_killed_hub_are_all_there_when_it_is_back(hub: Hub) -> None:
    hub.start()
    key = new_key(hub, "customer-a")
    for number in range(20):
        with hub.client as client:
            client.headers["X-API-Key"] = key
            assert client.post(f"{BASE}/ingest/usage", json=usage(span_id=str(number))).status_code == 201
        if number % 5 == 4:
            hub.kill()
            hub.start()
    with hub.client as client:
        client.headers["X-API-Key"] = key
        get = lambda: client.get(f"{BASE}/usage/summary", params={"days": 1}).json()  # noqa: E731
        found = wait_for(get, lambda body: body["summary"]["total_calls"] >= 20)
        assert (found["summary"]["total_calls"], found["summary"]["total_tokens"]) == (20, 3000)


def test_nobody_sees_what_is_another_tenants(hub: Hub) -> None:
    hub.start()
    keys = [new_key(hub, slug) for slug in ("customer-a", "customer-b")]
    with hub.client as client:
        for key, tokens in zip(keys, (1, 10), strict=True):
            body = usage(input_tokens=tokens, output_tokens=0, total_tokens=tokens)
            client.post(f"{BASE}/ingest/usage", json=body, headers={"X-API-Key": key})
        for key, tokens in zip(keys, (1, 10), strict=True):
            get = lambda: client.get(f"{BASE}/usage/summary", headers={"X-API-Key": key}).json()  # noqa: B023, E731
            found = wait_for(get, lambda body: body["summary"]["total_calls"] > 0)
            assert found["summary"]["total_tokens"] == tokens


def test_what_was_accepted_is_stored_or_waits_and_the_metrics_say_so(hub: Hub) -> None:
    hub.start()
    key = new_key(hub, "customer-a")
    with hub.client as client:
        client.post(f"{BASE}/ingest/usage", json=[usage(), usage()], headers={"X-API-Key": key})
        stored = lambda: metric(client, "claw_ai_hub_stored_records_total")  # noqa: E731
        wait_for(stored, lambda number: number == 2)
        assert metric(client, "claw_ai_hub_accepted_records_total") == 2
        assert metric(client, "claw_ai_hub_deduplicated_records_total") == 0
        exposed = set(re.findall(r"^# TYPE (claw_ai_hub_\w+) ", client.get("/metrics").text, re.MULTILINE))
        silent = {"claw_ai_hub_quarantined_records_total", "claw_ai_hub_load_failures_total"}
        assert {spec.name for spec in CATALOG} - silent <= exposed, "all but what has not happened"


def test_people_log_in_and_see_their_tenants_numbers(hub: Hub) -> None:
    hub.start()
    new_key(hub, "customer-a")
    for email, role in (("operator@example.com", "admin"), ("a@example.com", "product")):
        words = ("user", "create", email, "--tenant", "customer-a", "--role", role, "--password-stdin")
        made = hub.run(*words, given="correct horse battery staple\n")
        assert made.returncode == 0, made.stderr
    with hub.client as client:
        login = {"email": "a@example.com", "password": "correct horse battery staple"}
        token = client.post("/api/v1/auth/token", json=login).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get(f"{BASE}/usage/summary", headers=headers).json()["summary"]["total_calls"] == 0
        refused = client.post(f"{BASE}/ingest/usage", json=usage(), headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (403, "err-claw-hub-forbidden")
