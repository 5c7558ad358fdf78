"""Rules that are evaluated, and a notification that arrives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.docker.stack import wait_for

if TYPE_CHECKING:
    from tests.docker.stack import ComposeStack

# Two evaluations of every group.
EVALUATION_SECONDS = 90
# Alertmanager waits half a minute for more of a group; before that, Prometheus scrapes and evaluates.
DELIVERY_SECONDS = 120


@pytest.fixture(scope="module", autouse=True)
def _critical(compose_stack: ComposeStack) -> None:
    """An alert that is on its way while the other tests wait for theirs."""
    labels = {"alertname": "Critical", "severity": "critical", "host": "main"}
    alert = {"labels": labels, "startsAt": datetime.now(UTC).isoformat()}
    compose_stack.ask("alertmanager", "/api/v2/alerts", [alert])


def rules_of(stack: ComposeStack) -> list[dict[str, Any]]:
    groups = stack.ask("prometheus", "/api/v1/rules")["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_prometheus_has_every_rule_of_the_repository(compose_stack: ComposeStack) -> None:
    written = set()
    for path in (compose_stack.repository / "prometheus" / "rules").glob("*.yml"):
        groups = yaml.safe_load(path.read_text())["groups"]
        written |= {rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]}

    assert {rule["name"] for rule in rules_of(compose_stack)} == written


def test_every_rule_is_evaluated_without_an_error(compose_stack: ComposeStack) -> None:
    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in rules_of(compose_stack))

    wait_for(evaluated, seconds=EVALUATION_SECONDS, what="every rule has been evaluated")
    assert [rule for rule in rules_of(compose_stack) if rule["health"] != "ok"] == []


def test_prometheus_has_no_complaint_about_its_configuration(compose_stack: ComposeStack) -> None:
    for metric in ("prometheus_config_last_reload_successful", "alertmanager_config_last_reload_successful"):
        wait_for(lambda name=metric: compose_stack.query(name), seconds=60, what=f"{metric} has been scraped")  # type: ignore[misc]
        (row,) = compose_stack.query(metric)

        assert row["value"][1] == "1", metric


def test_the_heartbeat_goes_from_prometheus_to_its_receiver(compose_stack: ComposeStack) -> None:
    def arrived() -> bool:
        return "Watchdog" in compose_stack.receiver.alerts("/watchdog")

    wait_for(arrived, seconds=DELIVERY_SECONDS, what="the Watchdog arrives")


def test_a_critical_alert_reaches_whoever_is_on_call(compose_stack: ComposeStack) -> None:
    def arrived() -> bool:
        return "Critical" in compose_stack.receiver.alerts("/oncall")

    wait_for(arrived, seconds=DELIVERY_SECONDS, what="the alert arrives")
    assert "Critical" not in compose_stack.receiver.alerts("/team")
