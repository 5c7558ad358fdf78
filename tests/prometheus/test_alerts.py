"""What every alert must have: cases, a runbook, a dashboard, a severity. What is missing is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.prometheus.conftest import Alert, Expectation

HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
SEVERITIES = {"critical", "warning", "info", "none"}
ALWAYS_FIRING = {"Watchdog"}  # vector(1): nothing could keep it quiet


def is_part_of(some: Mapping[str, str], whole: Mapping[str, str]) -> bool:
    return all(whole.get(label) == value for label, value in some.items())


def test_every_alerting_rule_has_a_case_in_which_it_fires(
    alerts: list[Alert], expectations: list[Expectation]
) -> None:
    def fires(alert: Alert) -> bool:
        return any(
            check.alert == alert.name and any(is_part_of(alert.labels, labels) for labels in check.labels)
            for check in expectations
        )

    assert [str(alert) for alert in alerts if not fires(alert)] == []


def test_every_alert_has_a_case_with_data_in_which_it_stays_quiet(
    alerts: list[Alert], expectations: list[Expectation]
) -> None:
    quiet = {check.alert for check in expectations if not check.labels and check.has_input}
    assert {alert.name for alert in alerts} - quiet == ALWAYS_FIRING


def test_no_case_is_about_an_alert_that_does_not_exist(
    alerts: list[Alert], expectations: list[Expectation]
) -> None:
    assert {check.alert for check in expectations} - {alert.name for alert in alerts} == set()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(alerts: list[Alert], root: Path) -> None:
    runbooks = {page.stem for page in (root / "docs/runbooks").glob("*.md")} - {"README"}
    assert runbooks == {alert.name for alert in alerts}


def test_every_runbook_has_the_four_headings_with_text_below_each(root: Path) -> None:
    for page in sorted((root / "docs/runbooks").glob("*.md")):
        if page.stem == "README":
            continue
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.stem}\n"), page
        assert re.findall(r"^## .*$", text, re.MULTILINE) == HEADINGS, page
        sections = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
        assert all(section.strip() for section in sections), page


def test_the_index_of_the_runbooks_names_each_of_them_once(root: Path) -> None:
    text = (root / "docs/runbooks/README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\((\w+)\.md\)", text)
    pages = {page.stem for page in (root / "docs/runbooks").glob("*.md")} - {"README"}
    assert sorted(linked) == sorted(pages)


def test_every_alert_links_its_runbook_and_a_dashboard_that_exists(alerts: list[Alert], root: Path) -> None:
    for alert in alerts:
        uid = alert.labels["dashboard"]
        assert alert.annotations["runbook_url"].endswith(f"docs/runbooks/{alert.name}.md")
        assert alert.annotations["dashboard_url"].endswith(f"/d/{uid}")
        assert (root / f"grafana/dashboards/{uid}.json").is_file(), alert


def test_every_alert_has_a_severity_that_is_routed(alerts: list[Alert]) -> None:
    assert {alert.labels["severity"] for alert in alerts} <= SEVERITIES


def test_no_two_alerting_rules_share_a_name_and_their_labels(alerts: list[Alert]) -> None:
    identities = [(alert.name, tuple(sorted(alert.labels.items()))) for alert in alerts]
    assert len(identities) == len(set(identities))


def test_no_label_holds_a_value_that_changes(rules: list[dict[str, Any]]) -> None:
    # Such an alert would be a new one at every evaluation.
    assert [rule for rule in rules if "{{" in "".join(rule.get("labels", {}).values())] == []


def test_every_alert_but_a_heartbeat_tells_its_value(alerts: list[Alert]) -> None:
    silent = {alert.name for alert in alerts if "{{ $value" not in alert.annotations["description"]}
    assert silent == {alert.name for alert in alerts if alert.labels["severity"] == "none"}


def test_every_budget_alert_is_the_same_expression_but_for_its_own_numbers(alerts: list[Alert]) -> None:
    # The cases try one objective at each of its edges; this carries the result over to the others.
    shape = re.compile(
        r"""
        \(\n\s\sjob:slo_errors:ratio_rate(?P<long>\w+)\{slo="(?P<slo>\w+)"\}\s>\s(?P<limit>[\d.]+\s\*\s[\d.]+)\n
        and\n\s\sjob:slo_errors:ratio_rate(?P<short>\w+)\{slo="(?P=slo)"\}\s>\s(?P=limit)\n\)\n
        and\son\s\(job\)\n(?P<bad>.*\[(?P<guard>\w+)\].*)\s>=\s\d+\n
        """,
        re.VERBOSE,
    )
    budgets = [alert for alert in alerts if alert.name.endswith(("BudgetBurn", "BudgetLeak"))]
    found: dict[str, list[tuple[str, ...]]] = {alert.name: [] for alert in budgets}
    for alert in budgets:
        match = shape.fullmatch(alert.expr)
        assert match, alert
        assert match["long"] == alert.labels["window"]
        factor = match["limit"].split()[0]
        found[alert.name].append((match["long"], match["short"], factor, match["guard"]))
    burn = [("1h", "5m", "14.4", "1h"), ("6h", "30m", "6", "6h")]
    leak = [("1d", "2h", "3", "2h"), ("3d", "6h", "1", "6h")]
    assert found == {name: burn if name.endswith("Burn") else leak for name in found}
