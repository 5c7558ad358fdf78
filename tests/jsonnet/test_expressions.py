"""Finding expressions in documents, and judging what stands beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "jsonnet"))

import expressions  # the path above must be there first
from catalogue import Catalogue, Series  # the same

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def findings(document: dict[str, Any], path: str) -> list[str]:
    catalogue = Catalogue(
        {
            "up": Series("gauge", frozenset({"job", "instance"})),
            "hits_total": Series("counter", frozenset({"job", "path"})),
        }
    )
    return expressions.check(expressions.find({path: document}), catalogue)


def of_rules(*rules: dict[str, Any]) -> list[str]:
    return findings({"groups": [{"name": "g", "rules": list(rules)}]}, "prometheus/rules/g.yml")


def of_dashboard(**parts: Any) -> list[str]:  # noqa: ANN401  # parts of Grafana's JSON
    empty = {"panels": [], "templating": {"list": []}, "annotations": {"list": []}}
    return findings(empty | parts, "grafana/dashboards/d.json")


def panel(expression: str, legend: str = "") -> dict[str, Any]:
    target = {"datasource": PROMETHEUS, "expr": expression, "legendFormat": legend}
    return {"type": "stat", "title": "P", "targets": [target]}


def test_the_labels_of_a_recording_are_worked_out_and_known_to_who_reads_it() -> None:
    record = {
        "record": "job:hits:rate5m",
        "expr": "sum by (job) (rate(hits_total[5m]))",
        "labels": {"tier": "a"},
    }
    sound = {"alert": "A", "expr": 'sum by (job, tier) (job:hits:rate5m{tier="a"}) > 1'}
    wrong = {"alert": "B", "expr": "sum by (path) (job:hits:rate5m) > 1"}
    (said,) = of_rules(sound, wrong, record)
    assert said.startswith("prometheus/rules/g.yml: alert B: no label path to aggregate by in")
    assert said.endswith("(there are: job, tier)")


def test_a_recording_of_a_recording_that_stands_later_is_known_too() -> None:
    outer = {"record": "a:b:c", "expr": "max by (job) (job:up:max)"}
    inner = {"record": "job:up:max", "expr": "max by (job) (up)"}
    wrong = {"alert": "B", "expr": "sum by (instance) (a:b:c) > 1"}
    assert "no label instance" in of_rules(outer, inner, wrong)[0]


def test_a_label_that_an_alert_text_shows_must_be_in_its_result() -> None:
    texts = {
        "summary": "{{ $labels.job }} of {{ $labels.path }}: {{ $labels.severity }} {{ $labels.alertname }}"
    }
    alert = {
        "alert": "A",
        "expr": "sum by (job) (up) == 0",
        "labels": {"severity": "info"},
        "annotations": texts,
    }
    assert [one.partition("(there")[0] for one in of_rules(alert)] == [
        "prometheus/rules/g.yml: alert A: the result has no label path "
    ]


def test_panels_in_folded_rows_are_looked_at() -> None:
    row = {"type": "row", "title": "R", "panels": [panel("sum(downs)")]}
    assert "panel 'P': unknown metric downs" in of_dashboard(panels=[row])[0]


def test_a_query_of_log_lines_is_judged_as_such() -> None:
    logs = {
        "type": "logs",
        "title": "L",
        "targets": [{"datasource": {"type": "loki"}, "expr": '{a="b"} |= `x`'}],
    }
    assert of_dashboard(panels=[logs, {"type": "text", "title": "T"}]) == [
        "grafana/dashboards/d.json: panel 'L': LogQL: no stream has a label a"
    ]


def test_a_variable_that_the_dashboard_lacks_is_found() -> None:
    variable = {"name": "job", "type": "query", "query": {"query": "label_values(up, job)"}}
    panels = [
        panel('up{job=~"$job", instance=~"${inst:regex}"}'),
        panel("rate(hits_total[$__rate_interval])"),
    ]
    assert of_dashboard(panels=panels, templating={"list": [variable]}) == [
        "grafana/dashboards/d.json: panel 'P': no variable $inst"
    ]


def test_a_group_of_label_replace_is_no_variable() -> None:
    assert of_dashboard(panels=[panel('label_replace(up, "job", "$1", "instance", "(.+)")')]) == []


@pytest.mark.parametrize(
    ("query", "finding"),
    [
        ('label_values(hits_total{job="a"}, path)', None),
        ("label_values(job)", None),
        ("query_result(sum by (job) (up))", None),
        ("up", None),
        ("label_values(hits_total, route)", "the result has no label route"),
        ("query_result(downs)", "unknown metric downs"),
    ],
)
def test_the_query_of_a_variable_is_judged(query: str, finding: str | None) -> None:
    variables = [
        {"name": "v", "type": "query", "query": {"query": query}},
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
    ]
    found = of_dashboard(templating={"list": variables})
    assert (finding is None and not found) or (finding is not None and finding in found[0])


def test_an_annotation_and_its_texts_are_judged() -> None:
    annotation = {"name": "N", "expr": "up == 0", "titleFormat": "{{job}}", "textFormat": "{{path}}"}
    assert of_dashboard(annotations={"list": [annotation]}) == [
        "grafana/dashboards/d.json: annotation 'N': the result has no label path (there are: instance, job)"
    ]


def test_other_files_hold_no_expressions() -> None:
    assert findings({"route": {"receiver": "team"}}, "alertmanager/alertmanager.yml") == []
