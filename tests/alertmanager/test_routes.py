"""Who is told what, by Alertmanager's own routing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STRICT = "--enable-feature=utf8-strict-mode"
ROUTES: dict[str, dict[str, list[str]]] = yaml.safe_load(
    (Path(__file__).parent / "routes.yml").read_text(encoding="utf-8")
)
ROWS = [
    (alert, severity, receivers)
    for alert, by_severity in ROUTES.items()
    for severity, receivers in by_severity.items()
]
NOT_OURS = {"NotificationTest", "SomebodyElses"}


def amtool(tools: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tools / "amtool", STRICT, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def alerting_rules() -> list[dict[str, Any]]:
    files = sorted((ROOT / "prometheus/rules").glob("*-alerts.yml"))
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def test_amtool_accepts_the_configuration_in_strict_mode(tools: Path, config_file: Path) -> None:
    done = amtool(tools, "check-config", str(config_file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def teams(alerting_rules: list[dict[str, Any]]) -> dict[str, str]:
    return {rule["alert"]: rule["labels"]["team"] for rule in alerting_rules}


@pytest.mark.parametrize(("alert", "severity", "receivers"), ROWS)
def test_every_alert_reaches_its_receivers(  # noqa: PLR0913, PLR0917 - a row of the table
    tools: Path, config_file: Path, teams: dict[str, str], alert: str, severity: str, receivers: list[str]
) -> None:
    # Those of other people's rules have no team.
    team = [f"team={teams[alert]}"] if alert not in NOT_OURS else []
    done = amtool(
        tools,
        *("config", "routes", "test", f"--config.file={config_file}"),
        *(f"alertname={alert}", f"severity={severity}", *team),
    )
    assert done.returncode == 0, done.stderr
    # The line before says that strict mode is on.
    assert done.stdout.splitlines()[-1].split(",") == receivers


def receivers() -> list[str]:
    document = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    return [receiver["name"] for receiver in document["receivers"]]


@pytest.mark.parametrize("receiver", receivers())
@pytest.mark.parametrize("alert", ["NotificationTest", "NotificationsFailing", "Watchdog"])
@pytest.mark.parametrize("severity", ["none", "critical"])
def test_a_test_of_one_receiver_reaches_that_one_only(
    tools: Path, config_file: Path, *, receiver: str, alert: str, severity: str
) -> None:
    done = amtool(
        tools,
        *("config", "routes", "test", f"--config.file={config_file}", f"claw_test_receiver={receiver}"),
        *(f"alertname={alert}", f"severity={severity}"),
    )
    assert done.stdout.splitlines()[-1] == receiver


def test_the_table_has_a_row_for_every_alert_and_severity_and_no_other(
    alerting_rules: list[dict[str, Any]],
) -> None:
    there = {(rule["alert"], rule["labels"]["severity"]) for rule in alerting_rules}
    assert {(alert, severity) for alert, severity, _ in ROWS if alert not in NOT_OURS} == there


def test_no_address_and_no_secret_stands_in_the_configuration(config_file: Path) -> None:
    text = config_file.read_text(encoding="utf-8")
    # The relay's address is no secret; what it knows of the bots is their files.
    assert "://" not in text.replace("http://relay:9811/", "")
    receivers = yaml.safe_load(text)["receivers"]
    hooks = [hook for receiver in receivers for hook in receiver.get("webhook_configs", ())]
    assert hooks
    assert all({"url_file", "url"} & set(hook) for hook in hooks)
    assert all(not Path(hook["url_file"]).is_absolute() for hook in hooks if "url_file" in hook)


def test_every_team_of_the_rules_is_one_that_routes_can_name(alerting_rules: list[dict[str, Any]]) -> None:
    config = (ROOT / "jsonnet" / "config.libsonnet").read_text(encoding="utf-8")
    named = set(re.findall(r"^    '[a-z]+-alerts': '([a-z]+)',$", config, re.MULTILINE))
    assert {rule["labels"]["team"] for rule in alerting_rules} <= named


def test_every_label_that_inhibition_compares_must_be_there(config_file: Path) -> None:
    rules = yaml.safe_load(config_file.read_text(encoding="utf-8"))["inhibit_rules"]
    assert rules
    for rule in rules:
        assert rule["equal"], rule["name"]
        for label in rule["equal"]:
            assert f'{label} != ""' in rule["source_matchers"], rule["name"]
            assert f'{label} != ""' in rule["target_matchers"], rule["name"]
