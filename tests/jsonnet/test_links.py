"""Ways from one dashboard to the next: what a link carries along, and where it leads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import _jsonnet
import pytest

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = {
    file.stem: json.loads(file.read_text()) for file in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}


def evaluate(expression: str) -> Any:  # noqa: ANN401 - whatever the Jsonnet evaluates to
    source = f"""
        local dashboard = import 'lib/dashboard.libsonnet';
        local grafana = import 'lib/grafana.libsonnet';
        local signal = import 'lib/signal.libsonnet';
        local variables = import 'lib/variables.libsonnet';
        {expression}
    """
    return json.loads(_jsonnet.evaluate_snippet(str(ROOT / "jsonnet/test.jsonnet"), source))


def links_of(dashboard: Any) -> set[str]:  # noqa: ANN401 - JSON
    return set(re.findall(r'"url": "(/d/[^"\\]*(?:\\.[^"\\]*)*)"', json.dumps(dashboard)))


@pytest.mark.parametrize("link", ["logs", "error_logs"])
def test_a_panel_leads_to_the_lines_of_the_same_applications_and_time(link: str) -> None:
    url = evaluate(f"dashboard.{link}.url")
    assert url.startswith("/d/claw-ai-logs?${job:queryparam}&")
    assert url.endswith("&${__url_time_range}")


def test_a_link_to_errors_leaves_out_other_levels() -> None:
    assert "&var-level=error&var-level=critical&" in evaluate("dashboard.error_logs.url")


def test_a_service_in_a_table_leads_to_its_lines() -> None:
    assert evaluate("dashboard.logs_of('service').url") == (
        '/d/claw-ai-logs?var-job=${__data.fields["service"]}&${__url_time_range}'
    )


def test_an_alert_leads_to_its_dashboard_and_to_its_runbook_where_that_can_be_browsed() -> None:
    urls = "{ runbooks: 'https://wiki.example.com/runbooks' }"
    assert [link["url"] for link in evaluate(f"dashboard.open_alert({urls})")] == [
        '/d/${__data.fields["dashboard"]}?${job:queryparam}&${__url_time_range}',
        'https://wiki.example.com/runbooks/${__data.fields["alert"]}.md',
    ]


def test_a_runbook_that_is_only_a_path_in_the_repository_is_no_link() -> None:
    assert len(evaluate("dashboard.open_alert({ runbooks: 'docs/runbooks' })")) == 1


def test_every_dashboard_keeps_application_and_instance_on_the_way() -> None:
    for dashboard in DASHBOARDS.values():
        assert {"job", "instance"} <= {one["name"] for one in dashboard["templating"]["list"]}


def test_what_is_only_carried_along_is_not_shown() -> None:
    assert [(one["name"], one["hide"]) for one in evaluate("variables.carried")] == [
        ("job", 2),
        ("instance", 2),
    ]


def test_every_link_keeps_the_time() -> None:
    for uid, dashboard in DASHBOARDS.items():
        assert [link for link in links_of(dashboard) if "${__url_time_range}" not in link] == [], uid


def test_the_overview_leads_to_every_dashboard_that_shows_a_cause() -> None:
    reached = {
        link.removeprefix("/d/").partition("?")[0] for link in links_of(DASHBOARDS["claw-ai-overview"])
    }
    assert reached >= {
        "claw-ai-performance",
        "claw-ai-models",
        "claw-ai-datastores",
        "claw-ai-logs",
        "claw-ai-slo",
    }


def test_lines_are_asked_of_loki_in_its_own_language() -> None:
    panel = evaluate("""
        local query = 'rate({service="a"}[$__auto])';
        signal.view({}).timeseries(signal.lines({ title: 'T', description: 'D.', unit: 's', expr: query }))
    """)
    assert panel["datasource"] == {"type": "loki", "uid": "${loki}"}
    assert panel["targets"] == [
        {
            "datasource": panel["datasource"],
            "expr": 'rate({service="a"}[$__auto])',
            "legendFormat": "T",
            "queryType": "range",
            "refId": "A",
        }
    ]


def test_a_table_is_sorted_by_the_greatest_unless_it_says_otherwise() -> None:
    options = "{ unit: 'short', description: 'D.', sort_by: ['A', { displayName: 'B', desc: false }] }"
    assert evaluate(f"grafana.table('T', [grafana.instant('up')], {options}).options.sortBy") == [
        {"displayName": "A", "desc": True},
        {"displayName": "B", "desc": False},
    ]
