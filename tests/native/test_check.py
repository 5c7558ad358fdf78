"""What `make demo-check` finds wrong; what it finds right is in test_demo_stack.py."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from claw_native import check as checking
from claw_native.absent import ABSENT_JOBS, ABSENT_QUERIES
from claw_native.check import Finding, Servers
from claw_native.errors import NativeError
from claw_native.settings import Settings
from claw_native.stack import SERVICES

if TYPE_CHECKING:
    from pathlib import Path


def servers(settings: Settings, answers: dict[str, Any]) -> Servers:
    """Servers that answer each path with a document, or with what a function says."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = answers[request.url.path]
        return body(request) if callable(body) else httpx.Response(200, json=body)

    return Servers(
        settings=settings, http=httpx.Client(transport=httpx.MockTransport(answer)), services=SERVICES
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(run_dir=tmp_path / "run", repository=tmp_path)


def target(job: str, health: str = "up", error: str = "") -> dict[str, Any]:
    url = f"http://{job}/metrics"
    labels = {"job": job}
    pool = "apps" if job == "claw-ai-backend" else job
    return {"labels": labels, "scrapePool": pool, "health": health, "lastError": error, "scrapeUrl": url}


SCRAPED = [service.name for service in SERVICES if service.metrics]


def scraping(targets: list[dict[str, Any]], *pools: str) -> dict[str, Any]:
    known = sorted({row["scrapePool"] for row in targets} | {*ABSENT_JOBS, *pools})
    return {
        "/api/v1/targets": {"data": {"activeTargets": targets}},
        "/api/v1/scrape_pools": {"data": {"scrapePools": known}},
    }


def faults(findings: list[Finding]) -> list[str]:
    return [fault for finding in findings for fault in finding.faults]


def test_jobs_that_are_all_up_are_good(settings: Settings) -> None:
    assert faults(checking.jobs(servers(settings, scraping([target(job) for job in SCRAPED])))) == []


def test_a_target_that_is_down_is_a_fault(settings: Settings) -> None:
    rows = [target(job) for job in SCRAPED] + [target("shop", "down", "connection refused")]
    assert faults(checking.jobs(servers(settings, scraping(rows)))) == [
        "shop http://shop/metrics is down: connection refused"
    ]


def test_a_service_without_a_target_is_a_fault(settings: Settings) -> None:
    rows = [target(job) for job in SCRAPED if job != "exporter"]
    assert faults(checking.jobs(servers(settings, scraping(rows, "exporter")))) == [
        "exporter has metrics, but no target",
        "exporter has no target, and no reason in absent.py",
    ]


def test_a_job_that_is_scraped_although_it_cannot_be_is_a_fault(settings: Settings) -> None:
    rows = [target(job) for job in [*SCRAPED, "cadvisor"]]
    assert faults(checking.jobs(servers(settings, scraping(rows)))) == [
        "cadvisor stands in absent.py, but is scraped"
    ]


def test_rules_that_are_not_loaded_or_fail_are_faults(settings: Settings) -> None:
    folder = settings.repository / "prometheus" / "rules"
    folder.mkdir(parents=True)
    groups = [
        {"name": "a", "rules": [{"record": "x"}, {"record": "y"}]},
        {"name": "b", "rules": [{"alert": "Z"}]},
    ]
    (folder / "x.yml").write_text(json.dumps({"groups": groups}))
    loaded = [
        {"name": "a", "rules": [{"name": "x", "health": "ok"}, {"name": "y", "health": "unknown"}]},
        {"name": "c", "rules": [{"name": "V", "health": "err", "lastError": "many-to-many"}]},
    ]
    answer = {"/api/v1/rules": {"data": {"groups": loaded}}}
    assert faults(checking.rules(servers(settings, answer))) == [
        "group b of x.yml is not loaded as the file has it",
        "y is unknown: not evaluated yet",
        "V is err: many-to-many",
    ]


def dashboard(settings: Settings, *expressions: str) -> None:
    folder = settings.repository / "grafana" / "dashboards"
    folder.mkdir(parents=True)
    targets = [
        {"refId": str(number), "expr": text, "instant": True} for number, text in enumerate(expressions)
    ]
    targets.append({"refId": "L", "expr": "{job='x'}", "datasource": {"type": "loki"}})
    panel = {"title": "P", "targets": targets}
    (folder / "claw-ai-x.json").write_text(json.dumps({"panels": [panel]}))


def test_panels_without_data_and_excuses_that_are_none_are_faults(settings: Settings) -> None:
    mentions = [absence.mentions for absence in ABSENT_QUERIES]
    dashboard(settings, "filled", "empty", "container_filled", *(f"empty {text}" for text in mentions[1:]))

    def query(request: httpx.Request) -> httpx.Response:
        rows = [{"value": [1, "2"]}] if "filled" in request.url.params["query"] else []
        return httpx.Response(200, json={"data": {"resultType": "vector", "result": rows}})

    found = checking.panels(servers(settings, {"/api/v1/query": query}))
    assert faults(found) == [
        "claw-ai-x / P / 1 has no data: empty",
        "claw-ai-x / P / 2 has data, but absent.py says: cAdvisor watches containers; there are none",
        "claw-ai-x / P / L has no data: {job='x'}",
    ]
    assert found[0].detail.startswith("2 of ")


def test_an_excuse_for_no_query_is_a_fault(settings: Settings) -> None:
    dashboard(settings, "filled")

    def query(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": {"resultType": "scalar", "result": [1, "2"]}})

    found = checking.panels(servers(settings, {"/api/v1/query": query}))
    assert "'container_' of absent.py is in no query" in faults(found)


def test_a_watchdog_that_never_came_is_a_fault(settings: Settings) -> None:
    found = checking.heartbeat(servers(settings, {"/notifications": []}))
    assert faults(found) == ["Prometheus' Watchdog has not reached the receiver"]


def test_an_alert_that_does_not_arrive_is_a_fault(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "ARRIVAL_SECONDS", 0.3)
    found = checking.delivery(servers(settings, {"/notifications": [], "/api/v2/alerts": {}}))
    assert [fault.rpartition("Alertmanager, ")[2] for fault in faults(found)] == [
        "'firing' did not reach the receiver",
        "'resolved' did not reach the receiver",
    ]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(500, json={"error": "out of disk"}), "answers /api/v1/rules with 500: .*out of disk"),
        (httpx.Response(200, text="<html>"), "does not answer /api/v1/rules"),
    ],
)
def test_a_server_that_answers_nonsense_is_named(
    settings: Settings, answer: httpx.Response, message: str
) -> None:
    with pytest.raises(NativeError, match=message):
        servers(settings, {"/api/v1/rules": lambda _: answer}).prometheus("rules")


def test_an_alertmanager_that_refuses_the_alert_is_named(settings: Settings) -> None:
    refusing = servers(settings, {"/api/v2/alerts": lambda _: httpx.Response(400)})
    with pytest.raises(NativeError, match="alertmanager does not take an alert"):
        checking.delivery(refusing)


def test_services_that_do_not_run_are_faults(settings: Settings) -> None:
    found = checking.processes(replace(servers(settings, {}), services=SERVICES[:1]))
    assert faults(found) == ["postgres is not there"]


def test_a_check_is_repeated_until_it_is_good(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "POLL_SECONDS", 0.0)
    outcomes = iter([["bad"], ["bad"], []])

    def run(_: Servers) -> list[Finding]:
        return [Finding(name="x", detail="", faults=next(outcomes))]

    said: list[str] = []
    findings = checking._until_good(run, servers(settings, {}), float("inf"), said.append)
    assert faults(findings) == []
    assert said == ["  waiting for 1 (such as bad)"]


def test_a_server_that_is_away_is_a_fault_once_time_is_up(settings: Settings) -> None:
    def run(_: Servers) -> list[Finding]:
        raise NativeError("prometheus does not answer")

    findings = checking._until_good(run, servers(settings, {}), 0.0, lambda _: None)
    assert faults(findings) == ["prometheus does not answer"]


def test_the_excuses_name_each_piece_of_text_once() -> None:
    mentions = [absence.mentions for absence in ABSENT_QUERIES]
    assert len(mentions) == len(set(mentions))
