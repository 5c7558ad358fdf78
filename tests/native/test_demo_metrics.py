"""Rules and panels read what somebody exposes: each name they use is in the demo's Prometheus, or excused."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

import promql_parser  # noqa: E402  # the path above must be there first

import expressions  # noqa: E402  # the same
import trees  # noqa: E402  # the same

if TYPE_CHECKING:
    from claw_native.testing import Stack

CONTAINER = "a container, or in no Debian suite: tests/docker scrapes it"
UNTIL_IT_HAPPENS = "has no series before it happens"
# What the demo cannot show: beginning of a name -> reason. An entry that excuses nothing must go.
ABSENT: dict[str, str] = {
    "alertmanager_cluster_failed_peers": "one Alertmanager is no cluster",
    "claw_ai_backup_": "no backup of the demo is made",
    "claw_ai_canary_": "exporter.yml names no canary",
    "claw_ai_exporter_workers": "one process for each instance",
    "claw_ai_notify_": "no chat service is configured, so the relay has nothing to do",
    "claw_ai_queue_depth": "exporter.yml names no queue",
    "claw_ai_queue_oldest_age_seconds": "exporter.yml names no queue",
    "container_": CONTAINER,
    "loki_": CONTAINER,
    "nginx_": CONTAINER,
    "node_textfile_mtime_seconds": "no file of numbers is read",
    "probe_": CONTAINER,
    "prometheus_remote_storage_queue_": "nothing is written to another store",
    "prometheus_remote_storage_samples_failed_total": "the same",
    "promtail_": CONTAINER,
}
SOMETIMES: dict[str, str] = {
    "alertname_severity:alerts_begun": "no alert fires in health",
    "severity:alerts_begun": "the same",
    "claw_ai_ai_fallbacks_total": "another model steps in only where one has failed twice",
    "claw_ai_exporter_internal_errors_total": UNTIL_IT_HAPPENS,
    "claw_ai_exporter_overflow_total": UNTIL_IT_HAPPENS,
    "claw_ai_queue_task": UNTIL_IT_HAPPENS,
}


def used() -> dict[str, str]:
    """Name of each metric that a rule or a dashboard reads -> one of the places."""
    files = [*ROOT.glob("prometheus/rules/*.yml"), *ROOT.glob("grafana/dashboards/*.json")]
    documents: dict[str, Any] = {
        str(file.relative_to(ROOT)): yaml.safe_load(file.read_text())
        if file.suffix == ".yml"
        else json.loads(file.read_text())
        for file in sorted(files)
    }
    found: dict[str, str] = {}
    for use in expressions.find(documents):
        if use.of_logs:
            continue
        for name in trees.names(promql_parser.parse(expressions.substitute(use.expression))):
            found.setdefault(name, use.place)
    return found


def excused(name: str) -> bool:
    return name.startswith((*ABSENT, *SOMETIMES))


def unseen(names: dict[str, str], live: set[str]) -> list[str]:
    return [
        f"{name}, read by {place}" for name, place in names.items() if name not in live and not excused(name)
    ]


def test_a_metric_that_nobody_exposes_is_found() -> None:
    names = {"up": "a rule", "claw_ai_gone_total": "a panel", "container_last_seen": "a panel"}
    assert unseen(names, {"up"}) == ["claw_ai_gone_total, read by a panel"]


def test_every_excuse_is_about_a_metric_that_is_read() -> None:
    names = used()
    rows = [*ABSENT, *SOMETIMES]
    assert [row for row in rows if not any(name.startswith(row) for name in names)] == []


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_every_metric_that_a_rule_or_a_panel_reads_is_in_the_demo(stack: Stack) -> None:
    names = used()
    address = stack.url("prometheus", "/api/v1/label/__name__/values")
    deadline = time.monotonic() + 240  # rules of a minute, over rates of five, over scrapes of a quarter
    while True:
        live = set(httpx.get(address, trust_env=False).json()["data"])
        if not (missing := unseen(names, live)) or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert missing == []
    assert [row for row in ABSENT if any(name.startswith(row) for name in live & names.keys())] == []
