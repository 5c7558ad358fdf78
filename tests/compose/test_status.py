"""`make status`: over a fake `docker` and a server that answers as Prometheus does."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.compose.conftest import Clone, container

from claw_compose import certificate, containers, status, web
from claw_compose.errors import ComposeError
from claw_compose.status import age

if TYPE_CHECKING:
    from collections.abc import Iterator

UP = {"labels": {"job": "loki"}, "health": "up", "scrapeUrl": "http://loki:3100/metrics", "lastError": ""}
DOWN = UP | {"health": "down", "lastError": "connection refused"}
ALERT = {
    "state": "firing",
    "labels": {"alertname": "PostgresDown", "severity": "critical"},
    "annotations": {"summary": "Postgres does not answer."},
}


class Prometheus:
    """Answers what a test puts in."""

    def __init__(self) -> None:
        self.targets: list[dict[str, Any]] = [UP]
        self.alerts: list[dict[str, Any]] = []
        self.body: str | None = None
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                part = {"activeTargets": told.targets} if "targets" in self.path else {"alerts": told.alerts}
                self.send_response(200)
                self.end_headers()
                self.wfile.write((told.body or json.dumps({"data": part})).encode())

            def do_POST(self) -> None:
                self.send_response(400)
                self.end_headers()
                self.wfile.write(b"not so")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    told = Prometheus()
    thread = threading.Thread(target=told.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield told
    told.server.shutdown()
    told.server.server_close()
    thread.join()


def backed_up(clone: Clone, ago: timedelta) -> None:
    folder = clone.folder / "backups" / "metrics"
    folder.mkdir(parents=True)
    moment = (datetime.now(UTC) - ago).timestamp()
    (folder / "backup.prom").write_text(f"claw_ai_backup_last_success_timestamp_seconds {moment}\n")


def all_containers(clone: Clone) -> dict[str, dict[str, Any]]:
    return {name: container(name, service["image"]) for name, service in clone.stack.active.items()}


@pytest.fixture
def running(ready: Clone, prometheus: Prometheus) -> Clone:
    """Everything runs, and there is a backup."""
    ready.set(CLAW_PROMETHEUS_PORT=str(prometheus.server.server_port))
    ready.answer("^info --format {{.DockerRootDir}}", "/\n")
    ready.runs(*all_containers(ready).values())
    backed_up(ready, timedelta(hours=3))
    return ready


def attention(clone: Clone) -> list[str]:
    code = status.status(clone.stack, say=clone.say)
    at = clone.said.index("\nNeeds attention:") if code else len(clone.said)
    return [line.strip() for line in clone.said[at + 1 :]]


def test_nothing_running_is_told_with_the_next_step(ready: Clone) -> None:
    assert status.status(ready.stack, say=ready.say) == 1
    assert ready.said == ["Nothing runs.  make up   starts everything."]


def test_a_stack_that_is_well_needs_no_attention(running: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "DISK_LEAST", 0)

    assert attention(running) == []
    assert running.said[-1] == "All is well."
    for fact in (
        "Targets: 1 of 1 up",
        "Alerts: 0 firing",
        "Last backup: 3 h ago",
        "Certificate: until ",
        "Disk: ",
    ):
        assert any(line.startswith(fact) for line in running.said), fact
    assert all(name in running.said[0] for name in running.stack.active)


def test_what_does_not_run_or_is_not_healthy_needs_attention(running: Clone) -> None:
    there = all_containers(running)
    there["redis"] = container("redis", there["redis"]["Config"]["Image"], health="unhealthy", restarts=4)
    there["loki"] = container("loki", there["loki"]["Config"]["Image"], state="exited", exit_code=1)
    del there["grafana"]
    running.runs(*there.values())

    told = attention(running)

    assert "redis is unhealthy:  make logs SERVICES=redis" in told
    assert "loki is exited:  make logs SERVICES=loki" in told
    assert "1 not there (grafana):  make up" in told
    (row,) = [line.split() for line in running.said[0].splitlines() if line.startswith("redis ")]
    assert row[1:4] == ["running", "unhealthy", "4"]


def test_what_runs_with_older_files_needs_attention(running: Clone) -> None:
    there = all_containers(running)
    image = there["nginx"]["Config"]["Image"]
    running.runs(*(there | {"nginx": container("nginx", image, started="2026-01-01T00:00:00Z")}).values())

    assert "nginx runs with files that have changed since:  make up" in attention(running)


def test_another_version_than_the_file_says_needs_attention(running: Clone) -> None:
    there = all_containers(running)
    there["loki"] = container("loki", "grafana/loki:3.6.0")
    running.runs(*there.values())

    (told,) = [line for line in attention(running) if "loki" in line]

    assert (
        told == "loki runs grafana/loki:3.6.0, the compose file says grafana/loki:3.7.6:  make upgrade-check"
    )


def test_what_the_profiles_leave_out_needs_attention(running: Clone) -> None:
    running.runs(*all_containers(running).values(), container("alloy", "grafana/alloy:v1.21.2"))

    assert "alloy runs, but COMPOSE_PROFILES leaves it out:  make up   removes it" in attention(running)


def test_a_container_of_a_single_command_is_not_one_of_the_stack(ready: Clone) -> None:
    ready.runs(container("loki", "grafana/loki:3.7.6", oneoff="True"))

    assert containers.find(ready.stack) == {}


def test_a_target_that_is_down_needs_attention(running: Clone, prometheus: Prometheus) -> None:
    prometheus.targets = [UP, DOWN]

    assert "target loki (http://loki:3100/metrics) is down: connection refused" in attention(running)
    assert "Targets: 1 of 2 up" in running.said


def test_a_target_whose_service_does_not_run_is_told_once(running: Clone, prometheus: Prometheus) -> None:
    prometheus.targets = [DOWN]
    there = all_containers(running)
    del there["loki"]
    running.runs(*there.values())

    assert [line for line in attention(running) if "loki" in line] == ["1 not there (loki):  make up"]


def test_an_alert_that_fires_needs_attention_and_a_heartbeat_does_not(
    running: Clone, prometheus: Prometheus
) -> None:
    heartbeat = ALERT | {"labels": {"alertname": "Watchdog", "severity": "none"}}
    prometheus.alerts = [ALERT, ALERT, heartbeat, ALERT | {"state": "pending"}]

    told = attention(running)

    assert told.count("critical PostgresDown: Postgres does not answer.") == 1
    assert "Alerts: 2 firing" in running.said
    assert not any("Watchdog" in line for line in told)


def test_a_prometheus_that_does_not_answer_needs_attention(running: Clone, prometheus: Prometheus) -> None:
    prometheus.body = "<html>"

    assert any("answers no JSON: <html>" in line for line in attention(running))


def test_without_prometheus_nobody_is_asked(running: Clone) -> None:
    there = all_containers(running)
    there["prometheus"] = container("prometheus", there["prometheus"]["Config"]["Image"], state="exited")
    running.runs(*there.values())

    told = attention(running)

    assert "prometheus is exited:  make logs SERVICES=prometheus" in told
    assert not any(line.startswith("Targets") for line in running.said)


def test_an_old_backup_needs_attention(running: Clone) -> None:
    (running.folder / "backups" / "metrics" / "backup.prom").unlink()
    assert "there has never been a complete backup:  make backup" in attention(running)
    (running.folder / "backups" / "metrics").rmdir()
    backed_up(running, timedelta(days=3))

    assert "the last complete backup is 3 d old:  make backup" in attention(running)


def test_a_certificate_that_ends_soon_needs_attention(
    running: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "SOON", timedelta(days=365))

    assert any("the certificate of the public door ends on" in line for line in attention(running))


def test_a_certificate_that_cannot_be_read_needs_attention(running: Clone) -> None:
    running.secret("tls/fullchain.pem").write_text("hello")

    assert any(line.startswith("openssl x509") for line in attention(running))


def test_without_tls_there_is_no_certificate_to_tell_of(running: Clone) -> None:
    running.set(CLAW_NGINX_DOOR="http")
    running.environ["DOCKER_HOST"] = "ssh://elsewhere"

    assert attention(running) == []
    assert not any(line.startswith(("Certificate", "Disk")) for line in running.said)


def test_a_full_disk_needs_attention(running: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "DISK_LEAST", 1.1)

    assert "less than a tenth of the disk is free in /" in attention(running)


@pytest.mark.parametrize(
    ("length", "text"), [(30, "30 s"), (120, "2 min"), (7200, "2 h"), (3 * 86_400, "3 d")]
)
def test_ages_have_one_unit(length: int, text: str) -> None:
    assert age(timedelta(seconds=length)) == text


def test_a_container_that_never_ran_has_no_age(running: Clone) -> None:
    there = all_containers(running)
    there["loki"] = container("loki", "grafana/loki:3.7.6", state="created", started="0001-01-01T00:00:00Z")
    running.runs(*there.values())
    status.status(running.stack, say=running.say)

    (row,) = [line.split() for line in running.said[0].splitlines() if line.startswith("loki ")]
    assert row[1] == "created"
    assert row[4] == "-"


def test_a_service_that_refuses_or_is_not_there_is_told(prometheus: Prometheus) -> None:
    url = f"http://127.0.0.1:{prometheus.server.server_port}/x"
    with pytest.raises(ComposeError, match="answers 400: not so"):
        web.post_json(url, {})
    began = time.monotonic()
    with pytest.raises(ComposeError, match=r"does not answer: .*refused"):
        web.get_text("http://127.0.0.1:9/")
    assert time.monotonic() - began < web.TIMEOUT_SECONDS
