"""The generated rules and the cases that try them, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule. `labels` are the ones that it adds: they tell rules of one name apart."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    expr: str

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one case expects of one alert at one moment."""

    alert: str
    labels: tuple[dict[str, str], ...]
    has_input: bool


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def rules() -> list[dict[str, Any]]:
    files = sorted((ROOT / "prometheus/rules").glob("*.yml"))
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    found = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    assert found
    return found


@pytest.fixture(scope="session")
def alerts(rules: list[dict[str, Any]]) -> list[Alert]:
    return [
        Alert(rule["alert"], rule["labels"], rule["annotations"], rule["expr"])
        for rule in rules
        if "alert" in rule
    ]


@pytest.fixture(scope="session")
def expectations() -> list[Expectation]:
    files = sorted((ROOT / "tests/prometheus/cases").glob("*.yml"))
    cases = [case for file in files for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
    return [
        Expectation(
            check["alertname"],
            tuple(expected["exp_labels"] for expected in check["exp_alerts"]),
            bool(case["input_series"]),
        )
        for case in cases
        for check in case.get("alert_rule_test", ())
    ]
