"""What Prometheus and the receiver say, and when it was seen first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from claw_native.drills.fault import alert
from claw_native.drills.means import Site
from claw_native.drills.watch import Sight, Watch, look
from claw_native.settings import PORTS, Settings

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
DOWN = {"alertname": "Down", "job": "a"}


def site(prometheus: list[dict[str, Any]], receiver: httpx.Response) -> Site:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == PORTS["receiver"]:
            return receiver
        return httpx.Response(200, json={"data": {"alerts": prometheus}})

    return Site(Settings(), httpx.Client(transport=httpx.MockTransport(answer)))


def firing(name: str, state: str = "firing") -> dict[str, Any]:
    return {"state": state, "labels": {"alertname": name}}


def test_heartbeats_and_what_is_pending_are_not_seen() -> None:
    sight = look(site([firing("Down"), firing("Watchdog"), firing("Soon", "pending")], httpx.Response(500)))
    assert sight == Sight([{"alertname": "Down"}], None)


def test_what_a_busy_machine_causes_is_not_seen() -> None:
    skipped = {"alertname": "PrometheusDegraded", "problem": "rule evaluations are skipped"}
    failing = {"alertname": "PrometheusDegraded", "problem": "rule evaluations fail"}
    rows = [{"state": "firing", "labels": labels} for labels in (skipped, failing)]
    assert look(site([*rows, firing("HostCpuPressure")], httpx.Response(500))).firing == [failing]


def test_an_answer_that_is_no_json_is_none() -> None:
    assert look(site([], httpx.Response(200, text="?"))).notified is None


def test_a_server_that_is_away_is_not_a_calm_one() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    away = Site(Settings(), httpx.Client(transport=httpx.MockTransport(refuse)))
    assert look(away) == Sight(None, None)
    watch = Watch((), START)
    watch.note(Sight([DOWN], []))
    watch.note(look(away))
    assert watch.firing == [DOWN]


def row(seconds: float, status: str = "firing") -> dict[str, Any]:
    at = datetime.fromtimestamp(START + seconds, UTC).isoformat()
    return {"at": at, "status": status, "labels": DOWN}


@pytest.mark.parametrize(
    ("rows", "notified"),
    [
        ([row(7)], 7.0),
        ([row(-60)], None),
        ([row(7, "resolved")], None),
        ([row(3)], 5.0),  # it cannot be told before it fires; the clocks differ by a look
    ],
)
def test_only_a_notification_since_the_fault_counts(
    rows: list[dict[str, Any]], notified: float | None
) -> None:
    down = alert("Down")
    watch = Watch((down,), START, lambda: START + 5)
    watch.note(Sight([DOWN], rows))
    assert watch.fired == {down: 5.0}
    assert watch.notified.get(down) == notified
    assert bool(watch.silent) == (notified is None)


def test_alerts_are_named_once_in_the_order_of_their_coming() -> None:
    now = [START]
    watch = Watch((), START, lambda: now[0])
    watch.note(Sight([{"alertname": "B", "job": "x"}], []))
    now[0] += 1
    watch.note(Sight([{"alertname": "A"}, {"alertname": "B", "job": "y"}], []))
    assert watch.names() == ["B", "A"]
