"""Receivers, routes and windows that somebody chose in config.libsonnet, and mistakes in them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.alertmanager.configured import ROOT, build

from claw_relay.settings import Channel, Heartbeat
from claw_relay.words import LANGUAGES

if TYPE_CHECKING:
    from pathlib import Path

STRICT = "--enable-feature=utf8-strict-mode"
# Every kind of channel, a team of its own, office hours and two windows.
EVERYTHING = """
{
  local channels = {
    email: { type: 'email', to: 'oncall@example.com' },
    slack: { type: 'slack', url_file: 'notify/slack_url', channel: '#alerts' },
    pagerduty: { type: 'pagerduty', key_file: 'notify/pagerduty_key' },
    webhook: { type: 'webhook', url_file: 'notify/webhook_url' },
    wecom: { type: 'wecom', url_file: 'notify/wecom_url' },
    dingtalk: { type: 'dingtalk', url_file: 'notify/dingtalk_url', secret_file: 'notify/dingtalk_secret' },
    feishu: { type: 'feishu', url_file: 'notify/feishu_url', secret_file: 'notify/feishu_secret' },
  },
  receivers+: {
    oncall: { channels: [channels.pagerduty, channels.email, channels.slack, channels.webhook] },
    team: { channels: [channels.slack, channels.wecom, channels.wecom], language: 'zh' },
    'platform-oncall': { channels: [channels.dingtalk, channels.feishu] },
  },
  email: {
    smarthost: 'smtp.example.com:587',
    from: 'claw@example.com',
    username: 'claw',
    password_file: 'notify/smtp',
  },
  routing: [
    { team: ['platform'], severity: 'critical', receiver: 'platform-oncall' },
    { team: 'ai', receiver: 'team', during: 'office-hours' },
    { severity: 'critical', receiver: 'oncall' },
    { severity: 'warning', receiver: 'team' },
  ],
  time_intervals: {
    'office-hours': [{ weekdays: ['monday:friday'], times: [{ start_time: '09:00', end_time: '18:00' }] }],
    nightly: [{ times: [{ start_time: '02:00', end_time: '03:00' }], location: 'Europe/Berlin' }],
  },
  maintenance: [{ during: 'nightly', labels: { team: 'platform' } }, { during: 'office-hours' }],
  notifications+: { time_zone: 'Asia/Shanghai' },
  relay+: {
    heartbeats: [{
      name: 'web-2', grace: '5m', alerts: ['Watchdog'], channels: ['dingtalk/platform-oncall'],
      password_file: 'notify/heartbeat',
    }],
  },
}
"""


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return build(EVERYTHING)


@pytest.fixture(scope="module")
def config_file(everything: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "templates").mkdir()
    for name, text in everything["templates"].items():
        (folder / "templates" / name).write_text(text, encoding="utf-8")
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(everything["alertmanager"]), encoding="utf-8")
    return path


def amtool(tools: Path, *arguments: str) -> str:
    done = subprocess.run([tools / "amtool", STRICT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_accepts_every_kind_of_channel_and_its_templates(tools: Path, config_file: Path) -> None:
    said = amtool(tools, "check-config", str(config_file))

    assert "1 templates" in said  # one pattern
    assert "5 receivers" in said


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"team": "platform", "severity": "critical"}, ["platform-oncall"]),
        ({"team": "platform", "severity": "warning"}, ["team"]),
        ({"team": "ai", "severity": "critical"}, ["team"]),
        ({"team": "ai", "severity": "warning"}, ["team"]),
        ({"team": "app", "severity": "critical"}, ["oncall"]),
        ({"team": "app", "severity": "warning"}, ["team"]),
        ({"severity": "critical"}, ["oncall"]),
        ({"team": "ai", "severity": "info"}, ["null"]),
        ({"team": "platform", "severity": "unheard-of"}, ["team"]),
        ({"team": "platform", "severity": "critical", "alertname": "NotificationTest"}, ["platform-oncall"]),
        ({"team": "ai", "severity": "critical", "alertname": "Watchdog"}, ["watchdog"]),
        (
            {"team": "platform", "severity": "critical", "alertname": "NotificationsFailing"},
            ["team", "platform-oncall"],
        ),
    ],
)
def test_team_and_severity_say_who_is_told(
    tools: Path, config_file: Path, labels: dict[str, str], receivers: list[str]
) -> None:
    alert = {"alertname": "Something"} | labels
    words = [f"{name}={value}" for name, value in alert.items()]
    said = amtool(tools, "config", "routes", "test", f"--config.file={config_file}", *words)

    assert said.splitlines()[-1].split(",") == receivers


def leaves(route: dict[str, Any]) -> list[dict[str, Any]]:
    return [route, *(leaf for child in route.get("routes", ()) for leaf in leaves(child))]


def test_a_window_mutes_the_rows_of_its_alerts_and_one_without_labels_all_of_them(
    everything: dict[str, Any],
) -> None:
    routes = everything["alertmanager"]["route"]["routes"]
    muted = [route for route in routes if "mute_time_intervals" in route]
    (of_platform,) = [route for route in muted if route["matchers"] == ['team = "platform"']]

    assert {tuple(leaf["mute_time_intervals"]) for leaf in of_platform["routes"]} == {
        ("office-hours", "nightly")
    }
    assert len(of_platform["routes"]) == 4
    assert [route["mute_time_intervals"] for route in muted if route is not of_platform] == [
        ["office-hours"]
    ] * 4


def test_neither_heartbeats_nor_tests_are_ever_muted(everything: dict[str, Any]) -> None:
    routes = everything["alertmanager"]["route"]["routes"]
    apart = [
        route for route in routes if re.search("Watchdog|claw_test|NotificationTest", str(route["matchers"]))
    ]

    assert len(apart) == 7
    for route in apart:
        for leaf in leaves(route):
            assert not {"mute_time_intervals", "active_time_intervals"} & set(leaf)


def test_intervals_are_in_the_time_zone_of_all_unless_they_say_another(everything: dict[str, Any]) -> None:
    intervals = {
        one["name"]: [part["location"] for part in one["time_intervals"]]
        for one in everything["alertmanager"]["time_intervals"]
    }

    assert intervals == {"office-hours": ["Asia/Shanghai"], "nightly": ["Europe/Berlin"]}


def test_critical_alerts_of_a_row_for_both_severities_are_repeated_sooner(everything: dict[str, Any]) -> None:
    (row,) = [
        route
        for route in everything["alertmanager"]["route"]["routes"]
        if route.get("active_time_intervals") and len(route["matchers"]) == 2
    ]
    (critical,) = row["routes"]

    assert (critical["matchers"], critical["repeat_interval"]) == (['severity = "critical"'], "4h")
    assert critical["active_time_intervals"] == ["office-hours"]


def test_bots_go_to_the_relay_and_their_secrets_stand_there_by_file_name(everything: dict[str, Any]) -> None:
    hooks = {
        receiver["name"]: [hook["url"] for hook in receiver["webhook_configs"] if "url" in hook]
        for receiver in everything["alertmanager"]["receivers"]
        if "webhook_configs" in receiver
    }
    relay = everything["relay"]

    assert hooks["platform-oncall"] == [
        "http://relay:9811/dingtalk/platform-oncall",
        "http://relay:9811/feishu/platform-oncall",
    ]
    assert hooks["team"] == ["http://relay:9811/wecom/team", "http://relay:9811/wecom/team-2"]
    bots = {f"{bot['type']}/{bot['name']}": bot for bot in relay["channels"]}
    assert set(bots) == {
        *("wecom/team", "wecom/team-2", "dingtalk/platform-oncall", "feishu/platform-oncall"),
    }
    assert bots["wecom/team"]["language"] == "zh"
    assert bots["dingtalk/platform-oncall"] == {
        "type": "dingtalk",
        "name": "platform-oncall",
        "language": "en",
        "url_file": "secrets/notify/dingtalk_url",
        "secret_file": "secrets/notify/dingtalk_secret",
    }
    assert relay["heartbeats"][0] == {
        "name": "web-2",
        "grace_seconds": 300,
        "alerts": ["Watchdog"],
        "channels": ["dingtalk/platform-oncall"],
        "password_file": "secrets/notify/heartbeat",
    }


def test_the_relay_reads_every_key_that_is_generated(everything: dict[str, Any]) -> None:
    keys = {key for bot in everything["relay"]["channels"] for key in bot}

    assert keys == {*Channel.__dataclass_fields__}
    assert set(everything["relay"]["heartbeats"][0]) == {*Heartbeat.__dataclass_fields__}


def test_no_secret_can_stand_in_the_configuration(everything: dict[str, Any]) -> None:
    text = yaml.safe_dump([everything["alertmanager"], everything["relay"]])
    keys = set(re.findall(r"(\w*(?:url|key|password|secret)\w*):", text))

    assert {key for key in keys if not key.endswith("_file")} == {"client_url", "url", "silences_url"}
    assert set(re.findall(r"\burl: (\S+)/\w+/", text)) == {"http://relay:9811"}


def test_templates_and_relay_say_it_in_the_same_words(everything: dict[str, Any]) -> None:
    for code, words in LANGUAGES.items():
        template = everything["templates"][f"claw.{code}.tmpl"]
        for word in (*words.severities.values(), words.resolved, *words.links):
            assert word in template, (code, word)
        assert words.more.partition("{count}")[0] in template
        assert words.since.partition("{start}")[0] in template


def test_both_languages_have_the_same_templates(everything: dict[str, Any]) -> None:
    names = {
        code: set(
            re.findall(rf'define "claw\.{code}\.([\w.]+)"', everything["templates"][f"claw.{code}.tmpl"])
        )
        for code in LANGUAGES
    }

    assert names["en"] == names["zh"]
    assert len(names["en"]) == 13


RECEIVER = "{ receivers+: { oncall: { channels: [%s] } } }"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (
            RECEIVER % "{ type: 'telegram' }",
            "receiver oncall: 'telegram' is no type of channel; there are dingtalk, email,",
        ),
        (RECEIVER % "{}", "receiver oncall: a channel must provide type, one of dingtalk"),
        (
            RECEIVER % "{ type: 'slack' }",
            "receiver oncall: its slack channel lacks url_file: the file with the address",
        ),
        (
            RECEIVER % "{ type: 'dingtalk', url_file: 'notify/d' }",
            "receiver oncall: its dingtalk channel lacks secret_file: choose 'sign' among",
        ),
        (
            RECEIVER % "{ type: 'feishu', url_file: 'notify/f', secret_file: '' }",
            "its feishu channel lacks secret_file",
        ),
        (RECEIVER % "{ type: 'webhook', url: 'https://x' }", "its webhook channel lacks url_file"),
        (
            RECEIVER % "{ type: 'webhook', url_file: 'notify/w', token: 'x' }",
            "'token' is no setting of a webhook channel; there are url_file, type",
        ),
        (
            RECEIVER % "{ type: 'webhook', url_file: 'my_url' }",
            "receiver oncall, webhook: the file 'my_url' is neither in notify/ nor one of",
        ),
        (
            RECEIVER % "{ type: 'email', to: 'a@b.c' }",
            "receiver oncall has an email channel, but config.email is null",
        ),
        (
            (
                "{ email: { smarthost: 'h:25', from: 'a@b.c', username: 'u' }, "
                "receivers+: { oncall: { channels: [{ type: 'email', to: 'a@b.c' }] } } }"
            ),
            "config.email has a username, but no password_file",
        ),
        (
            "{ receivers+: { oncall: { url_file: 'x' } } }",
            "receiver oncall: 'url_file' is no setting of a receiver",
        ),
        (
            "{ receivers+: { oncall+: { language: 'de' } } }",
            "receiver oncall: its language is 'de', not one of en, zh",
        ),
        (
            "{ routing: [{ severity: 'critical', receiver: 'nobody' }] }",
            "config.routing[0] names the receiver 'nobody'",
        ),
        ("{ routing: [{ severity: 'critical' }] }", "config.routing[0]: must provide receiver"),
        (
            "{ routing: [{ severity: 'info', receiver: 'team' }] }",
            "config.routing[0]: severity 'info' is not one of",
        ),
        (
            "{ routing: [{ team: 'sales', receiver: 'team' }] }",
            "config.routing[0]: 'sales' is not one of config.teams (ai,",
        ),
        ("{ routing: [{ who: 'x', receiver: 'team' }] }", "config.routing[0]: 'who' is no setting of a row"),
        (
            "{ routing: [{ severity: 'critical', receiver: 'oncall' }] }",
            "config.routing has no row for team ai, severity warning",
        ),
        (
            "{ routing: [{ receiver: 'team' }, { severity: 'critical', receiver: 'oncall' }] }",
            "config.routing[1] can never fit: the rows above it take whatever it would; move it up",
        ),
        ("{ routing: [{ receiver: 'null' }] }", "send to null, which has no channels: nobody would be told"),
        (
            "{ routing: [{ receiver: 'team', during: 'night' }] }",
            "config.routing[0]: 'night' is not one of config.time_intervals",
        ),
        ("{ notifications+: { fallback: 'x' } }", "config.notifications.fallback names the receiver 'x'"),
        (
            "{ maintenance: [{ during: 'night' }] }",
            "config.maintenance[0]: 'night' is not one of config.time_intervals",
        ),
        ("{ maintenance: [{ labels: {} }] }", "config.maintenance[0]: must provide during"),
        (
            "{ time_intervals: { n: [{}] }, maintenance: [{ during: 'n', labels: { team: 'x' } }] }",
            "config.maintenance[0]: 'x' is not one of config.teams",
        ),
        (
            "{ notifications+: { watchdog: { group_interval: '1m', repeat_interval: '1m' } } }",
            "a heartbeat repeats every 1m, which is not below its group_interval of 1m",
        ),
    ],
)
def test_a_mistake_stops_the_generator_and_says_what_to_do(patch: str, said: str) -> None:
    with pytest.raises(RuntimeError) as refused:
        build(patch, inhibition=False)

    assert said in str(refused.value).splitlines()[0]


def test_without_changes_it_is_what_is_committed() -> None:
    built = build()
    for name in ("alertmanager/alertmanager.yml", "relay/relay.yml"):
        committed = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        assert built[name.split("/", maxsplit=1)[0]] == committed
