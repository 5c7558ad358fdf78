"""Every service killed by the kernel, and what comes back by itself; data that outlives its containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.docker.stack import wait_for

if TYPE_CHECKING:
    from tests.docker.stack import ComposeStack

# Killed all at once: a health check every 15 seconds, twice where a service waits for another.
RECOVERY_SECONDS = 120
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
