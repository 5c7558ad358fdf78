"""A relay whose chat services are fakes and whose clocks stand still until they are moved."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from claw_relay.app import create_app
from claw_relay.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.applications import Starlette

NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC


@dataclass
class ChatServices:
    """Takes what is posted, and answers with `answer`."""

    answer: tuple[int, Any] = (200, {"errcode": 0, "errmsg": "ok"})
    error: Exception | None = None
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        status, body = self.answer
        return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Relay:
    """A relay, what it sends to, and its clock."""

    app: Starlette
    services: ChatServices
    clock: Clock
    client: httpx.AsyncClient

    async def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=headers)

    async def series(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of that name: values of their labels, in the order of the labels' names -> number."""
        families = text_string_to_metric_families((await self.client.get("/metrics")).text)
        found = [sample for family in families for sample in family.samples if sample.name == name]
        return {tuple(value for _, value in sorted(one.labels.items())): one.value for one in found}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("wecom", "dingtalk", "feishu"):
        (folder / f"{name}_url").write_text(f"https://{name}.example/send?key=TOKEN-of-{name}\n")
        (folder / f"{name}_secret").write_text(f"SECRET-of-{name}\n")
    return folder


@pytest.fixture
def document(tmp_path: Path, secrets: Path) -> dict[str, Any]:
    channels = [
        {
            "type": name,
            "name": "oncall",
            "url_file": str(secrets / f"{name}_url"),
            **({} if name == "wecom" else {"secret_file": str(secrets / f"{name}_secret")}),
        }
        for name in ("wecom", "dingtalk", "feishu")
    ]
    return {
        "silences_url": "https://grafana.example/alerting/silence/new?alertmanager=Alertmanager",
        "state_file": str(tmp_path / "state.json"),
        "channels": channels,
    }


@pytest.fixture
def make_relay(document: dict[str, Any], tmp_path: Path) -> Callable[..., Relay]:
    def make(clock: Clock | None = None, services: ChatServices | None = None, **changes: Any) -> Relay:  # noqa: ANN401 - values of YAML or JSON
        path = tmp_path / "relay.yml"
        path.write_text(yaml.safe_dump(document | changes))
        clock, services = clock or Clock(), services or ChatServices()
        client = httpx.AsyncClient(transport=httpx.MockTransport(services))
        app = create_app(load(path, {}), client=client, clock=clock, ticks=clock)
        transport = httpx.ASGITransport(app)
        return Relay(app, services, clock, httpx.AsyncClient(transport=transport, base_url="http://relay"))

    return make


@pytest.fixture
async def relay(make_relay: Callable[..., Relay]) -> AsyncIterator[Relay]:
    made = make_relay()
    async with made.client:
        yield made


def alert(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - values of YAML or JSON
    """One alert as Alertmanager writes it, half an hour old."""
    labels = {"alertname": "RedisMemoryHigh", "severity": "critical", "job": "redis-exporter", "host": "main"}
    return {
        "status": "firing",
        "labels": labels | changes.pop("labels", {}),
        "annotations": {
            "summary": "Redis is nearly full.",
            "description": "96.2% of maxmemory is used (limit 95%).",
            "dashboard_url": "https://grafana.example/d/claw-ai-resources",
            "runbook_url": "https://docs.example/RedisMemoryHigh.md",
        }
        | changes.pop("annotations", {}),
        "startsAt": "2026-11-21T11:30:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "d1d5f8a5b2a1c0de",
        **changes,
    }


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - values of YAML or JSON
    """What Alertmanager posts to a webhook."""
    shown = alerts or (alert(),)
    firing = any(each["status"] == "firing" for each in shown)
    return {
        "version": "4",
        "groupKey": '{}:{alertname="RedisMemoryHigh"}',
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "oncall",
        "groupLabels": {"alertname": "RedisMemoryHigh", "job": "redis-exporter"},
        "commonLabels": {"alertname": "RedisMemoryHigh", "job": "redis-exporter", "host": "main"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(shown),
        **changes,
    }


@pytest.fixture
def page() -> str:
    """The documentation."""
    return (Path(__file__).parents[2] / "docs/NOTIFICATIONS.md").read_text(encoding="utf-8")
