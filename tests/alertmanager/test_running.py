"""The generated configuration in a running Alertmanager: what is muted, and what arrives."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.alertmanager.conftest import Alertmanager, Notification, Sink

pytestmark = pytest.mark.tools
NUMBER = count()
POOL = {"alertname": "PoolNearlyExhausted", "severity": "warning", "job": "app", "host": "main", "pool": "p"}
POSTGRES = {
    "alertname": "PostgresDown",
    "severity": "critical",
    "job": "postgres-exporter",
    "host": "main",
    "instance": "pg:9187",
}
REDIS = {
    "alertname": "RedisDown",
    "severity": "critical",
    "job": "redis-exporter",
    "host": "main",
    "instance": "r:9121",
}
REDIS_FULL = REDIS | {"alertname": "RedisMemoryHigh", "severity": "warning"}
DISK = {
    "alertname": "HostDiskFilling",
    "severity": "warning",
    "host": "main",
    "device": "/dev/sda1",
    "mountpoint": "/",
    "resource": "bytes",
}
TARGET = {"alertname": "TargetDown", "severity": "critical", "job": "app", "host": "main"}
HOST = {"alertname": "HostDown", "severity": "critical", "host": "main"}
DOOR = {"alertname": "PublicDoorDown", "severity": "critical", "host": "main", "target": "https://m/healthz"}
PROBE = DOOR | {
    "alertname": "ProbeFailed",
    "severity": "warning",
    "module": "https_2xx",
    "instance": "p:9115",
}
BURN = {
    "alertname": "HttpAvailabilityBudgetBurn",
    "severity": "critical",
    "job": "app",
    "slo": "http_availability",
}
LEAK = BURN | {"alertname": "HttpAvailabilityBudgetLeak", "severity": "warning"}
FIRST_TOKEN = {"alertname": "AiFirstTokenSlow", "severity": "warning", "job": "app"}
PROVIDER = {"alertname": "AiProviderDown", "severity": "critical", "job": "app", "provider": "zhipu"}
MODEL = PROVIDER | {"alertname": "AiProviderErrorsHigh", "severity": "warning", "model": "glm-4"}
QUOTA = PROVIDER | {"alertname": "AiQuotaExhausted"}
KEY = PROVIDER | {"alertname": "AiCredentialsRejected"}
CANARY = MODEL | {"alertname": "AiCanaryFailing", "job": "exporter"}
LIMITED = MODEL | {"alertname": "AiRateLimited"}
HEADROOM = MODEL | {"alertname": "AiRateLimitHeadroomLow", "kind": "tokens"}
FALLBACK = MODEL | {"alertname": "AiFallbackActive"}
RETRIES = PROVIDER | {"alertname": "AiRetryAmplification", "severity": "warning"}
ANSWERS = BURN | {"alertname": "AiAnswerBudgetBurn", "slo": "ai_answers"}


def apart(labels: dict[str, str], case: int) -> dict[str, str]:
    """Values of its own for a case, so that the hosts and jobs of one never meet those of another."""
    return {
        name: f"{value}-{case}" if name in {"host", "job", "instance"} else value
        for name, value in labels.items()
    }


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def without(labels: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in names}


@pytest.mark.parametrize(
    ("source", "target", "muted"),
    [
        pytest.param(POOL | {"severity": "critical"}, POOL, True, id="a critical mutes its warning"),
        pytest.param(
            POOL | {"severity": "critical", "pool": "other"},
            POOL,
            False,
            id="not the warning of another pool",
        ),
        pytest.param(
            FIRST_TOKEN | {"severity": "critical"}, FIRST_TOKEN, True, id="slow first tokens, one application"
        ),
        pytest.param(
            FIRST_TOKEN | {"severity": "critical", "job": "b"},
            FIRST_TOKEN,
            False,
            id="not of another application",
        ),
        pytest.param(
            TARGET,
            TARGET | {"severity": "warning", "instance": "a:8000"},
            True,
            id="a job down mutes its targets",
        ),
        pytest.param(
            TARGET,
            TARGET | {"severity": "warning", "job": "other", "instance": "a:8000"},
            False,
            id="not the targets of another job",
        ),
        pytest.param(HOST, TARGET, True, id="a dead machine mutes the jobs that it took along"),
        pytest.param(
            HOST,
            TARGET | {"severity": "warning", "instance": "a:8000"},
            True,
            id="and its single targets",
        ),
        pytest.param(HOST, TARGET | {"host": "two"}, False, id="not what is missing on another machine"),
        pytest.param(HOST, PROBE, True, id="a dead machine mutes the probes of it"),
        pytest.param(HOST, DOOR, True, id="and of the door on it"),
        pytest.param(HOST, DISK, False, id="not what it said before"),
        pytest.param(DOOR, PROBE, True, id="a closed door mutes its single probes"),
        pytest.param(DOOR, PROBE | {"target": "https://other/"}, False, id="not those of another address"),
        pytest.param(PROBE, DOOR, False, id="one prober with trouble mutes nothing"),
        pytest.param(DISK | {"severity": "critical"}, DISK, True, id="one disk"),
        pytest.param(
            DISK | {"severity": "critical", "mountpoint": "/data"},
            DISK,
            False,
            id="not another disk of the host",
        ),
        pytest.param(
            DISK | {"severity": "critical"},
            DISK | {"resource": "inodes"},
            False,
            id="bytes do not mute inodes",
        ),
        pytest.param(BURN, LEAK, True, id="the page about a budget mutes the ticket"),
        pytest.param(BURN, LEAK | {"job": "other"}, False, id="not the ticket of another application"),
        pytest.param(LEAK, BURN, False, id="a ticket never mutes a page"),
        pytest.param(POSTGRES, POOL, True, id="a database down mutes full pools on its host"),
        pytest.param(POSTGRES, POOL | {"host": "two"}, False, id="not the pools of another host"),
        pytest.param(
            without(POSTGRES, "host"),
            without(POOL, "host"),
            False,
            id="a label that both lack is not taken for equal",
        ),
        pytest.param(
            REDIS,
            REDIS | {"alertname": "RedisMemoryHigh", "severity": "warning"},
            True,
            id="Redis down, one server",
        ),
        pytest.param(POSTGRES, REDIS, False, id="one database does not mute another"),
        pytest.param(POSTGRES, BURN, False, id="what users feel is never muted by a cause"),
        pytest.param(PROVIDER, MODEL, True, id="a provider down mutes the errors of its models"),
        pytest.param(
            PROVIDER, MODEL | {"provider": "openai"}, False, id="not those of another provider's models"
        ),
        pytest.param(PROVIDER, MODEL | {"job": "other"}, False, id="not what another application sees"),
        pytest.param(PROVIDER, QUOTA, False, id="an empty account is another fault"),
        pytest.param(PROVIDER, KEY, False, id="so is a key that is refused"),
        pytest.param(PROVIDER, CANARY, True, id="the canary of the same provider, whosever it is"),
        pytest.param(PROVIDER, ANSWERS, False, id="not that people get no answer"),
        pytest.param(QUOTA, FALLBACK, True, id="an empty account explains the fallbacks"),
        pytest.param(LIMITED, HEADROOM, True, id="a limit that is reached is not near any more"),
        pytest.param(LIMITED, FALLBACK, True, id="too many requests explain the fallbacks"),
        pytest.param(LIMITED, RETRIES, True, id="and what is tried again"),
        pytest.param(LIMITED, RETRIES | {"provider": "openai"}, False, id="but not at another provider"),
        pytest.param(MODEL, FALLBACK, True, id="so do failures of the same model"),
        pytest.param(MODEL, FALLBACK | {"model": "glm-4-flash"}, False, id="not those of another"),
        pytest.param(LIMITED, HEADROOM | {"model": "glm-4-flash"}, False, id="but that of another model is"),
    ],
)
def test_inhibition(
    alertmanager: Alertmanager, source: dict[str, str], target: dict[str, str], *, muted: bool
) -> None:
    case = next(NUMBER)
    before, after = apart(source, case), apart(target, case)
    # Alertmanager learns of alerts one after the other: when the last pair is muted, it knows the first.
    number = next(NUMBER)
    last = [apart(labels, number) for labels in (REDIS, REDIS_FULL)]
    alertmanager.post(*({"labels": labels} for labels in (before, after, *last)))
    wait_for(lambda: alertmanager.is_muted(last[1]))
    assert alertmanager.is_muted(after) is muted


def until(sink: Sink, receiver: str, alert: str, status: str) -> Notification:
    while True:
        arrived = sink.arrived.get(timeout=30)
        if (arrived.receiver, arrived.status) == (receiver, status) and alert in arrived.alertnames:
            return arrived


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "oncall"), ("warning", "team")])
def test_a_test_alert_reaches_its_receiver_and_resolves_within_seconds(
    alertmanager: Alertmanager, sink: Sink, severity: str, receiver: str
) -> None:
    labels = {"alertname": "NotificationTest", "severity": severity, "sent_by": "pytest"}
    alertmanager.post({"labels": labels})
    until(sink, receiver, "NotificationTest", "firing")
    now = datetime.now(UTC)
    resolved: dict[str, Any] = {
        "labels": labels,
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
        "endsAt": now.isoformat(),
    }
    alertmanager.post(resolved)
    until(sink, receiver, "NotificationTest", "resolved")


def test_the_heartbeats_reach_the_watchdog_at_once(alertmanager: Alertmanager, sink: Sink) -> None:
    alertmanager.post({"labels": {"alertname": "Watchdog", "severity": "none"}})
    until(sink, "watchdog", "Watchdog", "firing")
