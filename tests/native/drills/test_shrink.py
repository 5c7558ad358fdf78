"""Configuration in, configuration with less time in it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from claw_native.command import run
from claw_native.drills.configuration import drilled_rules, read_rules
from claw_native.drills.shrink import (
    DRILLED_ANYWAY,
    LONGEST_WINDOW_SECONDS,
    Shrink,
    format_seconds,
    left_out,
    looks_back_seconds,
    parse_seconds,
)
from claw_native.settings import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

RULES = REPOSITORY / "prometheus" / "rules"
TEN = Shrink(10)


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("1h30m", 5400), ("1w", 604_800), ("250ms", 0.25), ("0s", 0)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "-5m", "5minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; example 1h30m"):
        parse_seconds(text)


@pytest.mark.parametrize(("seconds", "text"), [(30, "30s"), (0.75, "750ms"), (1.5, "1500ms"), (0, "1ms")])
def test_a_duration_is_written_to_a_millisecond(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("rate(x[10m])", "rate(x[60s])"),
        ("rate(x[1m])", "rate(x[6s])"),
        ("rate(x[10s])", "rate(x[6s])"),
        ("x offset 1w", "x offset 60480s"),
        ("x offset -5m", "x offset -30s"),
        ("rate(x[10m] offset 1h)", "rate(x[60s] offset 360s)"),
        ("max_over_time(rate(x[5m])[1h:30s])", "max_over_time(rate(x[30s])[360s:3s])"),
        ("avg_over_time(x[1h:])", "avg_over_time(x[360s:])"),
        ("predict_linear(x[6h], 86400) < 0", "predict_linear(x[2160s], 8640) < 0"),
        ("predict_linear(x[6h] offset 1h, 3600)", "predict_linear(x[2160s] offset 360s, 360)"),
        ("15 * sum_over_time(cost:rate5m[1h])", "1.5 * sum_over_time(cost:rate5m[360s])"),
        ("quantile_over_time(0.9, x[10m])", "quantile_over_time(0.9, x[60s])"),
        ("increase(x[5m]) >= 20", "increase(x[30s]) >= 20"),
    ],
)
def test_the_times_of_an_expression_are_divided_and_nothing_else(before: str, after: str) -> None:
    assert TEN.expression(before) == after


@pytest.mark.parametrize(
    "expr",
    [
        'up{job="[5m]"} == 0',
        "up{job='offset 5m'} == 0",
        "up == 0 # over [5m] or offset 1w",
        r'label_replace(up, "a", "\"[5m]", "b", "")',
        "sum by (job) (claw_ai_offset)",
    ],
)
def test_texts_and_comments_are_left_alone(expr: str) -> None:
    assert TEN.expression(expr) == expr


def test_no_window_is_under_four_scrapes() -> None:
    assert Shrink(100).window("1m") == "600ms"
    assert Shrink(100, scrape_seconds=60).window("5m") == "3s"
    assert Shrink(100).window("10m") == "6s"


def test_a_rule_has_its_holds_divided() -> None:
    rule = {
        "alert": "A",
        "expr": "x > 600",
        "for": "10m",
        "keep_firing_for": "5m",
        "labels": {"window": "1h"},
    }
    assert TEN.rule(rule) == rule | {"for": "60s", "keep_firing_for": "30s"}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("PostgresTransactionTooLong", "max by (state) (age) > 600\n", "max by (state) (age) > 60\n"),
        ("QueueAgeHigh", "age > 60", "age > 6"),
        ("LogErrorBurst", "300 * errors:rate5m >= 20", "30 * errors:rate5m >= 20"),
    ],
)
def test_numbers_that_mean_seconds_are_divided(name: str, before: str, after: str) -> None:
    assert TEN.rule({"alert": name, "expr": before})["expr"] == after


def test_groups_have_their_intervals_divided() -> None:
    group = {
        "name": "g",
        "interval": "30s",
        "query_offset": "1m",
        "rules": [{"record": "r", "expr": "x[1h]"}],
    }
    (smaller,) = TEN.rules({"groups": [group]})["groups"]
    assert smaller == {
        "name": "g",
        "interval": "3s",
        "query_offset": "6s",
        "rules": [{"record": "r", "expr": "x[360s]"}],
    }


def test_prometheus_scrapes_oftener_and_waits_as_long_as_it_can() -> None:
    document: dict[str, Any] = {
        "global": {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "15s"},
        "scrape_configs": [{"job_name": "a", "scrape_interval": "1m", "scrape_timeout": "30s"}],
    }
    smaller = TEN.prometheus(document)
    assert smaller["global"] == {
        "scrape_interval": "1500ms",
        "scrape_timeout": "1500ms",
        "evaluation_interval": "1500ms",
    }
    assert smaller["scrape_configs"] == [{"job_name": "a", "scrape_interval": "6s", "scrape_timeout": "6s"}]
    assert document["global"]["scrape_interval"] == "15s"


def test_every_route_of_alertmanager_waits_less() -> None:
    route = {"receiver": "a", "group_wait": "30s", "routes": [{"receiver": "b", "repeat_interval": "4h"}]}
    smaller = TEN.alertmanager({"route": route, "receivers": []})
    assert smaller == {
        "route": {
            "receiver": "a",
            "group_wait": "3s",
            "routes": [{"receiver": "b", "repeat_interval": "1440s"}],
        },
        "receivers": [],
    }


def test_an_alert_that_looks_back_through_a_recording_is_left_out() -> None:
    rules = [
        {"record": "job:bad:rate3d", "expr": "rate(x[3d])"},
        {"alert": "Slow", "expr": "job:bad:rate3d > 1"},
        {"alert": "Other", "expr": "job:bad:rate3d_more > 1"},
        {"alert": "Quick", "expr": "rate(x[5m]) > 1"},
    ]
    assert left_out(rules) == {"job:bad:rate3d > 1": 3 * 86_400}


# The rules of this repository.


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    return read_rules(RULES)


def alerts(documents: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    groups = [group for document in documents.values() for group in document["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_what_is_left_out_looks_back_further_than_drills_can_wait(
    documents: dict[str, dict[str, Any]],
) -> None:
    kept = [rule["expr"] for rule in alerts(drilled_rules(documents))]
    for rule in alerts(documents):
        if rule["expr"] not in kept:
            assert rule["alert"] not in DRILLED_ANYWAY
        elif rule["alert"] not in DRILLED_ANYWAY:
            assert looks_back_seconds(rule["expr"]) <= LONGEST_WINDOW_SECONDS


@pytest.mark.parametrize("faster", [10, 20, 30])
def test_promtool_takes_the_rules_with_less_time(
    tools: Path, tmp_path: Path, documents: dict[str, dict[str, Any]], faster: float
) -> None:
    for name, document in drilled_rules(documents).items():
        (tmp_path / name).write_text(yaml.safe_dump(Shrink(faster).rules(document)))
    run([tools / "promtool", "check", "rules", *sorted(tmp_path.glob("*.yml"))])
