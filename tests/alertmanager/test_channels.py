"""Every channel for real: Alertmanager with the generated configuration, our relay, and a mail server.

The vendors are sinks that answer as these do, refusals included.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import queue
import re
import socket
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from tests.alertmanager.configured import build
from tests.alertmanager.conftest import is_ready

from claw_native.servers import Process
from claw_relay.app import create_app
from claw_relay.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools

NUMBER = count()
PATCH = """
{
  local channels = {
    email: { type: 'email', to: 'oncall@example.com' },
    slack: { type: 'slack', url_file: 'notify/slack_url' },
    pagerduty: { type: 'pagerduty', key_file: 'notify/pagerduty_key', url: '%(sink)s/pagerduty' },
    webhook: { type: 'webhook', url_file: 'notify/webhook_url' },
    wecom: { type: 'wecom', url_file: 'notify/wecom_url' },
    dingtalk: { type: 'dingtalk', url_file: 'notify/dingtalk_url', secret_file: 'notify/dingtalk_secret' },
    feishu: { type: 'feishu', url_file: 'notify/feishu_url', secret_file: 'notify/feishu_secret' },
  },
  receivers+:
    { [name]: { channels: [channels[name]] } for name in std.objectFields(channels) }
    + {
      [name + '-zh']: { channels: [channels[name]], language: 'zh' }
      for name in std.objectFields(channels)
    },
  urls+: { grafana: 'https://grafana.example/grafana' },
  email: {
    smarthost: '127.0.0.1:%(smtp)d', from: 'claw@example.com', require_tls: false,
    username: 'claw', password_file: 'notify/smtp_password',
  },
  notifications+: { time_zone: 'Asia/Shanghai', watchdog: { group_interval: '2s', repeat_interval: '1s' } },
  relay: { heartbeats: [{
    name: 'claw',
    grace: '4s',
    alerts: ['Watchdog'],
    channels: ['wecom/wecom'],
    password_file: 'notify/heartbeat',
  }] },
}
"""
GOOD: dict[str, Any] = {
    "slack": b"ok",
    "pagerduty": {"status": "success", "message": "Event processed", "dedup_key": "x"},
    "webhook": b"",
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"},
}


@dataclass(frozen=True)
class Request:
    """What a service was sent."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Services:
    """The vendors: answers by path, and what came in."""

    answers: dict[str, tuple[int, Any]] = field(
        default_factory=lambda: {k: (200, v) for k, v in GOOD.items()}
    )
    arrived: dict[str, queue.Queue[Request]] = field(
        default_factory=lambda: {name: queue.Queue() for name in GOOD}
    )

    def serve(self) -> ThreadingHTTPServer:
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                name = parts.path.strip("/").partition("/")[0]
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                services.arrived[name].put(
                    Request(parts.path, parse_qs(parts.query), dict(self.headers), body)
                )
                status, answer = services.answers[name]
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(202 if name == "pagerduty" and status == 200 else status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


class Mail:
    """A mailbox, and the name and password that a client showed."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[email.message.EmailMessage] = queue.Queue()
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: ANN401, N802
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, email.message.EmailMessage)
        self.arrived.put(message)
        return "250 OK"

    def log_in(
        self, _server: object, _session: object, _envelope: object, _how: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"PASSWORD-of-smtp")


@dataclass
class World:
    """Everything that runs."""

    folder: Path
    services: Services
    mail: Mail
    alertmanager: httpx.Client
    relay: httpx.Client

    def post(self, to: str, *alerts: dict[str, Any]) -> None:
        rows = [{**alert, "labels": alert["labels"] | {"to": to}} for alert in alerts]
        self.alertmanager.post("/api/v2/alerts", json=rows).raise_for_status()

    def counted(self, receiver: str) -> dict[str, float]:
        """What Alertmanager counts of a receiver: failed_total by reason, requests_total, ..."""
        pattern = rf'^alertmanager_(notification\w+)\{{[^}}]*receiver_name="{receiver}"[^}}]*\}} (\S+)$'
        found: dict[str, float] = {}
        for name, value in re.findall(pattern, self.alertmanager.get("/metrics").text, re.MULTILINE):
            found[name] = found.get(name, 0) + float(value)
        return found


@pytest.fixture(scope="module")
def world(
    tools: Path, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("channels")
    services, mail = Services(), Mail()
    server = services.serve()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    smtp = Controller(
        mail,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=mail.log_in,
        auth_require_tls=False,
        auth_exclude_mechanism=["LOGIN"],  # its prompts are not those that Alertmanager knows
    )
    smtp.start()
    sink = f"http://127.0.0.1:{server.server_address[1]}"
    built = build(PATCH % {"sink": sink, "smtp": smtp.port})
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        relay_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        write(folder, built, sink, relay_url)
        relay = started_relay(folder, listener)
        url = f"http://127.0.0.1:{free_port()}"
        command = [
            *("env", "-C", str(folder), str(tools / "alertmanager"), "--config.file=config/alertmanager.yml"),
            *("--storage.path=data", f"--web.listen-address={url.removeprefix('http://')}"),
            *("--cluster.listen-address=", "--enable-feature=utf8-strict-mode,receiver-name-in-metrics"),
        ]
        with (
            Process(command, log=folder / "log", ready=lambda: is_ready(url)),
            httpx.Client(base_url=url, trust_env=False) as client,
            httpx.Client(base_url=relay_url, trust_env=False) as relay_client,
        ):
            yield World(folder, services, mail, client, relay_client)
        relay.stop()
    smtp.stop()
    server.shutdown()
    thread.join()
    server.server_close()


def write(folder: Path, built: dict[str, Any], sink: str, relay_url: str) -> None:
    """Writes configuration and secrets; each channel's receiver also takes what is labelled with its name."""
    (folder / "config/templates").mkdir(parents=True)
    for name, text in built["templates"].items():
        (folder / "config/templates" / name).write_text(text, encoding="utf-8")
    configuration = built["alertmanager"]
    names = [receiver["name"] for receiver in configuration["receivers"]]
    configuration["route"]["routes"][:0] = [
        {
            "receiver": name,
            "matchers": [f'to = "{name}"'],
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
        }
        for name in names
    ]
    text = yaml.safe_dump(configuration).replace("http://relay:9811", relay_url)
    (folder / "config/alertmanager.yml").write_text(text, encoding="utf-8")
    notify = folder / "secrets/notify"
    notify.mkdir(parents=True)
    for name in ("slack", "webhook", "wecom", "feishu"):
        (notify / f"{name}_url").write_text(f"{sink}/{name}/TOKEN-of-{name}\n")
    (notify / "dingtalk_url").write_text(f"{sink}/dingtalk/send?access_token=TOKEN-of-dingtalk\n")
    for name in ("dingtalk_secret", "feishu_secret", "pagerduty_key", "heartbeat"):
        (notify / name).write_text(f"SECRET-of-{name}\n")
    (notify / "smtp_password").write_text("PASSWORD-of-smtp")
    for name in ("oncall", "team"):
        (folder / f"secrets/alertmanager_{name}_url").write_text(f"{sink}/webhook\n")
    beat = relay_url.replace("//", "//any:SECRET-of-heartbeat@") + "/heartbeat/claw"
    (folder / "secrets/alertmanager_watchdog_url").write_text(beat)
    bots = yaml.safe_dump(built["relay"] | {"state_file": str(folder / "state.json")})
    (folder / "relay.yml").write_text(bots.replace("secrets/", f"{folder}/secrets/"), encoding="utf-8")


class started_relay:  # noqa: N801 - used as a function
    """Our relay, served for real, in a thread."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        client = httpx.AsyncClient(timeout=2, trust_env=False)
        app = create_app(load(folder / "relay.yml", {}), client=client)
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


SHANGHAI = timedelta(hours=8)


@dataclass
class Case:
    """An alert of its own, which began half an hour ago."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(minutes=29, seconds=30))
    number: int = field(default_factory=lambda: next(NUMBER))

    @property
    def name(self) -> str:
        return f"RedisMemoryHigh{self.number}"

    def alert(self, **labels: str) -> dict[str, Any]:
        return {
            "labels": {"alertname": self.name, "severity": "critical", "job": "redis-exporter"} | labels,
            "annotations": {
                "summary": "Redis is nearly full.",
                "description": "96.2% of maxmemory is used (limit < 95%).",
                "dashboard_url": "https://grafana.example/grafana/d/claw-ai-datastores",
                "runbook_url": "https://docs.example/RedisMemoryHigh.md",
            },
            "startsAt": self.began.isoformat(),
        }

    def resolved(self, **labels: str) -> dict[str, Any]:
        ended = self.began + timedelta(minutes=17, seconds=5)
        return self.alert(**labels) | {"endsAt": ended.isoformat()}

    @staticmethod
    def time(when: datetime) -> str:
        return f"{when + SHANGHAI:%Y-%m-%d %H:%M} CST"

    @property
    def since(self) -> str:
        return f"since {self.time(self.began)} (29m)"

    @property
    def lasted(self) -> str:
        ended = self.began + timedelta(minutes=17, seconds=5)
        return f"{self.time(self.began)} to {self.time(ended)} (17m)"

    def silence(self, to: str) -> str:
        matchers = {"alertname": self.name, "job": "redis-exporter", "severity": "critical", "to": to}
        query = "&".join(f"matcher={name}%3D{value}" for name, value in matchers.items())
        base = "https://grafana.example/grafana/alerting/silence/new?alertmanager=Alertmanager"
        return f"{base}&{query}"


DASHBOARD = "https://grafana.example/grafana/d/claw-ai-datastores"
RUNBOOK = "https://docs.example/RedisMemoryHigh.md"


def arrival(world: World, service: str, contains: str) -> Request:
    """The next request to a service about something; others are of other tests."""
    deadline = time.monotonic() + 30
    while True:
        request = world.services.arrived[service].get(timeout=max(0.1, deadline - time.monotonic()))
        if contains in json.dumps(request.body, ensure_ascii=False):
            return request


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_slack_gets_what_since_when_and_where_to_look(world: World) -> None:
    case = Case()
    world.post("slack", case.alert())

    request = arrival(world, "slack", case.name)

    assert request.path == "/slack/TOKEN-of-slack"
    (attachment,) = request.body["attachments"]
    assert attachment == attachment | {
        "color": "danger",
        "title": f"CRITICAL {case.name} redis-exporter",
        "title_link": DASHBOARD,
        "fallback": f"CRITICAL {case.name} redis-exporter",
        "text": "*Redis is nearly full.*\n96.2% of maxmemory is used (limit &lt; 95%).\n"
        f"{case.since}\n<{DASHBOARD}|Dashboard> · <{RUNBOOK}|Runbook> · <{case.silence('slack')}|Silence>",
    }

    world.post("slack", case.resolved())
    (attachment,) = arrival(world, "slack", "RESOLVED").body["attachments"]
    assert (attachment["color"], attachment["title"]) == ("good", f"RESOLVED {case.name} redis-exporter")
    assert attachment["text"] == (
        "RESOLVED *Redis is nearly full.*\n96.2% of maxmemory is used (limit &lt; 95%).\n"
        f"{case.lasted}\n<{DASHBOARD}|Dashboard> · <{RUNBOOK}|Runbook>"
    )


def test_slack_speaks_chinese(world: World) -> None:
    case = Case()
    world.post("slack-zh", case.alert())

    (attachment,) = arrival(world, "slack", case.name).body["attachments"]

    assert attachment["title"] == f"严重 {case.name} redis-exporter"
    assert f"始于 {case.time(case.began)}（已持续 29m）" in attachment["text"]  # noqa: RUF001
    assert f"<{RUNBOOK}|处理手册>" in attachment["text"]


def test_pagerduty_gets_an_event_that_it_can_end(world: World) -> None:
    case = Case()
    world.post("pagerduty", case.alert(team="platform"))

    body = arrival(world, "pagerduty", case.name).body

    assert (body["routing_key"], body["event_action"]) == ("SECRET-of-pagerduty_key", "trigger")
    assert (body["client"], body["client_url"]) == ("Claw", DASHBOARD)
    assert [link["text"] for link in body["links"]] == ["Dashboard", "Runbook", "Silence"]
    assert [link["href"] for link in body["links"][:2]] == [DASHBOARD, RUNBOOK]
    payload = body["payload"]
    assert payload["summary"] == f"CRITICAL {case.name} redis-exporter: Redis is nearly full."
    assert {key: payload[key] for key in ("severity", "component", "group", "class")} == {
        "severity": "critical",
        "component": "redis-exporter",
        "group": "platform",
        "class": case.name,
    }
    assert case.since in payload["custom_details"]["firing"]

    world.post("pagerduty", case.resolved(team="platform"))
    ended = arrival(world, "pagerduty", "RESOLVED").body
    assert (ended["event_action"], ended["dedup_key"]) == ("resolve", body["dedup_key"])
    # An address that is none makes PagerDuty refuse the event.
    assert all(link["href"].startswith("https://") for link in ended.get("links", ()))


def part(message: email.message.EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert isinstance(found, email.message.EmailMessage)
    text: str = found.get_content()
    return text.replace("\r\n", "\n")


def letter(world: World, contains: str) -> email.message.EmailMessage:
    while True:
        message = world.mail.arrived.get(timeout=30)
        if contains in message["Subject"]:
            return message


def test_mail_fits_a_phone_in_text_and_in_html(world: World) -> None:
    case = Case()
    world.post("email", case.alert())

    message = letter(world, case.name)

    assert world.mail.logins[-1] == (b"claw", b"PASSWORD-of-smtp")
    assert (message["From"], message["To"]) == ("claw@example.com", "oncall@example.com")
    assert message["Subject"] == f"CRITICAL {case.name} redis-exporter"
    assert part(message, "plain").strip() == (
        f"CRITICAL {case.name} redis-exporter\n\n"
        f"Redis is nearly full.\n96.2% of maxmemory is used (limit < 95%).\n{case.since}\n"
        f"Dashboard: {DASHBOARD}\nRunbook: {RUNBOOK}\nSilence: {case.silence('email')}"
    )
    html = part(message, "html")
    assert "limit &lt; 95%" in html
    assert re.findall(r'<a href="([^"]*)"[^>]*>(\w+)</a>', html) == [
        (DASHBOARD, "Dashboard"),
        (RUNBOOK, "Runbook"),
        (case.silence("email"), "Silence"),
    ]
    assert '<meta name="viewport"' in html
    assert "<script" not in html

    world.post("email", case.resolved())
    over = letter(world, case.name)
    assert over["Subject"] == f"RESOLVED {case.name} redis-exporter"
    assert case.lasted in part(over, "plain")
    assert "Silence" not in part(over, "plain") + part(over, "html")


def test_mail_speaks_chinese(world: World) -> None:
    case = Case()
    world.post("email-zh", case.alert(severity="warning"))

    message = letter(world, case.name)

    assert message["Subject"] == f"警告 {case.name} redis-exporter"
    assert f"处理手册: {RUNBOOK}" in part(message, "plain")
    assert '<html lang="zh">' in part(message, "html")


def test_a_webhook_of_ones_own_gets_the_alert_as_data(world: World) -> None:
    case = Case()
    world.post("webhook", case.alert())

    body = arrival(world, "webhook", case.name).body

    assert body["alerts"][0]["annotations"] == case.alert()["annotations"]


def lines(case: Case, to: str) -> list[str]:
    links = f"[Dashboard]({DASHBOARD}) · [Runbook]({RUNBOOK}) · [Silence]({case.silence(to)})"
    return ["**Redis is nearly full.**", "96.2% of maxmemory is used (limit < 95%).", case.since, links]


def test_wecom_gets_it_through_the_relay(world: World) -> None:
    case = Case()
    world.post("wecom", case.alert())

    body = arrival(world, "wecom", case.name).body

    title = f'**<font color="warning">CRITICAL {case.name} redis-exporter</font>**'
    assert body == {"msgtype": "markdown", "markdown": {"content": "\n".join([title, *lines(case, "wecom")])}}


def test_dingtalk_gets_it_signed(world: World) -> None:
    case = Case()
    world.post("dingtalk", case.alert())

    request = arrival(world, "dingtalk", case.name)

    stamp, secret = request.query["timestamp"][0], "SECRET-of-dingtalk_secret"
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    assert request.query["sign"] == [base64.b64encode(digest).decode()]
    assert request.query["access_token"] == ["TOKEN-of-dingtalk"]
    assert abs(int(stamp) / 1000 - time.time()) < 60
    text = "\n\n".join([f"### CRITICAL {case.name} redis-exporter", *lines(case, "dingtalk")])
    assert request.body["markdown"] == {"title": f"CRITICAL {case.name} redis-exporter", "text": text}


def test_feishu_gets_a_signed_card_in_chinese_and_a_green_one_when_it_is_over(world: World) -> None:
    case = Case()
    world.post("feishu-zh", case.alert())

    body = arrival(world, "feishu", case.name).body

    key = f"{body['timestamp']}\nSECRET-of-feishu_secret".encode()
    assert body["sign"] == base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    assert body["card"]["header"] == {
        "template": "red",
        "title": {"tag": "plain_text", "content": f"严重 {case.name} redis-exporter"},
    }
    (element,) = body["card"]["elements"]
    assert f"始于 {case.time(case.began)}（已持续 29分）" in element["content"]  # noqa: RUF001
    world.post("feishu-zh", case.resolved())
    over = arrival(world, "feishu", "已恢复").body["card"]["header"]
    assert over["template"] == "green"


@pytest.mark.parametrize(
    ("service", "limit"), [("wecom", 4096), ("dingtalk", 20_000), ("feishu", 20_000), ("slack", 20_000)]
)
def test_sixty_alerts_are_one_message_within_its_limit(world: World, service: str, limit: int) -> None:
    case = Case()
    world.post(service, *(case.alert(instance=f"redis-{number}:9121") for number in range(60)))

    # Alertmanager may begin before it has taken all of them in, and tells the others a second later.
    text = ""
    while not (found := re.search(r"and (\d+) more", text)):
        text = json.dumps(arrival(world, service, case.name).body, ensure_ascii=False)

    assert len(text.encode()) < limit + 500
    shown = text.count("Redis is nearly full.")
    (total,) = {int(number) for number in re.findall(r"×(\d+)", text)}  # noqa: RUF001 - times
    assert shown + int(found[1]) == total
    assert 2 <= shown <= 5


@pytest.mark.parametrize(
    ("service", "status", "answer", "reason", "again"),
    [
        ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, "credentials", False),
        ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, "credentials", False),
        ("feishu", 200, {"code": 9499, "msg": "Bad Request"}, "message", False),
        ("dingtalk", 200, {"errcode": 130101, "errmsg": "send too fast"}, "rate_limited", True),
        ("feishu", 400, {"code": 11232, "msg": "frequency limited"}, "rate_limited", True),
        ("wecom", 503, b"", "unavailable", True),
    ],
)
def test_a_refusal_is_a_failure_that_alertmanager_sees(  # noqa: PLR0913 - what there is to say about one
    world: World, service: str, status: int, answer: object, reason: str, *, again: bool
) -> None:
    case = Case()
    before = world.counted(service)
    world.services.answers[service] = (status, answer)
    try:
        world.post(service, case.alert())
        arrival(world, service, case.name)
        if again:
            arrival(world, service, case.name)
        else:
            wait_for(lambda: grew(world.counted(service), before, "notifications_failed_total") == 1)
    finally:
        world.services.answers[service] = (200, GOOD[service])

    if again:
        # Once it takes messages again, this one is not lost.
        arrival(world, service, case.name)
        wait_for(lambda: delivered(world, service, before))
        assert grew(world.counted(service), before, "notifications_failed_total") == 0
    else:
        assert grew(world.counted(service), before, "notification_requests_total") == 1
    rejected = (
        f'claw_ai_notify_rejected_total{{channel="{service}",integration="{service}",reason="{reason}"}}'
    )
    (value,) = re.findall(rf"^{re.escape(rejected)} (\S+)$", world.relay.get("/metrics").text, re.MULTILINE)
    assert float(value) >= 1


def grew(after: dict[str, float], before: dict[str, float], name: str) -> float:
    return after.get(name, 0) - before.get(name, 0)


def delivered(world: World, service: str, before: dict[str, float]) -> bool:
    after = world.counted(service)
    requests, failed = (
        grew(after, before, f"notification_requests_{part}") for part in ("total", "failed_total")
    )
    return requests > failed


def test_a_service_that_refuses_alertmanager_itself_is_counted_too(world: World) -> None:
    case = Case()
    before = world.counted("slack")
    world.services.answers["slack"] = (403, b"invalid_token")
    try:
        world.post("slack", case.alert())
        wait_for(lambda: grew(world.counted("slack"), before, "notifications_failed_total") == 1)
    finally:
        world.services.answers["slack"] = (200, GOOD["slack"])


def test_the_heartbeat_that_stops_is_told_and_so_is_its_return(world: World) -> None:
    beat = {"labels": {"alertname": "Watchdog", "severity": "none"}}
    world.alertmanager.post("/api/v2/alerts", json=[beat])
    wait_for(lambda: beats(world) >= 2)
    ended = beat | {"endsAt": datetime.now(UTC).isoformat()}
    world.alertmanager.post("/api/v2/alerts", json=[ended])

    stopped = arrival(world, "wecom", "has stopped").body["markdown"]["content"]

    assert "The heartbeat of claw has stopped" in stopped
    assert "Nothing of Watchdog for " in stopped
    world.alertmanager.post("/api/v2/alerts", json=[beat])
    back = arrival(world, "wecom", "is back").body["markdown"]["content"]
    assert '<font color="info">The heartbeat of claw is back' in back


def beats(world: World) -> float:
    found = re.findall(
        r"^claw_ai_notify_heartbeats_total\{.*\} (\S+)$", world.relay.get("/metrics").text, re.MULTILINE
    )
    return float(found[0])


def test_no_secret_gets_into_a_log(world: World) -> None:
    said = (world.folder / "log").read_text()

    assert "notify retry canceled" in said.lower() or "errcode" in said or "did not take" in said
    assert re.findall(r"(?:TOKEN|SECRET|PASSWORD)-of-\w+", said) == []
