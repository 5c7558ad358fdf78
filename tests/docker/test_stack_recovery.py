"""Every service killed by the kernel, and what comes back by itself; data that outlives its containers."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.docker.stack import wait_for

if TYPE_CHECKING:
    from tests.docker.stack import ComposeStack

# Killed all at once: a health check every 15 seconds, twice where a service waits for another.
RECOVERY_SECONDS = 120
ANSWERED = re.compile(r"claw_ai_ai_response_duration_seconds_count\{.*status=\"ok\".*\} [1-9]")
SERVICES = [
    *(
        "alertmanager",
        "blackbox-exporter",
        "claw-ai-backend",
        "docker-proxy",
        "exporter",
        "load",
        "model-server",
    ),
    *("nginx", "nginx-exporter", "node-exporter", "postgres", "postgres-exporter", "prometheus", "redis"),
    "redis-exporter",
    "relay",
]


@pytest.fixture(scope="module")
def killed(compose_stack: ComposeStack) -> dict[str, int]:
    """How often each service had been restarted before its first process was killed."""
    before = {name: compose_stack.inspect(name) for name in compose_stack.services}
    for row in before.values():
        compose_stack.engine.kill(row["State"]["Pid"])
    return {name: row["RestartCount"] for name, row in before.items()}


def test_every_service_is_killed(compose_stack: ComposeStack) -> None:
    assert set(compose_stack.services) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back(
    compose_stack: ComposeStack, killed: dict[str, int], service: str
) -> None:
    def is_back() -> bool:
        row = compose_stack.inspect(service)
        health = row["State"].get("Health", {}).get("Status", "healthy")
        return bool(row["RestartCount"] > killed[service] and row["State"]["Running"] and health == "healthy")

    wait_for(is_back, seconds=RECOVERY_SECONDS, what=f"{service} is back")


def test_visitors_come_again_after_the_application_alone_was_killed(compose_stack: ComposeStack) -> None:
    """Those who share its network with it must not be left behind in the old one."""
    compose_stack.engine.kill(compose_stack.inspect("claw-ai-backend")["State"]["Pid"])

    def answers() -> list[str]:
        with urllib.request.urlopen(compose_stack.url("claw-ai-backend", "/metrics"), timeout=5) as page:  # noqa: S310 - ours
            return [line for line in page.read().decode().splitlines() if ANSWERED.match(line)]

    wait_for(answers, seconds=RECOVERY_SECONDS, what="the model answers the application's visitors")


def test_docker_kill_counts_as_stopping_on_purpose(compose_stack: ComposeStack) -> None:
    """As `docker stop` does: Docker leaves it alone until `up`. Only what dies by itself comes back."""
    compose_stack.docker("kill", compose_stack.container("redis-exporter"))

    def state() -> dict[str, Any]:
        found: dict[str, Any] = compose_stack.inspect("redis-exporter")["State"]
        return found

    wait_for(lambda: state()["Status"] == "exited", seconds=20, what="it has stopped")
    compose_stack.up()
    assert state()["Running"]
