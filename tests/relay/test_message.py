"""What a message says, and how it is kept within a limit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.relay.conftest import alert, notification

from claw_relay.message import Fitted, Format, Message, compose, fit
from claw_relay.notification import parse
from claw_relay.vendors import VENDORS, encode
from claw_relay.words import LANGUAGES

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RESOLVED = {"status": "resolved", "endsAt": "2026-11-21T11:47:30Z"}


def composed(*alerts: dict[str, Any], language: str = "en", zone: str = "UTC", **changes: Any) -> Message:  # noqa: ANN401 - values of YAML or JSON
    how = Format(words=LANGUAGES[language], zone=ZoneInfo(zone), now=lambda: NOON, max_alerts=50)
    return compose(parse(json.dumps(notification(*alerts, **changes)).encode()), how)


def text_of(message: Message) -> str:
    return fit(message, joint="\n", fits=lambda _: True).text


def test_a_resolved_alert_says_from_when_to_when() -> None:
    message = composed(alert(**RESOLVED))

    assert (message.title, message.colour) == ("RESOLVED RedisMemoryHigh redis-exporter main", "green")
    assert message.blocks == (
        (
            "RESOLVED **Redis is nearly full.**",
            "96.2% of maxmemory is used (limit 95%).",
            "2026-11-21 11:30 UTC to 2026-11-21 11:47 UTC (17m)",
            (
                "[Dashboard](https://grafana.example/d/claw-ai-resources) · "
                "[Runbook](https://docs.example/RedisMemoryHigh.md)"
            ),
        ),
    )


def test_chinese_frames_the_same_facts_in_the_time_zone_of_the_readers() -> None:
    message = composed(alert(), language="zh", zone="Asia/Shanghai")

    assert message.title == "严重 RedisMemoryHigh redis-exporter main"
    assert message.blocks[0][2] == "始于 2026-11-21 19:30 CST（已持续 29分）"  # noqa: RUF001
    assert message.blocks[0][3].startswith("[仪表盘](https://grafana.example/d/")
    assert composed(alert(**RESOLVED), language="zh").title.startswith("已恢复 ")


def test_the_worst_and_oldest_alert_that_fires_comes_first() -> None:
    alerts = [
        alert(labels={"instance": "over", "severity": "critical"}, **RESOLVED),
        alert(labels={"instance": "mild", "severity": "warning"}),
        alert(labels={"instance": "new"}, startsAt="2026-11-21T11:50:00Z"),
        alert(labels={"instance": "old"}, startsAt="2026-11-21T10:50:00Z"),
    ]

    parsed = parse(json.dumps(notification(*alerts)).encode())
    assert [one.labels["instance"] for one in parsed.alerts] == ["old", "new", "mild", "over"]
    assert composed(*alerts).title == "CRITICAL RedisMemoryHigh redis-exporter main ×3"  # noqa: RUF001


@pytest.mark.parametrize(
    ("severity", "begin", "colour"),
    [
        ("critical", "CRITICAL", "red"),
        ("warning", "WARNING", "orange"),
        ("none", "NOTE", "grey"),
        ("page", "PAGE", "grey"),
    ],
)
def test_a_title_begins_with_how_bad_it_is(severity: str, begin: str, colour: str) -> None:
    message = composed(alert(labels={"severity": severity}))

    assert (message.title.split()[0], message.colour) == (begin, colour)


def test_an_alert_without_any_annotation_still_says_what_it_is() -> None:
    bare = {"status": "firing", "labels": {"alertname": "SomebodyElses"}}

    assert composed(bare).blocks == (("**SomebodyElses**",),)
    assert composed({"status": "firing"}).title.startswith("NOTE ? ")


def test_a_path_in_the_repository_is_shown_and_is_no_link() -> None:
    message = composed(alert(annotations={"runbook_url": "docs/runbooks/RedisMemoryHigh.md"}))

    assert "Runbook: docs/runbooks/RedisMemoryHigh.md" in message.blocks[0][3]


def test_text_of_others_mentions_nobody_and_breaks_no_line() -> None:
    nasty = 'all <at id="all"></at>\n<@everyone> <b> 3 < 5'

    line = composed(alert(annotations={"description": nasty})).blocks[0][1]

    assert line == 'all ＜at id="all">＜/at> ＜@everyone> ＜b> 3 < 5'  # noqa: RUF001


def test_a_link_ends_where_it_ends() -> None:
    message = composed(alert(annotations={"dashboard_url": "https://g.example/d/x?a=(b) [c"}))

    assert "[Dashboard](https://g.example/d/x?a=%28b%29%20[c)" in message.blocks[0][3]


def test_whole_alerts_are_left_out_and_counted() -> None:
    message = composed(*(alert(annotations={"summary": f"Number {number}."}) for number in range(9)))

    fitted = fit(message, joint="\n", fits=lambda text: len(text) <= 900)

    assert fitted.text.count("**Number") == 9 - fitted.left_out
    assert fitted.text.endswith(f"\n\nand {fitted.left_out} more")
    assert "…" not in fitted.text
    assert 0 < fitted.left_out < 8


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("character", ["x", "漢", "😀", '"', "\n", "\\"])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_no_message_is_larger_than_its_service_takes(name: str, character: str, count: int) -> None:
    vendor = VENDORS[name]
    alerts = [
        alert(annotations={"description": character * 4000}, labels={"n": str(n)}) for n in range(count)
    ]
    message = composed(*alerts, language="zh")

    fitted = fit(message, joint=vendor.joint, fits=lambda text: vendor.fits(message, text))

    body = vendor.body(message, fitted.text)
    if name == "wecom":
        assert len(body["markdown"]["content"].encode()) <= 4096
    assert len(encode(body)) <= 20_000
    # Half of a character would be replaced by another one.
    assert "\ufffd" not in encode(body).decode()
    assert "Redis is nearly full." in fitted.text
    assert (f"另有 {fitted.left_out} 条" in fitted.text) is (fitted.left_out > 0)
    assert "[处理手册](https://docs.example/RedisMemoryHigh.md)" in fitted.text


def test_the_longest_line_of_an_only_alert_is_cut_between_characters() -> None:
    message = composed(alert(annotations={"description": "漢" * 1000}))

    fitted = fit(message, joint="\n", fits=lambda text: len(text.encode()) <= 500)

    assert 480 < len(fitted.text.encode()) <= 500
    assert "漢…\nsince" in fitted.text


def test_links_that_leave_no_room_go_as_a_whole() -> None:
    message = composed(alert(annotations={"dashboard_url": "https://g.example/" + "d" * 500}))

    fitted = fit(message, joint="\n", fits=lambda text: len(text) <= 300)

    assert "g.example" not in fitted.text
    assert "96.2% of maxmemory" in fitted.text


def test_a_limit_below_everything_leaves_the_title() -> None:
    assert fit(composed(alert()), joint="\n", fits=lambda _: False) == Fitted("", 0)


def test_durations_have_two_units() -> None:
    from datetime import timedelta  # noqa: PLC0415 - only here

    lengths = [
        LANGUAGES["en"].length(timedelta(seconds=s)) for s in (-3, 59, 60, 3599, 3600, 90_061, 864_000)
    ]

    assert lengths == ["0s", "59s", "1m", "59m", "1h", "1d 1h", "10d"]


def test_every_language_says_everything() -> None:
    english = LANGUAGES["en"]

    for words in LANGUAGES.values():
        assert words.severities.keys() == english.severities.keys()
        for name in ("since", "lasted", "more", "stopped", "stopped_text", "back", "back_text"):
            placeholders = {part.split("}")[0] for part in getattr(words, name).split("{")[1:]}
            wanted = {part.split("}")[0] for part in getattr(english, name).split("{")[1:]}
            assert placeholders == wanted, name


def test_texts_are_text_of_the_message() -> None:
    assert text_of(composed(alert(), alert())).count("\n\n") == 1
