"""The ways in the runbooks: each link exists, and at the end the panel shows what the alert is about.

A list after `Way from the overview:` in a runbook has a dashboard, a row and a panel in each line. The next
line is reached by a link of that panel (or of its cells), or by the dashboard's own links. At the end the
panel is asked with the data of a case in which the alert fires: it shows something, beyond its threshold if
it has one.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from claw_native.drills.faults import FAULTS
from claw_native.panels import filled

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

from panel_gates import in_rows  # noqa: E402  # the path above must be there first

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
START = "claw-ai-overview"
MOST_LINKS = 4
WAY = re.compile(r"^Way from the overview:\n\n(?P<steps>(?:\d\. .*\n)+)", re.MULTILINE)
STEP = re.compile(r"^\d\. `(?P<uid>[\w-]+)` › (?P<row>.*?) › (?P<panel>.*)$", re.MULTILINE)  # noqa: RUF001  # as Grafana's
DASHBOARDS: dict[str, Json] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
RULES = sorted((ROOT / "prometheus/rules").glob("*.yml"))
ALERTS: dict[str, Json] = {
    rule["alert"]: rule
    for file in RULES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


@dataclass(frozen=True)
class Step:
    uid: str
    row: str
    panel: str


def way(text: str) -> list[Step]:
    """Return the steps of a runbook's way; none where it has none."""
    match = WAY.search(text)
    return [Step(*one.groups()) for one in STEP.finditer(match["steps"])] if match else []


def ways() -> dict[str, list[Step]]:
    pages = sorted((ROOT / "docs/runbooks").glob("*.md"))
    return {page.stem: steps for page in pages if (steps := way(page.read_text()))}


def panel_of(step: Step) -> Json | None:
    for row, panel in in_rows(DASHBOARDS.get(step.uid, {"panels": []})):
        if (row, panel["title"]) == (step.row, step.panel):
            return dict(panel)
    return None


def links(step: Step, alert: str) -> Iterator[str]:
    """Yield the dashboards to which a panel, its cells or its dashboard lead."""
    dashboard = DASHBOARDS[step.uid]
    for url in re.findall(r'"url": "/d/([^?"\\]+(?:\\"\w+\\"[^?"\\]*)?)', json.dumps(panel_of(step))):
        yield ALERTS[alert]["labels"]["dashboard"] if "dashboard" in url and "__data" in url else url
    for link in dashboard["links"]:
        if link["type"] == "dashboards":
            yield from (uid for uid, other in DASHBOARDS.items() if set(link["tags"]) <= set(other["tags"]))


def problems(alert: str, steps: list[Step]) -> Iterator[str]:
    """Yield what keeps one from going a way."""
    if not steps or steps[0].uid != START:
        yield f"{alert}: does not begin at {START}"
    if len(steps) - 1 > MOST_LINKS:
        yield f"{alert}: needs {len(steps) - 1} links, more than {MOST_LINKS}"
    missing = [step for step in steps if panel_of(step) is None]
    yield from (f"{alert}: no panel {step.panel!r} in {step.uid} / {step.row}" for step in missing)
    for step, following in itertools.pairwise(steps):
        if step not in missing and following.uid != step.uid and following.uid not in links(step, alert):
            yield f"{alert}: no link from {step.uid} / {step.panel} to {following.uid}"


def crossed(panel: Json, target: Json, dashboard: Json) -> str:
    """Return a query that is 1 when a panel's query shows something beyond the panel's first threshold."""
    variables = {one["name"]: ".*" for one in dashboard["templating"]["list"]}
    windows = {"__rate_interval": "5m", "__range": "1h", "__range_s": "3600", "__interval": "1m"}
    query = filled(target["expr"], variables | windows, where=panel["title"])
    limit = threshold(panel)
    return f"clamp_max(count(({query}\n) {limit}), 1)"


def threshold(panel: Json) -> str:
    """Return the comparison that a panel's first threshold is; one that always holds where it has none."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    values = sorted(step["value"] for step in steps if step["value"] is not None)
    if not values:
        return "> -Inf"
    return f"< {values[-1]}" if steps[0]["color"] == "red" else f">= {values[0]}"


def firing_cases(alert: str) -> Iterator[tuple[Json, str]]:
    """Yield each case with data in which an alert fires, and when it does."""
    for file in sorted((ROOT / "tests/prometheus/cases").glob("*.yml")):
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case.get("alert_rule_test", ()):
                if check["alertname"] == alert and check["exp_alerts"] and case["input_series"]:
                    yield case, check["eval_time"]


def recorded(rules: Path) -> set[str]:
    """Return what a file records, and what promtool would not take a second time where a case gives it."""
    return set(re.findall(r"^ *- record: (\S+)$", rules.read_text(), re.MULTILINE))


def shown(tools: Path, folder: Path, alert: str, query: str) -> bool:
    """Return whether a query is 1 in one of the cases in which an alert fires."""
    for case, moment in firing_cases(alert):
        expected = {"expr": query, "eval_time": moment, "exp_samples": [{"labels": "{}", "value": 1}]}
        test = {key: case[key] for key in ("interval", "input_series") if key in case}
        given = {one["series"].partition("{")[0] for one in case["input_series"]}
        file = folder / f"{alert}.yml"
        document = {
            "rule_files": [str(rules) for rules in RULES if not given & recorded(rules)],
            "evaluation_interval": "1m",
            "tests": [test | {"promql_expr_test": [expected]}],
        }
        file.write_text(yaml.safe_dump(document))
        command = [str(tools / "promtool"), "test", "rules", str(file)]
        if not subprocess.run(command, capture_output=True, check=False).returncode:
            return True
    return False


@pytest.mark.parametrize("alert", ways())
def test_every_step_of_a_way_exists_and_leads_to_the_next(alert: str) -> None:
    assert list(problems(alert, ways()[alert])) == []


@pytest.mark.parametrize("alert", ways())
def test_at_the_end_of_a_way_one_sees_what_the_alert_is_about(
    alert: str, tools: Path, tmp_path: Path
) -> None:
    end = ways()[alert][-1]
    panel = panel_of(end)
    assert panel
    queries = [crossed(panel, target, DASHBOARDS[end.uid]) for target in panel["targets"]]
    assert any(shown(tools, tmp_path, alert, query) for query in queries), queries


def test_every_alert_that_a_drill_provokes_has_a_way() -> None:
    drilled = {expected.name for fault in FAULTS for expected in fault.must}
    assert sorted(drilled - ways().keys()) == []


def test_a_way_over_a_link_that_is_gone_would_be_found() -> None:
    alert, steps = next(iter(ways().items()))
    lost = [steps[0], Step("claw-ai-gone", "Why?", "Nothing")]
    assert list(problems(alert, lost)) == [
        f"{alert}: no panel 'Nothing' in claw-ai-gone / Why?",
        f"{alert}: no link from {START} / {steps[0].panel} to claw-ai-gone",
    ]
    assert f"{alert}: does not begin at {START}" in list(problems(alert, steps[1:]))


def test_a_panel_that_shows_nothing_of_an_alert_would_be_found(tools: Path, tmp_path: Path) -> None:
    alert = next(iter(ways()))
    assert shown(tools, tmp_path, alert, "clamp_max(count(vector(1)), 1)")
    assert not shown(tools, tmp_path, alert, "clamp_max(count(up == 42), 1)")
