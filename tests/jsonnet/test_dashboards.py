"""What every dashboard must be, and what requirement document 4 asks of the first three."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))

import _jsonnet  # noqa: E402  # the path above must be there first

import expressions  # noqa: E402  # the same

Json = dict[str, Any]
DOCUMENT_4 = {
    "claw-ai-overview": ("系统概览", ["服务健康状态", "请求速率", "响应时间分布", "HTTP 状态码分布"]),
    "claw-ai-performance": (
        "性能监控",
        ["API 响应时间(按端点)", "API 请求速率", "错误率监控", "端点热力图"],
    ),
    "claw-ai-resources": ("资源监控", ["CPU 使用率", "内存使用率", "磁盘使用率", "网络流量", "容器状态"]),
}
ALL = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}


def panels(dashboard: Json) -> list[Json]:
    return [dict(panel) for panel in expressions.panels(dashboard)]


def targets(dashboard: Json) -> list[Json]:
    return [target for panel in panels(dashboard) for target in panel.get("targets", [])]


def queries(dashboard: Json) -> list[str]:
    """Return the queries that go to Prometheus."""
    return [target["expr"] for target in targets(dashboard) if expressions.is_prometheus(target)]


def config() -> Json:
    loaded: Json = json.loads(_jsonnet.evaluate_file(str(ROOT / "jsonnet/config.libsonnet")))
    return loaded


@pytest.mark.parametrize("uid", DOCUMENT_4)
def test_every_panel_that_document_4_lists_is_there(uid: str) -> None:
    title, wanted = DOCUMENT_4[uid]
    assert title in ALL[uid]["title"]
    titles = [panel["title"] for panel in panels(ALL[uid])]
    assert [term for term in wanted if not any(one.endswith(f" · {term}") for one in titles)] == []


def test_the_uid_is_the_file_name() -> None:
    assert {uid: dashboard["uid"] for uid, dashboard in ALL.items()} == {uid: uid for uid in ALL}


def test_ids_are_unique(dashboard: Json) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]] + [panel["id"] for panel in panels(dashboard)]
    rows = [panel["id"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert len(set(ids)) == len(rows) + len(panels(dashboard))


def test_no_two_panels_overlap_and_none_leaves_the_grid(dashboard: Json) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_a_line_of_panels_fills_the_grid_from_edge_to_edge(dashboard: Json) -> None:
    lines: dict[int, int] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        lines[place["y"]] = lines.get(place["y"], 0) + place["w"]
    assert {y: width for y, width in lines.items() if width != 24} == {}


def test_every_panel_says_what_it_shows_in_which_unit(dashboard: Json) -> None:
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_the_title_of_every_row_is_a_question(dashboard: Json) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows
    assert all(title.endswith("?") for title in rows)


def test_nothing_can_be_edited_in_the_browser_and_the_source_is_named(dashboard: Json) -> None:
    assert dashboard["editable"] is False
    assert f"jsonnet/dashboards/{dashboard['uid']}.libsonnet" in dashboard["description"]
    assert (ROOT / f"jsonnet/dashboards/{dashboard['uid']}.libsonnet").exists()


def test_the_overview_refreshes_twice_as_often_as_the_others(dashboard: Json) -> None:
    assert dashboard["refresh"] == ("30s" if dashboard["uid"] == "claw-ai-overview" else "1m")


def test_dashboards_link_to_each_other_with_variables_and_time_kept(dashboard: Json) -> None:
    (link,) = dashboard["links"]
    assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
    assert set(link["tags"]) <= set(dashboard["tags"])


def test_alerts_restarts_and_versions_are_marked_on_the_time_axis(dashboard: Json) -> None:
    assert [one["name"] for one in dashboard["annotations"]["list"]] == ["Alerts", "Restarts", "Versions"]


def test_every_query_asks_the_data_source_of_the_variable(dashboard: Json) -> None:
    variables = {
        (one["query"], f"${{{one['name']}}}")
        for one in dashboard["templating"]["list"]
        if one["type"] == "datasource"
    }
    assert {
        (target["datasource"]["type"], target["datasource"]["uid"]) for target in targets(dashboard)
    } == variables
    assert dashboard["templating"]["list"][0]["name"] == "datasource"


def test_a_panel_asks_the_same_data_source_as_its_queries(dashboard: Json) -> None:
    for panel in panels(dashboard):
        assert {json.dumps(target["datasource"]) for target in panel["targets"]} == {
            json.dumps(panel["datasource"])
        }


def test_job_starts_at_the_configured_application() -> None:
    for dashboard in ALL.values():
        (job,) = [one for one in dashboard["templating"]["list"] if one["name"] == "job"]
        assert job["current"]["value"] == [config()["job"]] == ["claw-ai-backend"]


def test_rates_are_taken_over_the_rate_interval(dashboard: Json) -> None:
    ranges = {
        found for query in queries(dashboard) for found in re.findall(r"\[(\$__\w+|\d+[smhdwy])\]", query)
    }
    # A day, six hours and one are about the past as such, not about the resolution of the picture.
    assert ranges <= {"$__rate_interval", "$__range", "1d", "6h", "1h"}


def test_a_link_inside_a_table_leads_to_a_dashboard_and_a_variable_that_exist(dashboard: Json) -> None:
    for url in re.findall(r'"url": "/d/([^"]+)"', json.dumps(dashboard)):
        uid, _, arguments = url.partition("?")
        if "__data.fields" in uid:  # which one, an alert's label says
            continue
        names = [one["name"] for one in ALL[uid]["templating"]["list"]]
        assert [name for name in re.findall(r"var-(\w+)=", arguments) if name not in names] == []
        assert [name for name in re.findall(r"\$\{(\w+):queryparam\}", arguments) if name not in names] == []


@pytest.mark.parametrize(
    ("uid", "title", "key"),
    [
        ("claw-ai-overview", "Response times · 响应时间分布", "http_p95_seconds"),
        ("claw-ai-overview", "First token p95", "first_token_p95_seconds"),
        ("claw-ai-performance", "Error rate · 错误率监控", "http_error_ratio"),
        ("claw-ai-performance", "Pool in use", "pool_used_ratio"),
        ("claw-ai-performance", "Answer time p95 by model", "ai_p95_seconds"),
        ("claw-ai-models", "First token p95 by model", "first_token_p95_seconds"),
        ("claw-ai-models", "Day's budget used", "ai_budget_spent_ratio"),
        ("claw-ai-models", "Rate limited", "ai_rate_limited_ratio"),
        ("claw-ai-models", "Attempts that only repeat", "ai_retry_ratio"),
        ("claw-ai-models", "Longest wait within an answer, p99", "ai_stall_seconds"),
        ("claw-ai-datastores", "Pool in use", "pool_used_ratio"),
        ("claw-ai-datastores", "Connections used", "postgres_connections_ratio"),
        ("claw-ai-datastores", "Oldest transaction", "transaction_seconds"),
        ("claw-ai-datastores", "Replication lag", "replication_lag_seconds"),
        ("claw-ai-datastores", "Oldest task waits", "queue_age_seconds"),
        ("claw-ai-datastores", "Retrievals that find nothing", "retrieval_empty_ratio"),
        ("claw-ai-datastores", "Vector store operations that fail", "vector_db_failed_ratio"),
        ("claw-ai-resources", "CPU usage · CPU 使用率", "cpu_used_ratio"),
        ("claw-ai-resources", "Memory usage · 内存使用率", "memory_used_ratio"),
        ("claw-ai-resources", "Disk usage · 磁盘使用率", "disk_used_ratio"),
        ("claw-ai-resources", "Redis memory used", "redis_memory_ratio"),
    ],
)
def test_thresholds_come_from_the_configuration(uid: str, title: str, key: str) -> None:
    (panel,) = [panel for panel in panels(ALL[uid]) if panel["title"] == title]
    steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    limits = config()["thresholds"][key]
    heights = list(limits.values()) if isinstance(limits, dict) else [limits]
    assert steps == [None, *sorted(heights)]


def test_every_objective_has_a_row_of_its_own_and_somebody_who_spends_its_budget() -> None:
    slos = json.loads(_jsonnet.evaluate_file(str(ROOT / "jsonnet/slos.libsonnet")))
    dashboard = ALL["claw-ai-slo"]
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert [
        one["title"] for one in slos.values() if f"{one['title']}: who spends the budget?" not in rows
    ] == []
    budgets = [query for query in queries(dashboard) if query.startswith("job:slo:budget_left{")]
    assert len(budgets) == len(slos)
    assert all(any(f'slo="{one["name"]}"' in query for query in budgets) for one in slos.values())


def test_the_lines_of_burn_rates_are_the_factors_of_the_alerts() -> None:
    factors = {pair["factor"] for pair in config()["slo"]["burn"] + config()["slo"]["leak"]}
    for panel in panels(ALL["claw-ai-slo"]):
        if panel["title"] == "Burn rates":
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert {step["value"] for step in steps if step["value"] is not None} == factors


def test_exemplars_are_asked_of_raw_buckets_only(dashboard: Json) -> None:
    """A recorded series has none."""
    asked = [
        target["expr"]
        for panel in panels(dashboard)
        for target in panel.get("targets", [])
        if target.get("exemplar")
    ]
    assert [query for query in asked if ":" in re.sub(r'"[^"]*"', "", query) or "_bucket" not in query] == []


def test_the_thresholds_of_document_4_are_the_defaults() -> None:
    limits = config()["thresholds"]
    assert limits["http_p95_seconds"] == {"warning": 0.5, "critical": 1}
    assert limits["http_error_ratio"] == {"warning": 0.01, "critical": 0.05}
    assert limits["ai_p95_seconds"] == {"warning": 3, "critical": 5}


def test_the_error_rate_divides_failures_by_requests() -> None:
    """Document 4's own expression divides every series by itself, and so always shows 1."""
    (panel,) = [
        panel for panel in panels(ALL["claw-ai-performance"]) if panel["title"].startswith("Error rate")
    ]
    failed, every = panel["targets"][0]["expr"].split("\n/\n")
    assert failed.startswith("sum(avg_over_time(job_instance:claw_ai_http_requests_failed:rate5m{")
    assert every.startswith("sum(avg_over_time(job_instance:claw_ai_http_requests:rate5m{")


def test_the_overview_fits_on_one_screen() -> None:
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in ALL["claw-ai-overview"]["panels"])
    rows = [panel["gridPos"]["y"] for panel in ALL["claw-ai-overview"]["panels"] if panel["type"] == "row"]
    assert max(rows) <= 27, "what changed may lie below the fold, nothing else"
    assert bottom <= 36


def test_prometheus_itself_understands_every_query(dashboard: Json, tools: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:query:{number}", "expr": expressions.substitute(query)}
        for number, query in enumerate(queries(dashboard))
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        [tools / "promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout
