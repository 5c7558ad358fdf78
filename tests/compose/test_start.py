"""`make up`, `make down` and `make logs`, over a fake `docker`; tests/docker has the real one."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.compose.conftest import Clone, container

from claw_compose.errors import ComposeError, SettingsError
from claw_compose.revision import revision
from claw_compose.start import down, logs, up

if TYPE_CHECKING:
    from pathlib import Path

EXPORTER = "claw-exporter:0.1.0"


@pytest.fixture
def built(ready: Clone) -> Clone:
    """Images of ours are there, and newer than what they are made of; whatever Compose does succeeds."""
    soon = datetime.fromtimestamp(time.time() + 60, UTC)
    ready.answer("^image inspect --format {{.Created}}", f"{soon:%Y-%m-%dT%H:%M:%S}.123456789Z\n")
    ready.answer("^compose .* (up|down|build|logs) ")
    ready.set(COMPOSE_PROFILES="promtail")
    return ready


def calls(clone: Clone, word: str) -> list[str]:
    return [line.split(".yml ")[1] for line in clone.asked if f" {word}" in line and ".yml " in line]


def test_up_waits_until_all_is_healthy_and_tells_where_to_go(built: Clone) -> None:
    built.runs(
        container("grafana", "grafana/grafana:13.2.3"), container("prometheus", "prom/prometheus:v3.13.3")
    )

    assert up(built.stack, say=built.say) == 0
    assert calls(built, "up ") == ["up -d --wait --wait-timeout 600 --remove-orphans"]
    assert calls(built, "build") == []
    assert "https://localhost/grafana" in built.text
    assert "first login: admin, password in secrets/grafana_admin_password" in built.text
    assert built.stack.url("prometheus") in built.text
    assert "Alertmanager" not in built.text


def test_up_of_some_services_starts_those(built: Clone) -> None:
    up(built.stack, ["loki", "redis"], say=built.say)

    assert calls(built, "up ") == ["up -d --wait --wait-timeout 600 --remove-orphans loki redis"]


def test_a_service_that_does_not_exist_is_told_with_the_nearest(built: Clone) -> None:
    for command in (up, logs):
        with pytest.raises(SettingsError, match=r"no service promtheus; did you mean prometheus\?"):
            command(built.stack, ["promtheus"], say=built.say)
    assert calls(built, "up ") == []


def test_up_starts_nothing_while_a_setting_is_wrong(built: Clone) -> None:
    built.set(CLAW_NGINX_PORT="no")

    with pytest.raises(SettingsError):
        up(built.stack, say=built.say)
    assert calls(built, "up ") == []


def test_up_writes_that_there_has_been_no_backup(built: Clone) -> None:
    up(built.stack, say=built.say)

    text = (built.folder / "backups" / "metrics" / "backup.prom").read_text()
    assert "\nclaw_ai_backup_last_success_timestamp_seconds 0\n" in text


def test_an_image_of_ours_that_is_missing_is_built(built: Clone) -> None:
    built.answer("^image inspect --format {{.Created}}", code=1)
    up(built.stack, say=built.say)

    assert calls(built, "build") == ["build exporter relay"]
    assert "Building exporter, relay" in built.said


def test_an_image_of_ours_is_labelled_with_the_commit(built: Clone) -> None:
    built.answer("^image inspect --format {{.Created}}", code=1)
    stack = built.stack
    git = ["git", "-C", str(stack.repository), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    up(stack, say=built.say)

    assert stack.environ["CLAW_IMAGE_REVISION"] == head.strip()
    assert datetime.fromisoformat(stack.environ["CLAW_IMAGE_CREATED"]).tzinfo


def test_without_a_commit_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert revision(tmp_path).labels == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(tmp_path).labels == {}


def test_an_image_older_than_its_source_is_built(built: Clone) -> None:
    built.answer("^image inspect --format {{.Created}}", "2026-01-01T00:00:00Z\n")
    up(built.stack, say=built.say)

    assert calls(built, "build") == ["build exporter relay"]


def test_a_change_of_a_source_is_seen(built: Clone) -> None:
    source = built.folder / "exporter" / "src" / "claw_exporter" / "new.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    later = time.time() + 120
    os.utime(source, (later, later))
    up(built.stack, say=built.say)

    assert calls(built, "build") == ["build exporter relay"]


def test_nothing_is_built_for_a_service_that_is_not_wanted(built: Clone) -> None:
    built.answer("^image inspect --format {{.Created}}", code=1)
    up(built.stack, ["loki"], say=built.say)

    assert calls(built, "build") == []


def test_what_runs_with_older_files_is_restarted_and_waited_for(built: Clone) -> None:
    old = {"started": "2026-01-01T00:00:00.123456789Z"}
    built.answer("^compose .* restart ")
    built.runs(
        container("alertmanager", "prom/alertmanager:v0.34.0", **old),
        container("redis-exporter", "oliver006/redis_exporter:v1.88.0", **old),
        # It notices changes itself.
        container("prometheus", "prom/prometheus:v3.13.3", **old),
        container("postgres", "postgres:17.11-alpine"),
        container("loki", "grafana/loki:3.7.6", state="exited", **old),
    )

    assert up(built.stack, say=built.say) == 0
    assert calls(built, "restart") == ["restart alertmanager redis-exporter"]
    assert len(calls(built, "up ")) == 2
    assert (
        "Restarting alertmanager, redis-exporter: their files have changed since they started" in built.said
    )
    assert up(built.stack, ["postgres"], say=built.say) == 0
    assert len(calls(built, "restart")) == 1


def test_a_docker_elsewhere_has_a_clock_of_its_own_so_nothing_is_restarted(built: Clone) -> None:
    built.environ["DOCKER_HOST"] = "ssh://elsewhere"
    built.runs(container("alertmanager", "prom/alertmanager:v0.34.0", started="2026-01-01T00:00:00Z"))
    up(built.stack, say=built.say)

    assert calls(built, "restart") == []


def test_a_build_that_fails_is_told(built: Clone) -> None:
    built.answer("^image inspect --format {{.Created}}", code=1)
    built.answer("^compose .* build ", code=1)

    with pytest.raises(ComposeError, match="an image was not built"):
        up(built.stack, say=built.say)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("open /etc/loki/loki-config.yml: permission denied", "make preflight"),
        ("write /loki/x: no space left on device", "the disk is full"),
        ("listen tcp :3100: bind: address already in use", "another program has its port"),
        ("FATAL: password authentication failed for user", "not what the database was made with"),
        ("dial tcp: lookup postgres: no such host", "does not find another service"),
        ("cannot load certificate", "secrets/tls does not fit"),
        ("secrets/grafana_admin_password is empty", "make secrets"),
        ("something else", "make logs SERVICES=loki"),
    ],
)
def test_what_does_not_come_up_is_told_with_its_last_words_and_the_next_step(
    built: Clone, said: str, advice: str
) -> None:
    built.answer("^compose .* up ", code=1)
    built.runs(
        container("loki", "grafana/loki:3.7.6", health="unhealthy"), container("redis", "redis:7.4.11-alpine")
    )
    built.answer("^logs --tail 15 id-of-loki", f"first\n{said}\n")

    with pytest.raises(ComposeError, match="Not everything came up"):
        up(built.stack, say=built.say)

    assert "\nloki is unhealthy" in built.said
    assert f"  | {said}" in built.said
    assert advice in built.said[-1]
    assert "redis" not in built.text


def test_a_container_that_was_killed_is_told(built: Clone) -> None:
    built.answer("^compose .* up ", code=1)
    built.runs(container("loki", "grafana/loki:3.7.6", state="exited", exit_code=137))
    built.answer("^logs ")

    with pytest.raises(ComposeError):
        up(built.stack, say=built.say)

    assert "\nloki is exited, exit code 137" in built.said
    assert "want of memory" in built.said[-1]


def test_down_stops_every_profile_and_keeps_the_data(built: Clone) -> None:
    assert down(built.stack, say=built.say) == 0

    assert calls(built, "down") == ["--profile * down --remove-orphans"]
    assert "--volumes" not in built.asked[-1]
    assert "Data stays" in built.text


def test_a_down_that_fails_is_told(built: Clone) -> None:
    built.answer("^compose .* down", code=1)

    with pytest.raises(ComposeError, match="not everything was stopped"):
        down(built.stack, say=built.say)


def test_logs_follow_those_that_are_named(built: Clone) -> None:
    built.runs(container("loki", "grafana/loki:3.7.6"))

    assert logs(built.stack, ["loki"], say=built.say) == 0
    assert calls(built, "logs") == ["--profile * logs --follow --tail 100 loki"]


@pytest.mark.parametrize(
    ("services", "told"), [([], "nothing was never"), (["redis"], "redis was never started")]
)
def test_there_are_no_logs_of_what_never_ran(built: Clone, services: list[str], told: str) -> None:
    if services:
        built.runs(container("loki", "grafana/loki:3.7.6"))
        with pytest.raises(ComposeError, match=told):
            logs(built.stack, services, say=built.say)
    else:
        with pytest.raises(ComposeError, match="make up"):
            logs(built.stack, services, say=built.say)
