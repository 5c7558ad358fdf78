"""The outside end of a dead man's switch: it speaks up when a heartbeat stops, and when it is back."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.conftest import alert, notification

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.relay.conftest import Relay

    from claw_relay.heartbeats import Heartbeats

GRACE = 180
BOTH = {
    "name": "claw",
    "grace_seconds": GRACE,
    "alerts": ["Watchdog", "WatchdogFreshData"],
    "channels": ["wecom/oncall"],
}
ANY = {"name": "cron", "grace_seconds": GRACE, "channels": ["wecom/oncall", "dingtalk/oncall"]}


def beat(*names: str, status: str = "firing") -> dict[str, Any]:
    return notification(*(alert(labels={"alertname": name}, status=status) for name in names))


@pytest.fixture
async def relay(make_relay: Callable[..., Relay]) -> AsyncIterator[Relay]:
    made = make_relay(heartbeats=[BOTH, ANY])
    async with made.client:
        yield made


def watcher(relay: Relay) -> Heartbeats:
    """What the relay runs in its background."""
    (route,) = [route for route in relay.app.routes if getattr(route, "path", "") == "/healthz"]
    found: Heartbeats = route.endpoint.__self__._heartbeats  # type: ignore[attr-defined]
    return found


async def later(relay: Relay, seconds: float) -> list[str]:
    """Moves the clock, lets the relay look, and returns what it says then."""
    before = len(relay.services.requests)
    relay.clock.now += seconds
    await watcher(relay).look()
    return [text_of(body) for body in relay.services.bodies[before:]]


def text_of(body: dict[str, Any]) -> str:
    markdown = body["markdown"]
    return str(markdown.get("content") or markdown["text"])


async def test_a_heartbeat_that_beats_is_nothing_to_talk_about(relay: Relay) -> None:
    said = []
    for _ in range(10):
        await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
        await relay.post("/heartbeat/cron", b"")
        said += await later(relay, 100)

    assert said == []
    assert await relay.series("claw_ai_notify_heartbeats_total") == {("claw",): 10, ("cron",): 10}


async def test_it_speaks_up_once_when_a_heartbeat_stops_and_once_when_it_is_back(relay: Relay) -> None:
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    await relay.post("/heartbeat/cron", b"")
    assert await later(relay, GRACE) == []

    stopped = await later(relay, 1)
    assert [text.splitlines()[0] for text in stopped] == [
        '**<font color="warning">The heartbeat of claw has stopped</font>**',
        '**<font color="warning">The heartbeat of cron has stopped</font>**',
        "### The heartbeat of cron has stopped",
    ]
    assert "Nothing of Watchdog, WatchdogFreshData for 3m, since 2026-11-21 12:00 UTC." in stopped[0]
    assert await later(relay, 3600) == []

    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    assert await later(relay, 0) == [
        '**<font color="info">The heartbeat of claw is back</font>**\nIt was silent for 1h 3m.'
    ]
    assert await later(relay, 1) == []


async def test_each_alert_that_a_heartbeat_names_is_needed(relay: Relay) -> None:
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    for _ in range(2):
        relay.clock.now += 100
        await relay.post("/heartbeat/claw", beat("Watchdog"))
        await relay.post("/heartbeat/cron", b"")

    (said,) = await later(relay, 1)

    assert "Nothing of WatchdogFreshData for 3m" in said


async def test_an_alert_that_is_over_is_no_beat(relay: Relay) -> None:
    relay.clock.now += 100
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData", status="resolved"))
    await relay.post("/heartbeat/cron", b"")

    assert len(await later(relay, 100)) == 1


async def test_a_heartbeat_that_never_came_is_told_too(relay: Relay) -> None:
    assert len(await later(relay, GRACE + 1)) == 3


async def test_who_did_not_take_the_message_is_tried_again_and_the_other_is_not(relay: Relay) -> None:
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    relay.clock.now += 100
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    relay.services.answer = (200, {"errcode": 93000, "errmsg": "no"})
    assert len(await later(relay, 81)) == 2
    assert await later(relay, 29) == []
    relay.services.answer = (200, {"errcode": 0})

    assert len(await later(relay, 2)) == 2


async def test_who_never_heard_that_it_stopped_is_not_told_that_it_is_back(relay: Relay) -> None:
    relay.services.answer = (200, {"errcode": 93000, "errmsg": "no"})
    await later(relay, GRACE + 1)
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    await relay.post("/heartbeat/cron", b"")
    relay.services.answer = (200, {"errcode": 0})

    assert await later(relay, 60) == []
    assert set((await relay.series("claw_ai_notify_heartbeat_stopped")).values()) == {0}


async def test_the_metrics_tell_age_grace_and_what_stopped(relay: Relay) -> None:
    await relay.post("/heartbeat/claw", beat("Watchdog", "WatchdogFreshData"))
    relay.clock.now += 50
    await relay.post("/heartbeat/cron", b"")
    await later(relay, 150)

    assert await relay.series("claw_ai_notify_heartbeat_age_seconds") == {("claw",): 200, ("cron",): 150}
    assert await relay.series("claw_ai_notify_heartbeat_grace_seconds") == {("claw",): 180, ("cron",): 180}
    assert await relay.series("claw_ai_notify_heartbeat_stopped") == {("claw",): 1, ("cron",): 0}


async def test_a_restart_tells_nothing_twice_and_forgets_nothing(make_relay: Callable[..., Relay]) -> None:
    first = make_relay(heartbeats=[ANY])
    async with first.client:
        await first.post("/heartbeat/cron", b"")
        assert len(await later(first, GRACE + 1)) == 2
    second = make_relay(heartbeats=[ANY], clock=first.clock)
    async with second.client:
        assert await later(second, 600) == []
        await second.post("/heartbeat/cron", b"")
        assert len(await later(second, 0)) == 2


async def test_a_relay_that_was_away_itself_gives_everybody_time_to_call(
    make_relay: Callable[..., Relay],
) -> None:
    first = make_relay(heartbeats=[ANY])
    async with first.client:
        await first.post("/heartbeat/cron", b"")
        await later(first, 0)
    first.clock.now += 86_400
    second = make_relay(heartbeats=[ANY], clock=first.clock)
    async with second.client:
        assert await later(second, GRACE) == []
        assert len(await later(second, 1)) == 2


@pytest.mark.parametrize(
    "kept",
    [
        b"not json",
        b"[]",
        b'{"cron": 1}',
        b'{"cron": {"beats": {"": "x"}, "stopped": "y", "told": 3}}',
        b"\xff",
    ],
)
async def test_a_state_file_that_makes_no_sense_is_a_new_beginning(
    make_relay: Callable[..., Relay], tmp_path: Path, kept: bytes
) -> None:
    (tmp_path / "state.json").write_bytes(kept)
    relay = make_relay(heartbeats=[ANY])
    async with relay.client:
        assert await later(relay, GRACE) == []
    assert json.loads((tmp_path / "state.json").read_text()) == {
        "cron": {"beats": {}, "stopped": None, "told": []}
    }


async def test_a_state_that_cannot_be_written_is_logged_and_nothing_else_fails(
    make_relay: Callable[..., Relay], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    relay = make_relay(heartbeats=[ANY], state_file=str(tmp_path / "nowhere" / "state.json"))
    async with relay.client:
        with caplog.at_level(logging.WARNING):
            assert len(await later(relay, GRACE + 1)) == 2
    assert "state not written" in caplog.text


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Basic " + base64.b64encode(b"any:SESAME").decode(), 200),
        ("Bearer SESAME", 200),
        ("Bearer word", 401),
        ("Basic !!!", 401),
        ("Basic " + base64.b64encode(b"SESAME").decode(), 401),
        ("Basic " + base64.b64encode("any:WÖRD".encode("latin-1")).decode(), 401),
    ],
)
async def test_a_heartbeat_may_need_a_password(
    make_relay: Callable[..., Relay], tmp_path: Path, header: str, status: int
) -> None:
    (tmp_path / "word").write_text("SESAME\n")
    relay = make_relay(heartbeats=[ANY | {"password_file": str(tmp_path / "word")}])
    async with relay.client:
        answer = await relay.post("/heartbeat/cron", b"", {"Authorization": header} if header else None)

    assert answer.status_code == status
    assert "SESAME" not in answer.text


async def test_a_password_that_cannot_be_read_lets_nobody_in(
    make_relay: Callable[..., Relay], tmp_path: Path
) -> None:
    (tmp_path / "word").write_text("SESAME\n")
    relay = make_relay(heartbeats=[ANY | {"password_file": str(tmp_path / "word")}])
    (tmp_path / "word").unlink()
    async with relay.client:
        answer = await relay.post("/heartbeat/cron", b"", {"Authorization": "Bearer SESAME"})

    assert (answer.status_code, answer.json()["error"]) == (401, "err-claw-relay-forbidden")


async def test_an_unknown_heartbeat_is_refused(relay: Relay) -> None:
    answer = await relay.post("/heartbeat/other", b"")

    assert (answer.status_code, answer.json()["error"]) == (404, "err-claw-relay-unknown")


async def test_a_state_that_has_not_changed_is_not_written_again(
    make_relay: Callable[..., Relay], tmp_path: Path
) -> None:
    relay = make_relay(heartbeats=[ANY])
    async with relay.client:
        await later(relay, 1)
        (tmp_path / "state.json").unlink()
        await later(relay, 1)
        assert not (tmp_path / "state.json").exists()
        await relay.post("/heartbeat/cron", b"")
        await later(relay, 1)
        assert (tmp_path / "state.json").exists()


async def test_it_looks_by_itself_while_it_runs(make_relay: Callable[..., Relay], tmp_path: Path) -> None:
    relay = make_relay(heartbeats=[ANY])
    async with relay.client, relay.app.router.lifespan_context(relay.app):
        for _ in range(200):
            if (tmp_path / "state.json").exists():
                break
            await asyncio.sleep(0)

    assert (tmp_path / "state.json").exists()
