"""The receiver of notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from claw_native.receiver import KEPT, MAX_BODY_BYTES, Notifications, create_app

AT = datetime(2026, 11, 20, 12, 5, 1, tzinfo=UTC)


class Receiver:
    """A receiver without a port, and what it printed."""

    def __init__(self, dashboards: str | None = None) -> None:
        self.printed: list[str] = []
        app = create_app(Notifications(self.printed.append, lambda: AT, dashboards))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver")


@pytest.fixture
def receiver() -> Receiver:
    return Receiver("http://127.0.0.1:8080")


def notification(status: str = "firing", **labels: str) -> dict[str, Any]:
    alert = {
        "status": status,
        "labels": {"alertname": "PoolNearlyExhausted", "severity": "warning", "job": "shop", "host": "a"}
        | labels,
        "annotations": {
            "summary": "A pool is nearly exhausted.",
            "description": "19 of 20 connections of pool primary are in use.\nRequests will wait.",
            "runbook_url": "docs/runbooks/PoolNearlyExhausted.md",
            "dashboard_url": "http://grafana/d/claw-ai-overview?var-job=shop",
        },
        "startsAt": "2026-11-20T12:04:31.5Z",
        "endsAt": "2026-11-20T12:06:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
    }
    return {"version": "4", "receiver": "team", "status": status, "alerts": [alert]}


async def test_a_notification_is_printed_as_a_person_reads_it(receiver: Receiver) -> None:
    answer = await receiver.http.post("/team", json=notification())
    assert answer.json() == {"alerts": 1}
    assert receiver.printed == [
        """\
12:05:01  FIRING    warning   PoolNearlyExhausted  [shop a]  -> team
          A pool is nearly exhausted.
          19 of 20 connections of pool primary are in use.
          Requests will wait.
          since 2026-11-20 12:04:31 UTC
          runbook   docs/runbooks/PoolNearlyExhausted.md
          dashboard http://127.0.0.1:8080/d/claw-ai-overview?var-job=shop"""
    ]


async def test_a_reminder_takes_one_line(receiver: Receiver) -> None:
    for _ in range(2):
        await receiver.http.post("/team", json=notification())
    assert (
        receiver.printed[1] == "12:05:01  FIRING    warning   PoolNearlyExhausted  [shop a]  -> team, again"
    )


async def test_an_end_says_when_it_ended_and_a_new_beginning_is_told_in_full(receiver: Receiver) -> None:
    for status in ("firing", "resolved", "firing"):
        await receiver.http.post("/team", json=notification(status))
    assert "RESOLVED" in receiver.printed[1]
    assert "since 2026-11-20 12:04:31, ended 2026-11-20 12:06:00 UTC" in receiver.printed[1]
    assert receiver.printed[2] == receiver.printed[0]


async def test_links_stay_as_they_are_where_there_is_no_preview() -> None:
    receiver = Receiver()
    await receiver.http.post("/team", json=notification())
    assert "http://grafana/d/claw-ai-overview?var-job=shop" in receiver.printed[0]


async def test_the_last_ones_are_shown_newest_first_by_name(receiver: Receiver) -> None:
    for number in range(3):
        await receiver.http.post("/oncall", json=notification(n=str(number)))
    await receiver.http.post("/watchdog", json=notification(alertname="Watchdog"))
    shown = (await receiver.http.get("/notifications?alertname=PoolNearlyExhausted&limit=2")).json()
    assert [row["labels"]["n"] for row in shown] == ["2", "1"]
    assert {key: shown[0][key] for key in ("receiver", "status", "at")} == {
        "receiver": "oncall",
        "status": "firing",
        "at": "2026-11-20T12:05:01+00:00",
    }


async def test_what_is_kept_is_bounded(receiver: Receiver) -> None:
    many = notification()
    many["alerts"] *= KEPT + 10
    await receiver.http.post("/team", json=many)
    assert len((await receiver.http.get("/notifications")).json()) == KEPT


async def test_long_texts_are_cut(receiver: Receiver) -> None:
    await receiver.http.post("/team", json=notification(job="x" * 10_000))
    assert len(receiver.printed[0]) < 3000


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"alerts": 3}', b'{"alerts": ["x"]}', b"\xff"])
async def test_what_is_no_notification_is_refused(receiver: Receiver, body: bytes) -> None:
    answer = await receiver.http.post("/team", content=body)
    assert answer.status_code == 400
    assert receiver.printed == []


async def test_an_alert_without_anything_is_still_shown(receiver: Receiver) -> None:
    await receiver.http.post("/team", json={"alerts": [{}]})
    assert receiver.printed[0].startswith("12:05:01            -         ?  -> team")


async def test_a_body_that_never_ends_is_refused(receiver: Receiver) -> None:
    answer = await receiver.http.post("/team", content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413


async def test_a_wrong_limit_is_refused(receiver: Receiver) -> None:
    assert (await receiver.http.get("/notifications?limit=all")).status_code == 400
    assert (await receiver.http.get("/healthz")).text == "ok\n"
