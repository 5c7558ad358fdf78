"""What becomes of a signal: its query from the metric or from a recording, its thresholds, its variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORD = "job_agent_outcome:claw_ai_agent_runs:rate5m"
BUCKETS = "job_operation_le:claw_ai_db_operation_duration_seconds_bucket:rate5m"


def evaluate(expression: str) -> Any:  # noqa: ANN401 - whatever the Jsonnet evaluates to
    source = f"""
        local grafana = import 'lib/grafana.libsonnet';
        local signal = import 'lib/signal.libsonnet';
        local view = signal.view({{ 'job=~': '$job', 'instance=~': '$instance', 'outcome=~': '$outcome' }});
        {expression}
    """
    return json.loads(_jsonnet.evaluate_snippet(str(ROOT / "jsonnet/test.jsonnet"), source))


def query(signal: str) -> str:
    text: str = evaluate(f"view.timeseries({signal}).targets[0].expr")
    return " ".join(text.split())


def test_a_recording_is_averaged_over_the_step_and_takes_the_matchers_that_its_level_names() -> None:
    assert query(
        f"signal.rate('claw_ai_agent_runs_total', {{ title: 'T', by: ['agent'], record: '{RECORD}' }})"
    ) == (f'sum by (agent) (avg_over_time({RECORD}{{job=~"$job", outcome=~"$outcome"}}[$__rate_interval]))')


def test_without_a_recording_the_metric_itself_is_read() -> None:
    assert query("signal.rate('claw_ai_agent_runs_total', { title: 'T' })") == (
        'sum(rate(claw_ai_agent_runs_total{instance=~"$instance", job=~"$job", outcome=~"$outcome"}'
        "[$__rate_interval]))"
    )


def test_a_share_above_a_bound_counts_all_by_the_last_bucket_of_the_recording() -> None:
    found = query(
        "signal.above_bound(0.1, 'claw_ai_db_operation_duration_seconds',"
        f" {{ title: 'T', record: '{BUCKETS}' }})"
    )
    assert f'{BUCKETS}{{job=~"$job", le="0.1"}}' in found
    assert f'{BUCKETS}{{job=~"$job", le="+Inf"}}' in found


@pytest.mark.parametrize(
    ("thresholds", "steps"),
    [
        ("{ warning: 1, critical: 2 }", [("green", None), ("orange", 1), ("red", 2)]),
        ("{ warning: 1 }", [("green", None), ("orange", 1)]),
        ("{ critical: 2 }", [("green", None), ("red", 2)]),
        ("{ warning: 2, critical: 1, below: true }", [("red", None), ("orange", 1), ("green", 2)]),
        ("{ warning: 2, below: true }", [("orange", None), ("green", 2)]),
        ("{ critical: 1, below: true }", [("red", None), ("green", 1)]),
    ],
)
def test_each_height_of_a_threshold_is_a_step(thresholds: str, steps: list[tuple[str, float | None]]) -> None:
    found = evaluate(f"grafana.thresholds({thresholds})")["steps"]
    assert [(step["color"], step["value"]) for step in found] == steps


def test_all_values_of_a_variable_are_an_expression_or_each_by_its_name() -> None:
    make = "grafana.variable.label_values('host', 'host', 'up'"
    assert evaluate(f"{make})")["allValue"] == ".+"
    assert "allValue" not in evaluate(f"{make}, all=null)")
