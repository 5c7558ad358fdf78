"""The dashboards pass every gate, and each gate catches the small mistake that it is there for."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

import expressions  # noqa: E402  # the path above must be there first
import panel_gates  # noqa: E402  # the same
from catalogue import Catalogue  # noqa: E402  # the same
from promql import Judge  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from panel_gates import Dashboards

Json = dict[str, Any]
EXCUSED: dict[str, str] = {
    "claw-ai-overview / Versions running / A: claw_ai_build_info does not follow $instance and $job": (
        "it compares the versions of every application that runs"
    ),
    (
        "claw-ai-overview / Versions running / A: "
        "claw_ai_ai_price_table_info does not follow $instance and $job"
    ): "it compares the price tables of every application that runs",
    (
        "claw-ai-datastores / Stores / C: "
        "job_operation:claw_ai_vector_db_operation_duration_seconds_count:rate5m does not follow $job"
    ): "the panel shows every store, whoever uses it",
    (
        "claw-ai-datastores / Stores / C: "
        "job_operation_status:claw_ai_vector_db_operation_duration_seconds_count:rate5m does not follow $job"
    ): "the same",
}
"""Findings that stay -> why. One that nothing finds any more must go."""


def gathered(documents: Json) -> Dashboards:
    metrics: Json = json.loads((ROOT / "exporter/metrics.json").read_text())
    known = Catalogue.load(ROOT / "exporter/metrics.json", ROOT / "jsonnet/vendor-metrics.json")
    files = (ROOT / "prometheus/rules").glob("*.yml")
    rules = {f"prometheus/rules/{file.name}": yaml.safe_load(file.read_text()) for file in files}
    expressions.check(expressions.find(rules), known)  # which learns the recordings
    return panel_gates.Dashboards(
        documents=documents,
        judge=Judge(known),
        ours=frozenset(name for name, one in metrics.items() if one["home"] == "library"),
        bounds={name: tuple(one["buckets"]) for name, one in metrics.items() if one["type"] == "histogram"},
    )


@pytest.fixture(scope="module")
def ours() -> Dashboards:
    files = sorted((ROOT / "grafana/dashboards").glob("*.json"))
    return gathered({file.stem: json.loads(file.read_text()) for file in files})


@pytest.mark.parametrize("gate", panel_gates.GATES, ids=lambda gate: gate.__name__)
def test_our_dashboards_pass(gate: Callable[[Dashboards], Iterator[str]], ours: Dashboards) -> None:
    assert [finding for finding in gate(ours) if finding not in EXCUSED] == []


def test_every_excuse_is_needed(ours: Dashboards) -> None:
    found = {finding for gate in panel_gates.GATES for finding in gate(ours)}
    assert EXCUSED.keys() - found == set()


SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = '{job=~"$job", instance=~"$instance"}'
SOUND_PANEL: Json = {
    "type": "timeseries",
    "title": "Requests",
    "description": "Requests per second.",
    "datasource": SOURCE,
    "fieldConfig": {"defaults": {"unit": "cps"}, "overrides": []},
    "targets": [
        {
            "refId": "A",
            "datasource": SOURCE,
            "expr": f"sum by (status) (rate(claw_ai_http_requests_total{CHOSEN}[$__rate_interval]))",
            "legendFormat": "{{status}}",
        }
    ],
}
QUANTILE = f"""histogram_quantile(
  0.95, sum by (le) (rate(claw_ai_http_request_duration_seconds_bucket{CHOSEN}[$__rate_interval]))
)"""
THRESHOLDS = {"steps": [{"color": "green", "value": None}, {"color": "red", "value": 0.6}]}


def small(panel: Json) -> Dashboards:
    row = {"type": "row", "title": "What is it?", "panels": []}
    variables = [{"name": name, "type": "query", "refresh": 2} for name in ("job", "instance")]
    return gathered({"small": {"templating": {"list": variables}, "panels": [row, panel]}})


def with_target(**fields: Any) -> Json:  # noqa: ANN401  # whatever Grafana's JSON has there
    panel = copy.deepcopy(SOUND_PANEL)
    panel["targets"][0].update(fields)
    return panel


def test_a_sound_panel_is_left_alone() -> None:
    assert [finding for gate in panel_gates.GATES for finding in gate(small(SOUND_PANEL))] == []


SMALL_MISTAKES = {
    "no title": (panel_gates.unreadable, SOUND_PANEL | {"title": ""}, "has no title"),
    "no description": (panel_gates.unreadable, SOUND_PANEL | {"description": " "}, "has no description"),
    "no unit": (panel_gates.unreadable, SOUND_PANEL | {"fieldConfig": {"defaults": {}}}, "has no unit"),
    "no query": (panel_gates.unreadable, SOUND_PANEL | {"targets": []}, "has no query"),
    "a data source by name": (
        panel_gates.fixed_sources,
        SOUND_PANEL | {"datasource": {"type": "prometheus", "uid": "prometheus"}},
        "its data source is prometheus, not a variable",
    ),
    "a fixed window": (
        panel_gates.fixed_windows,
        with_target(expr=f"rate(claw_ai_http_requests_total{CHOSEN}[5m])"),
        "rate() over 300 s, not over $__rate_interval",
    ),
    "a metric of every application": (
        panel_gates.unscoped,
        with_target(expr="rate(claw_ai_http_requests_total[$__rate_interval])"),
        "claw_ai_http_requests_total does not follow $instance and $job",
    ),
    "a recording of every application": (
        panel_gates.unscoped,
        with_target(expr="job_endpoint:claw_ai_http_requests:rate5m"),
        "job_endpoint:claw_ai_http_requests:rate5m does not follow $job",
    ),
    "no legend": (panel_gates.nameless, with_target(legendFormat="__auto"), "has no legend"),
    "one legend for many lines": (
        panel_gates.nameless,
        with_target(legendFormat="requests"),
        "its lines differ by status, its legend says 'requests'",
    ),
    "a threshold between two bounds": (
        panel_gates.between_bounds,
        with_target(expr=QUANTILE, legendFormat="p95")
        | {"fieldConfig": {"defaults": {"unit": "s", "thresholds": THRESHOLDS}}},
        "threshold 0.6 is no bound of claw_ai_http_request_duration_seconds",
    ),
}


@pytest.mark.parametrize(("gate", "panel", "finding"), SMALL_MISTAKES.values(), ids=SMALL_MISTAKES)
def test_a_small_mistake_is_found(
    gate: Callable[[Dashboards], Iterator[str]], panel: Json, finding: str
) -> None:
    (found,) = gate(small(panel))
    assert found.startswith("small / ")
    assert finding in found


def test_two_panels_of_one_title_in_one_row_are_found() -> None:
    found = small(SOUND_PANEL)
    found.documents["small"]["panels"].append(SOUND_PANEL)
    assert list(panel_gates.repeated(found)) == [
        "small / What is it? / Requests: 2 panels of the row have this title"
    ]
    row = {"type": "row", "title": "And below?", "panels": [SOUND_PANEL]}
    found.documents["small"]["panels"][-1] = row
    assert list(panel_gates.repeated(found)) == []


def test_a_variable_that_is_read_only_once_is_found() -> None:
    found = small(SOUND_PANEL)
    found.documents["small"]["templating"]["list"][0]["refresh"] = 1
    assert list(panel_gates.stale_variables(found)) == [
        "small / $job: its values are not read again with another time range"
    ]
