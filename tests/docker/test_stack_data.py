"""Data outlives its containers, and stopping leaves nothing that runs."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.docker.stack import PROJECT, wait_for

if TYPE_CHECKING:
    from tests.docker.stack import ComposeStack

# A scrape every 15 seconds; so this is there unless the stack has only just come up.
SAMPLES = 'count_over_time(up{job="prometheus"}[1h])'
ROW = "kept-in-postgres"
KEY = "kept-in-redis"
SILENCE = "kept-in-alertmanager"


@dataclass(frozen=True, kw_only=True)
class Before:
    """What was known before the stack was stopped.

    Attributes:
        moment: When.
        known: What Prometheus said of that moment.
        ends: How the first process of each service ended.
    """

    moment: float
    known: list[dict[str, Any]]
    ends: dict[str, int]


def sql(stack: ComposeStack, statement: str) -> str:
    words = ("psql", "--username=postgres", "--dbname=claw", "--no-align", "--tuples-only", "--command")
    script = 'PGPASSWORD="$(cat /run/secrets/postgres_superuser_password)" exec "$@"'
    return stack.inside("postgres", "sh", "-c", script, "sh", *words, statement).strip()


def redis(stack: ComposeStack, *words: str) -> str:
    script = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" exec redis-cli "$@"'
    return stack.inside("redis", "sh", "-c", script, "sh", *words).strip()


def silences(stack: ComposeStack) -> set[str]:
    return {
        row["comment"]
        for row in stack.ask("alertmanager", "/api/v2/silences")
        if row["status"]["state"] == "active"
    }


def write_everywhere(stack: ComposeStack) -> None:
    sql(stack, "CREATE TABLE outliving (word text)")
    sql(stack, f"INSERT INTO outliving VALUES ('{ROW}')")  # noqa: S608 - a constant
    redis(stack, "SET", KEY, KEY)
    now = datetime.now(UTC)
    matcher = {"name": "alertname", "value": "None", "isRegex": False, "isEqual": True}
    silence = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": SILENCE,
    }
    stack.ask("alertmanager", "/api/v2/silences", silence)


@pytest.fixture(scope="module")
def before(compose_stack: ComposeStack) -> Before:
    """Everything was taken down and started again since."""
    wait_for(lambda: compose_stack.query(SAMPLES), seconds=60, what="Prometheus has a sample")
    write_everywhere(compose_stack)
    moment = time.time()
    known = compose_stack.query(SAMPLES, moment)
    compose_stack.compose("stop", profiles=["*"], timeout_seconds=150)
    ends = {name: compose_stack.inspect(name)["State"]["ExitCode"] for name in compose_stack.services}
    compose_stack.down()
    assert labelled(compose_stack, "ps", "--all", "--quiet") == []
    assert labelled(compose_stack, "network", "ls", "--quiet") == []
    compose_stack.up()
    return Before(moment=moment, known=known, ends=ends)


def labelled(stack: ComposeStack, *listing: str) -> list[str]:
    """What there is of the stack, the engine says."""
    return stack.docker(*listing, f"--filter=label=com.docker.compose.project={PROJECT}").stdout.split()


def test_prometheus_keeps_its_samples(compose_stack: ComposeStack, before: Before) -> None:
    assert before.known
    assert compose_stack.query(SAMPLES, before.moment) == before.known


def test_every_service_ends_by_itself_when_it_is_told_to(before: Before) -> None:
    # Docker kills what does not, and what had to be written is not.
    assert {name for name, code in before.ends.items() if code == 128 + signal.SIGKILL} == set()


@pytest.mark.usefixtures("before")
def test_postgres_keeps_its_rows(compose_stack: ComposeStack) -> None:
    assert sql(compose_stack, "SELECT word FROM outliving") == ROW


@pytest.mark.usefixtures("before")
def test_redis_keeps_its_keys(compose_stack: ComposeStack) -> None:
    assert redis(compose_stack, "GET", KEY) == KEY


@pytest.mark.usefixtures("before")
def test_alertmanager_keeps_its_silences(compose_stack: ComposeStack) -> None:
    assert SILENCE in silences(compose_stack)


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("volume", ["alertmanager", "postgres", "prometheus", "redis"])
def test_data_is_on_a_volume_of_the_services_user(compose_stack: ComposeStack, volume: str) -> None:
    (mount,) = [row for row in compose_stack.inspect(volume)["Mounts"] if row["Type"] == "volume"]

    assert mount["Name"] == f"{PROJECT}_{volume}-data"
    assert (
        compose_stack.inside(volume, "stat", "-c", "%u", mount["Destination"]).strip()
        == compose_stack.inside(volume, "id", "-u").strip()
    )
