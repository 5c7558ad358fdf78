"""Faults of the app itself: absent unless wanted, and mended by an empty object."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from claw_chat.app import create_app
from claw_chat.faults import Faults, Wanted
from claw_chat.settings import Settings
from claw_exporter import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chat.conftest import Chat

README = Path(__file__).parents[2] / "examples" / "chat" / "README.md"
MODELS = "/api/v1/models"
SETTINGS: dict[str, Any] = {
    "database_url": "postgresql://claw@127.0.0.1:1/claw",
    "redis_url": "redis://127.0.0.1:1/0",
    "model_base_url": "http://127.0.0.1:1/v1",
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(Settings(**SETTINGS, faults="on"))) as found:
        yield found


def test_without_the_switch_there_is_no_such_endpoint() -> None:
    with TestClient(create_app(Settings(**SETTINGS))) as client:
        assert client.put("/faults", json={}).status_code == 404
        assert client.get(MODELS).status_code == 200


def test_an_endpoint_fails_until_it_is_mended(client: TestClient) -> None:
    changed = client.put("/faults", json={"failing_endpoint": MODELS}).json()
    assert changed["failing_endpoint"] == MODELS
    assert client.get("/faults").json() == changed
    assert client.get(MODELS).status_code == 500
    client.put("/faults", json={})
    assert client.get(MODELS).status_code == 200


def test_only_the_endpoint_that_is_named_fails(client: TestClient) -> None:
    client.put("/faults", json={"failing_endpoint": "/api/v1/search"})
    assert client.get(MODELS).status_code == 200


def test_an_endpoint_is_slow(client: TestClient) -> None:
    client.put("/faults", json={"slow_endpoint": MODELS, "slow_seconds": 0.3})
    assert client.get(MODELS).elapsed.total_seconds() >= 0.3


@pytest.mark.parametrize(
    "wrong",
    [{"failing_endpint": "/"}, {"slow_seconds": -1}, {"leak_megabytes": 10**6}, {"new_labels": "x"}],
)
def test_a_wrong_wish_is_refused(client: TestClient, wrong: dict[str, object]) -> None:
    assert client.put("/faults", json=wrong).status_code == 422


@pytest.fixture
def faults() -> Faults:
    return Faults(tick_seconds=0.01)


def test_errors_are_logged_until_it_is_mended(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    faults.wanted = Wanted(error_lines=3)
    faults.tick()
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    faults.wanted = Wanted()
    caplog.clear()
    faults.tick()
    assert not caplog.records


def test_more_memory_is_kept_every_second_until_it_is_mended(faults: Faults) -> None:
    faults.wanted = Wanted(leak_megabytes=2)
    faults.tick()
    assert sum(map(len, faults._leaked)) == 2 << 20
    faults.tick()
    assert sum(map(len, faults._leaked)) == 4 << 20
    faults.wanted = Wanted()
    faults.tick()
    assert not faults._leaked


def test_there_is_an_end_to_the_leak(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claw_chat.faults.MOST_LEAKED_MEGABYTES", 3)
    faults.wanted = Wanted(leak_megabytes=2)
    for _ in range(3):
        faults.tick()
    assert len(faults._leaked) == 3


async def test_the_event_loop_is_blocked_every_second(faults: Faults) -> None:
    faults.wanted = Wanted(block_loop_seconds=0.3)
    faults.open()
    blocked = 0
    async with asyncio.timeout(10):
        while blocked < 2:
            before = time.monotonic()
            await asyncio.sleep(0)
            blocked += time.monotonic() - before >= 0.3
    await faults.close()


def test_new_tools_run_every_second(faults: Faults) -> None:
    def calls(tool: str) -> float | None:
        return metrics.registry.get_sample_value("claw_ai_tool_calls_total", {"tool": tool, "status": "ok"})

    assert calls("tool 4") is None
    faults.wanted = Wanted(new_labels=2)
    faults.tick()
    assert (calls("tool 2"), calls("tool 3")) == (1, None)
    faults.tick()
    assert calls("tool 4") == 1


def test_the_assistant_repeats_itself_until_its_limit(chat: Chat) -> None:
    chat.app.state.services.faults.wanted = Wanted(repeated_calls=4)
    conversation = chat.begin()
    with chat.counting() as count:
        assert chat.chat(conversation, "What is 2 * 3?").is_success
    assert count.of("claw_ai_agent_repeated_tool_calls_total", agent="assistant") == 4
    assert count.of("claw_ai_agent_runs_total", agent="assistant", outcome="max_steps") == 1


def test_the_readme_describes_every_field() -> None:
    section = README.read_text().split("## Break the app")[1].split("\n## ")[0]
    described = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))
    written = re.findall(r"^        (\w+): (.+)$", Wanted.__doc__ or "", re.MULTILINE)
    assert described == {name: text.replace("``", "`") for name, text in written}
    assert described.keys() == {field.name for field in fields(Wanted)}
