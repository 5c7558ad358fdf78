"""A notification of Alertmanager becomes a message of each chat service, or a status that says why not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import httpx
import pytest
from tests.relay.conftest import alert, notification

from claw_relay.errors import STATUSES, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.relay.conftest import Relay

SILENCE = (
    "https://grafana.example/alerting/silence/new?alertmanager=Alertmanager&matcher=alertname%3DRedisMemoryHigh"
    "&matcher=host%3Dmain&matcher=job%3Dredis-exporter&matcher=severity%3Dcritical"
)
LINKS = (
    "[Dashboard](https://grafana.example/d/claw-ai-resources)"
    f" · [Runbook](https://docs.example/RedisMemoryHigh.md) · [Silence]({SILENCE})"
)
LINES = (
    "**Redis is nearly full.**",
    "96.2% of maxmemory is used (limit 95%).",
    "since 2026-11-21 11:30 UTC (29m)",
    LINKS,
)
TITLE = "CRITICAL RedisMemoryHigh redis-exporter main"
GOOD = {
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"},
}
each_service = pytest.mark.parametrize("service", GOOD)


async def test_wecom_gets_markdown(relay: Relay) -> None:
    answer = await relay.post("/wecom/oncall", notification())

    assert (answer.status_code, answer.json()) == (200, {"sent": TITLE, "left_out": 0})
    (request,) = relay.services.requests
    assert str(request.url) == "https://wecom.example/send?key=TOKEN-of-wecom"
    content = "\n".join([f'**<font color="warning">{TITLE}</font>**', *LINES])
    assert relay.services.bodies == [{"msgtype": "markdown", "markdown": {"content": content}}]


async def test_dingtalk_gets_markdown_and_a_signed_address(relay: Relay) -> None:
    answer = await relay.post("/dingtalk/oncall", notification())

    assert answer.status_code == 200
    (request,) = relay.services.requests
    text = "\n\n".join([f"### {TITLE}", *LINES])
    assert relay.services.bodies == [{"msgtype": "markdown", "markdown": {"title": TITLE, "text": text}}]
    query = parse_qs(request.url.query.decode())
    signed = hmac.new(b"SECRET-of-dingtalk", b"1795262400000\nSECRET-of-dingtalk", hashlib.sha256).digest()
    assert query == {
        "key": ["TOKEN-of-dingtalk"],
        "timestamp": ["1795262400000"],
        "sign": [base64.b64encode(signed).decode()],
    }


async def test_feishu_gets_a_signed_card(relay: Relay) -> None:
    relay.services.answer = (200, GOOD["feishu"])

    answer = await relay.post("/feishu/oncall", notification())

    assert answer.status_code == 200
    (body,) = relay.services.bodies
    signed = hmac.new(b"1795262400\nSECRET-of-feishu", b"", hashlib.sha256).digest()
    assert body == {
        "timestamp": "1795262400",
        "sign": base64.b64encode(signed).decode(),
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": True},
            "header": {"template": "red", "title": {"tag": "plain_text", "content": TITLE}},
            "elements": [{"tag": "markdown", "content": "\n".join(LINES)}],
        },
    }


@pytest.mark.parametrize(
    ("service", "status", "body", "reason"),
    [
        ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, Reason.CREDENTIALS),
        ("wecom", 200, {"errcode": 45009, "errmsg": "api freq out of limit"}, Reason.RATE_LIMITED),
        ("wecom", 200, {"errcode": -1, "errmsg": "system busy"}, Reason.UNAVAILABLE),
        ("wecom", 200, {"errcode": 40058, "errmsg": "content exceed max length"}, Reason.MESSAGE),
        ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, Reason.CREDENTIALS),
        ("dingtalk", 200, {"errcode": 130101, "errmsg": "send too fast"}, Reason.RATE_LIMITED),
        ("dingtalk", 200, {"errcode": 300001, "errmsg": "token is not exist"}, Reason.CREDENTIALS),
        ("feishu", 200, {"code": 19021, "msg": "sign match fail"}, Reason.CREDENTIALS),
        ("feishu", 200, {"code": 9499, "msg": "Bad Request", "data": {}}, Reason.MESSAGE),
        ("feishu", 200, {"StatusCode": 19024, "msg": "Key Words Not Found"}, Reason.CREDENTIALS),
        ("feishu", 400, {"code": 11232, "msg": "frequency limited"}, Reason.RATE_LIMITED),
        ("wecom", 200, b"<html>a proxy's page</html>", Reason.ANSWER),
        ("wecom", 200, [], Reason.ANSWER),
        ("feishu", 200, {"ok": True}, Reason.ANSWER),
        ("wecom", 429, b"slow down", Reason.RATE_LIMITED),
        ("wecom", 502, b"bad gateway", Reason.UNAVAILABLE),
        ("wecom", 502, {"errcode": 0}, Reason.UNAVAILABLE),
        ("wecom", 404, b"", Reason.MESSAGE),
        ("wecom", 302, b"", Reason.MESSAGE),
    ],
)
async def test_a_refusal_becomes_a_status_and_is_counted(
    relay: Relay, service: str, status: int, body: object, reason: Reason
) -> None:
    relay.services.answer = (status, body)

    answer = await relay.post(f"/{service}/oncall", notification())

    assert answer.status_code == STATUSES[reason]
    assert answer.json()["error"] == f"err-claw-relay-{reason.replace('_', '-')}"
    rejected = await relay.series("claw_ai_notify_rejected_total")
    assert {labels: value for labels, value in rejected.items() if value} == {("oncall", service, reason): 1}
    assert set((await relay.series("claw_ai_notify_sent_total")).values()) == {0}


def test_what_may_pass_is_tried_again_and_what_will_not_is_not() -> None:
    again = {reason for reason, status in STATUSES.items() if status >= 500}

    assert set(STATUSES) == set(Reason)
    assert set(Reason) - again == {Reason.CREDENTIALS, Reason.MESSAGE}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("https://wecom.example/send?key=TOKEN-of-wecom"), Reason.CONNECTION),
        (httpx.ReadTimeout("https://wecom.example/send?key=TOKEN-of-wecom"), Reason.TIMEOUT),
        (httpx.InvalidURL("https://wecom.example/send?key=TOKEN-of-wecom"), Reason.CONNECTION),
    ],
)
async def test_a_service_that_cannot_be_reached_is_tried_again(
    relay: Relay, error: Exception, reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    relay.services.error = error

    with caplog.at_level(logging.DEBUG):
        answer = await relay.post("/wecom/oncall", notification())

    assert answer.status_code == STATUSES[reason]
    told = answer.text + str([record.__dict__ for record in caplog.records if record.name.startswith("claw")])
    assert "TOKEN" not in told


@each_service
async def test_no_secret_stands_in_an_answer_or_in_the_log(
    relay: Relay, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    echo = f"what is TOKEN-of-{service} and SECRET-of-{service}?"
    relay.services.answer = (200, {"errcode": 310000, "code": 19021, "errmsg": echo, "msg": echo})

    with caplog.at_level(logging.DEBUG, logger="claw_relay"):
        answer = await relay.post(f"/{service}/oncall", notification())

    told = answer.text + str([record.__dict__ for record in caplog.records])
    assert "what is ***" in told
    assert f"TOKEN-of-{service}" not in told
    assert f"SECRET-of-{service}" not in told or service == "wecom"  # it has none


async def test_a_changed_secret_file_is_used_for_the_next_message(relay: Relay, secrets: Path) -> None:
    await relay.post("/wecom/oncall", notification())
    (secrets / "wecom_url").write_text("https://wecom.example/send?key=ANOTHER")
    await relay.post("/wecom/oncall", notification())

    assert [request.url.query for request in relay.services.requests] == [
        b"key=TOKEN-of-wecom",
        b"key=ANOTHER",
    ]


@pytest.mark.parametrize("content", [None, ""])
async def test_a_secret_file_that_went_away_is_named(
    relay: Relay, secrets: Path, content: str | None
) -> None:
    path = secrets / "dingtalk_secret"
    path.unlink()
    if content is not None:
        path.write_text(content)

    answer = await relay.post("/dingtalk/oncall", notification())

    assert answer.status_code == 500
    assert f"{secrets}/dingtalk_" in answer.json()["message"]
    assert relay.services.requests == []


async def test_a_bot_gets_no_more_messages_in_a_minute_than_it_may(relay: Relay) -> None:
    statuses = [(await relay.post("/dingtalk/oncall", notification())).status_code for _ in range(21)]
    relay.clock.now += 61
    after = (await relay.post("/dingtalk/oncall", notification())).status_code

    assert statuses == [200] * 20 + [503]
    assert after == 200
    assert len(relay.services.requests) == 21


async def test_an_unknown_channel_is_named_with_those_that_there_are(relay: Relay) -> None:
    answer = await relay.post("/wecom/team", notification())

    assert answer.status_code == 404
    assert answer.json() == {
        "error": "err-claw-relay-unknown",
        "message": "no channel 'wecom/team' is configured; there are: "
        "wecom/oncall, dingtalk/oncall, feishu/oncall",
    }


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[" * 100_000, [], {}, {"alerts": []}, {"alerts": {}}, {"alerts": ["x"]}],
)
async def test_what_is_no_notification_is_refused_and_sent_to_nobody(relay: Relay, body: object) -> None:
    answer = await relay.post("/wecom/oncall", body)

    assert answer.status_code == 400
    assert answer.json()["error"] == "err-claw-relay-bad-body"
    assert relay.services.requests == []


async def test_a_body_beyond_every_notification_is_refused(relay: Relay) -> None:
    answer = await relay.post("/wecom/oncall", b" " * 4_000_001)

    assert (answer.status_code, answer.json()["error"]) == (413, "err-claw-relay-body-too-large")


async def test_every_series_of_a_channel_exists_before_its_first_message(relay: Relay) -> None:
    rejected = await relay.series("claw_ai_notify_rejected_total")

    services = ("dingtalk", "feishu", "wecom")
    assert rejected == {("oncall", name, str(reason)): 0 for name in services for reason in Reason}
    assert await relay.series("claw_ai_notify_sent_total") == {("oncall", name): 0 for name in services}


async def test_metrics_tell_how_long_a_service_took_and_which_relay_this_is(relay: Relay) -> None:
    await relay.post("/wecom/oncall", notification())

    assert await relay.series("claw_ai_notify_send_duration_seconds_count") == {("wecom",): 1}
    assert [labels[0] for labels in await relay.series("claw_ai_build_info")] == ["claw-relay"]
    assert ("/{type}/{name}", "POST", "200") in await relay.series("claw_ai_http_requests_total")


async def test_a_huge_answer_is_not_read_to_its_end(relay: Relay) -> None:
    relay.services.answer = (200, b"x" * 10_000_000)

    answer = await relay.post("/wecom/oncall", notification())

    assert answer.status_code == 502


async def test_healthz_tells_that_heartbeats_are_watched(make_relay: Callable[..., Relay]) -> None:
    relay = make_relay()
    async with relay.client:
        before = await relay.client.get("/healthz")
        async with relay.app.router.lifespan_context(relay.app):
            during = await relay.client.get("/healthz")
        after = await relay.client.get("/healthz")

    assert [one.status_code for one in (before, during, after)] == [503, 200, 503]


async def test_alerts_that_did_not_fit_are_counted(relay: Relay) -> None:
    many = [alert(labels={"instance": f"r{number}"}) for number in range(40)]

    answer = await relay.post("/wecom/oncall", notification(*many, truncatedAlerts=2))

    assert answer.json()["left_out"] == 37
    assert (await relay.series("claw_ai_notify_alerts_left_out_total"))["oncall", "wecom"] == 37
    (body,) = relay.services.bodies
    assert body["markdown"]["content"].endswith("\nand 37 more")
