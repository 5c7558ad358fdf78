"""The dashboard that an alert names shows what the alert is about."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql
import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

import expressions  # noqa: E402  # the path above must be there first
import trees  # noqa: E402  # as above

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES: Final = [
    rule
    for file in sorted((ROOT / "prometheus/rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
RECORDED: Final[dict[str, str]] = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS: Final = [rule for rule in RULES if "alert" in rule]

ELSEWHERE: Final = {
    "AiCanaryFailing": "the overview shows who answers; claw-ai-models how long it takes",
    "Watchdog": "always fires and reads nothing; its age is shown",
}


def metrics_of(expression: str) -> set[str]:
    """Return the metrics that an expression reads, through recordings too, without a histogram's endings."""
    found = set()
    for name in trees.names(promql.parse(expressions.substitute(expression))):
        found.add(re.sub(r"_(bucket|sum|count)$", "", name))
        if name in RECORDED:
            found |= metrics_of(RECORDED[name])
    return found


def targets(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        for target in panel.get("targets", ()):
            if (target.get("datasource") or panel["datasource"])["type"] == "prometheus":
                yield target
        yield from targets(panel.get("panels", []))


def shown_on(uid: str) -> set[str]:
    panels = json.loads((ROOT / f"grafana/dashboards/{uid}.json").read_text())["panels"]
    return {name for target in targets(panels) for name in metrics_of(target["expr"])}


@pytest.mark.parametrize("uid", sorted({alert["labels"]["dashboard"] for alert in ALERTS}))
def test_whoever_follows_an_alert_to_its_dashboard_sees_what_it_is_about(uid: str) -> None:
    shown = shown_on(uid)
    alerts = [rule for rule in ALERTS if rule["labels"]["dashboard"] == uid]
    assert [
        rule["alert"]
        for rule in alerts
        if rule["alert"] not in ELSEWHERE and not metrics_of(rule["expr"]) & shown
    ] == []


def test_no_exception_is_left_over() -> None:
    lost = {
        rule["alert"]
        for rule in ALERTS
        if not metrics_of(rule["expr"]) & shown_on(rule["labels"]["dashboard"])
    }
    assert lost == ELSEWHERE.keys()
