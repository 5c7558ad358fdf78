"""What the Jsonnet library of alerts and objectives refuses to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest

ROOT = Path(__file__).resolve().parents[2]

ALERT = """
  expr: 'up == 0', severity: 'warning', summary: 'It is down.', description: 'up is {{ $value }}.',
  dashboard: 'claw-ai-overview',
"""
OBJECTIVE = """
  name: 'checkout', alert: 'Checkout', events: 'checkouts', verb: 'failed', objective: 0.99, window: '30d',
  total: 'checkouts_total', bad: 'checkouts_total{status="error"}', min_bad_events: 10, dashboard: 'd',
  burn: [{ long: '1h', short: '5m', factor: 14.4, hold: '2m' }],
"""
TWO_ALERTS = """
  'beat-alerts': alert.group('beat-alerts', [
    alert.new('A', { expr: 'up == 0', severity: 'critical', by: ['job'], summary: 'A.',
                     description: '{{ $value }}', dashboard: 'd' }),
    alert.new('B', { expr: 'up == 0', severity: 'warning', by: ['host'], summary: 'B.',
                     description: '{{ $value }}', dashboard: 'd' }),
  ]),
"""


def evaluate(expression: str) -> Any:  # noqa: ANN401 - whatever the Jsonnet evaluates to
    imports = "".join(
        f"local {name} = import 'lib/{name}.libsonnet';"
        for name in ("alert", "slo", "route", "bound", "duration")
    )
    text = _jsonnet.evaluate_snippet("test", imports + expression, jpathdir=[str(ROOT / "jsonnet")])
    return json.loads(text)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("targetDown", "", "a name is CamelCase"),
        ("Target_Down", "", "a name is CamelCase"),
        ("TargetDown", "severity: 'high'", "severity is high, not one of"),
        ("TargetDown", "summary: 'It is down'", "is not a sentence"),
        ("TargetDown", "description: 'It is down.'", "does not tell {{ $value }}"),
        ("TargetDown", "dashboard:: error 'x', severity: error 'gone'", "gone"),
    ],
)
def test_an_alert_without_what_it_needs_is_refused(name: str, change: str, message: str) -> None:
    with pytest.raises(RuntimeError, match="RUNTIME ERROR") as caught:
        evaluate(f"alert.new('{name}', {{ {ALERT} }} + {{ {change} }})")
    assert message in str(caught.value)


def test_an_alert_that_misses_a_part_names_it() -> None:
    with pytest.raises(RuntimeError, match="TargetDown: must provide expr"):
        evaluate(
            "alert.new('TargetDown', { severity: 'warning', summary: 'S.', description: '{{ $value }}' })"
        )


def test_a_recording_is_named_by_level_metric_and_operation() -> None:
    with pytest.raises(RuntimeError, match="level:metric:operations"):
        evaluate("alert.record('requests_per_second', 'up')")


def test_an_objective_whose_page_can_never_fire_is_refused() -> None:
    with pytest.raises(RuntimeError, match="can never fire"):
        evaluate(f"slo({{ {OBJECTIVE} }} + {{ objective: 0.9 }})")


@pytest.mark.parametrize("objective", ["1", "0", "99.5"])
def test_an_objective_that_is_no_ratio_is_refused(objective: str) -> None:
    with pytest.raises(RuntimeError, match="is not a ratio between 0 and 1"):
        evaluate(f"slo({{ {OBJECTIVE} }} + {{ objective: {objective} }})")


def test_an_objective_counts_either_bad_or_good_events() -> None:
    with pytest.raises(RuntimeError, match="give either bad or good"):
        evaluate(f"slo({{ {OBJECTIVE} }} + {{ good: 'checkouts_total' }})")


def test_an_objective_becomes_recordings_of_each_window_and_an_alert_for_each_pair() -> None:
    result = evaluate(f"slo({{ {OBJECTIVE} }})")
    assert [rule["record"] for rule in result["recordings"]] == [
        "job:slo_total:rate5m",
        "job:slo_bad:rate5m",
        "job:slo_errors:ratio_rate1h",
        "job:slo_errors:ratio_rate30d",
        "job:slo_errors:ratio_rate5m",
        "job:slo_total:sum30d",
        "job:slo_bad:sum30d",
        "slo:objective:ratio",
        "job:slo:budget_left",
    ]
    assert [rule["alert"] for rule in result["alerts"]] == ["CheckoutBudgetBurn"]
    assert all(rule["labels"] == {"slo": "checkout"} for rule in result["recordings"])


def test_a_threshold_between_two_bucket_bounds_is_refused() -> None:
    with pytest.raises(RuntimeError, match="is no bucket bound of claw_ai_http_request_duration_seconds"):
        evaluate("bound('claw_ai_http_request_duration_seconds', 0.6)")


def test_a_bound_is_written_as_prometheus_stores_it() -> None:
    name = "claw_ai_http_request_duration_seconds"
    assert evaluate(f"[bound('{name}', 1), bound('{name}', 0.005)]") == ["1.0", "0.005"]


def test_a_duration_of_an_unknown_unit_is_refused() -> None:
    assert evaluate("[duration('90s'), duration('3d')]") == [90, 259200]
    with pytest.raises(RuntimeError, match="does not end in one of"):
        evaluate("duration('3w')")


def test_a_heartbeat_that_repeats_no_faster_than_its_group_is_refused() -> None:
    with pytest.raises(RuntimeError, match="not below its group_interval"):
        evaluate("route.heartbeat({ group_interval: '1m', repeat_interval: '60s' })")


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ("{ source: 'A', mutes: ['B'], equal: ['job'] }", "B does not promise the label job"),
        ("{ source: 'A', mutes: ['Gone'], equal: ['job'] }", "names the alert Gone, which does not exist"),
        ("{ source: 'A', mutes: ['B'], equal: [] }", "mutes everywhere"),
    ],
)
def test_an_inhibition_that_could_mute_by_accident_is_refused(cause: str, message: str) -> None:
    with pytest.raises(RuntimeError, match="RUNTIME ERROR") as caught:
        evaluate(f"route.causeInhibitions({{ {TWO_ALERTS} }}, [{cause}])")
    assert message in str(caught.value)
