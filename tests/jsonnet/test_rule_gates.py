"""The rules pass every gate, and each gate catches the small mistake that it is there for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))  # the generator's modules are scripts, not a package

import _jsonnet  # noqa: E402  # the path above must be there first
import promql_parser  # noqa: E402  # the same

import expressions  # noqa: E402  # the same
import rule_gates  # noqa: E402  # the same
from catalogue import Catalogue  # noqa: E402  # the same
from promql import Judge  # noqa: E402  # the same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from rule_gates import Rules

Json = dict[str, Any]
PROMISES = """
local mixin = import 'mixin.libsonnet';
[[rule.alert, rule.by] for group in mixin.prometheusAlerts.groups for rule in group.rules]
"""
EXCUSED: dict[str, str] = {}
"""Findings that stay -> why. One that nothing finds any more must go."""


def catalogue() -> Catalogue:
    return Catalogue.load(ROOT / "exporter/metrics.json", ROOT / "jsonnet/vendor-metrics.json")


def bounds() -> dict[str, tuple[float, ...]]:
    metrics: Json = json.loads((ROOT / "exporter/metrics.json").read_text())
    return {name: tuple(one["buckets"]) for name, one in metrics.items() if one["type"] == "histogram"}


def interval(key: str) -> timedelta:
    settings: Json = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text())["global"]
    found: timedelta = promql_parser.parse_duration(settings[key])
    return found


def gathered(documents: Json, promised: dict[str, list[str]], read_elsewhere: str) -> Rules:
    known = catalogue()
    expressions.check(expressions.find(documents), known)  # which learns the recordings
    return rule_gates.Rules(
        rules=rule_gates.read(documents, interval("evaluation_interval")),
        scrape=interval("scrape_interval"),
        judge=Judge(known),
        promised=promised,
        bounds=bounds(),
        read_elsewhere=read_elsewhere,
    )


@pytest.fixture(scope="module")
def ours() -> Rules:
    files = sorted((ROOT / "prometheus/rules").glob("*.yml"))
    documents = {f"prometheus/rules/{file.name}": yaml.safe_load(file.read_text()) for file in files}
    promised = json.loads(_jsonnet.evaluate_snippet(str(ROOT / "jsonnet/snippet"), PROMISES))
    readers = [*ROOT.glob("grafana/dashboards/*.json"), *ROOT.glob("docs/**/*.md")]
    return gathered(documents, dict(promised), "\n".join(path.read_text() for path in readers))


@pytest.fixture
def one_rule() -> Callable[..., Rules]:
    """Call it with a rule's fields, and perhaps a recording beside it: rules as small as can be."""

    def make(rule: Json, *more: Json, promised: dict[str, list[str]] | None = None) -> Rules:
        rules = [{"labels": {"severity": "warning"}} | rule, *more]
        documents = {"prometheus/rules/few.yml": {"groups": [{"name": "few", "rules": rules}]}}
        return gathered(documents, promised or {}, "")

    return make


@pytest.mark.parametrize("gate", rule_gates.GATES, ids=lambda gate: gate.__name__)
def test_our_rules_pass(gate: Callable[[Rules], Iterator[str]], ours: Rules) -> None:
    assert [finding for finding in gate(ours) if finding not in EXCUSED] == []


def test_every_excuse_is_needed(ours: Rules) -> None:
    found = {finding for gate in rule_gates.GATES for finding in gate(ours)}
    assert EXCUSED.keys() - found == set()


REQUESTS = "claw_ai_http_requests_total"
QUANTILE = (
    "histogram_quantile(0.95, sum by (le) (rate(claw_ai_http_request_duration_seconds_bucket[5m]))) > %s"
)
SUM = {"record": "job:claw_ai_http_requests:rate5m", "expr": f"sum by (job) (rate({REQUESTS}[5m]))"}
SMALL_MISTAKES = {
    "a window of two scrapes": (
        rule_gates.short_windows,
        {"alert": "A", "expr": f"rate({REQUESTS}[30s]) > 1"},
        "rate() of claw_ai_http_requests_total over 0:00:30: at least 0:01:00",
    ),
    "a rate of a sum": (
        rule_gates.rates_of_sums,
        {"alert": "A", "expr": f"rate(sum({REQUESTS})[5m:1m]) > 1"},
        "rate() of an aggregation",
    ),
    "an alert without a comparison": (
        rule_gates.always_true,
        {"alert": "A", "expr": f"sum(rate({REQUESTS}[5m]))"},
        "nothing is compared",
    ),
    "an alert whose comparison only makes 0 and 1": (
        rule_gates.always_true,
        {"alert": "A", "expr": "up == bool 0"},
        "nothing is compared",
    ),
    "an alert of which one arm always fires": (
        rule_gates.always_true,
        {"alert": "A", "expr": "up == 0 or claw_ai_db_pool_connections"},
        "nothing is compared",
    ),
    "an alert that one lost scrape fires": (
        rule_gates.at_once,
        {"alert": "A", "expr": "up == 0"},
        "one sample is enough",
    ),
    "sides that never meet": (
        rule_gates.never_matching,
        {"alert": "A", "expr": f"sum by (job) (rate({REQUESTS}[5m])) / sum(rate({REQUESTS}[5m])) > 1"},
        "/: the left has job, the right none, so none ever matches",
    ),
    "a side that stands once, several times": (
        rule_gates.never_matching,
        {"alert": "A", "expr": "up * on (job) group_left () count by (job, host) (up) > 1"},
        "the side that stands once differs by host too",
    ),
    "a pattern that is a word": (
        rule_gates.regular_words,
        {"alert": "A", "expr": 'up{job=~"exporter"} == 0'},
        'job is compared with the pattern "exporter", which is a plain word',
    ),
    "the worst five": (
        rule_gates.unstable,
        {"alert": "A", "expr": "topk(5, up) == 0"},
        "topk chooses other series each time",
    ),
    "a bucket that does not exist": (
        rule_gates.between_bounds,
        {"alert": "A", "expr": 'claw_ai_http_request_duration_seconds_bucket{le="1"} > 0'},
        'no bucket le="1"',
    ),
    "a quantile against something between two bounds": (
        rule_gates.between_bounds,
        {"alert": "A", "expr": QUANTILE % 0.6},
        "is compared with 0.6, which is no bound",
    ),
}


@pytest.mark.parametrize(("gate", "rule", "finding"), SMALL_MISTAKES.values(), ids=SMALL_MISTAKES)
def test_a_small_mistake_is_found(
    gate: Callable[[Rules], Iterator[str]], rule: Json, finding: str, one_rule: Callable[..., Rules]
) -> None:
    (found,) = gate(one_rule(rule))
    assert found.startswith("prometheus/rules/few.yml: A: ")
    assert finding in found


SOUND = {
    "four scrapes": (rule_gates.short_windows, {"alert": "A", "expr": f"rate({REQUESTS}[1m]) > 1"}),
    "an absence": (rule_gates.always_true, {"alert": "A", "expr": "absent(up)"}),
    "a heartbeat": (rule_gates.always_true, {"alert": "Watchdog", "expr": "vector(1)"}),
    "a guard beside a ratio": (
        rule_gates.always_true,
        {"alert": "A", "expr": "max by (job) (up == 0) and on (job) job:up:count"},
    ),
    "an alert that waits": (rule_gates.at_once, {"alert": "A", "expr": "up == 0", "for": "2m"}),
    "a number beside a vector": (rule_gates.never_matching, {"alert": "A", "expr": "sum(up) > 2 * 3"}),
    "a bound": (rule_gates.between_bounds, {"alert": "A", "expr": QUANTILE % 0.5}),
}


@pytest.mark.parametrize(("gate", "rule"), SOUND.values(), ids=SOUND)
def test_what_is_sound_is_left_alone(
    gate: Callable[[Rules], Iterator[str]], rule: Json, one_rule: Callable[..., Rules]
) -> None:
    assert list(gate(one_rule(rule))) == []


def test_a_rate_of_a_recording_is_found(one_rule: Callable[..., Rules]) -> None:
    found = one_rule({"alert": "A", "expr": f"rate({SUM['record']}[5m]) > 1"}, SUM)
    assert "rate() of the recording job:claw_ai_http_requests:rate5m" in "".join(
        rule_gates.rates_of_sums(found)
    )


def test_a_window_over_a_recording_is_measured_by_the_interval_of_its_group() -> None:
    groups = [
        {"name": "slow", "interval": "1m", "rules": [SUM]},
        {"name": "alerts", "rules": [{"alert": "A", "expr": f"deriv({SUM['record']}[2m]) > 1"}]},
    ]
    found = gathered({"prometheus/rules/few.yml": {"groups": groups}}, {}, "")
    assert "at least 0:04:00" in "".join(rule_gates.short_windows(found))


def test_a_label_that_inhibition_compares_and_the_result_has_lost_is_found(
    one_rule: Callable[..., Rules],
) -> None:
    found = one_rule({"alert": "A", "expr": "sum by (job) (up) == 0"}, promised={"A": ["job", "host"]})
    assert list(rule_gates.broken_promises(found)) == [
        "prometheus/rules/few.yml: A: promises host, but its result has job, severity"
    ]


def test_a_recording_under_two_names_is_found(one_rule: Callable[..., Rules]) -> None:
    again = SUM | {"record": "job:claw_ai_http_requests:rate300s"}
    (finding,) = rule_gates.duplicates(one_rule({"alert": "A", "expr": "up == 0"}, SUM, again))
    assert "the same as prometheus/rules/few.yml: job:claw_ai_http_requests:rate5m" in finding


def test_a_recording_that_nobody_reads_is_found(one_rule: Callable[..., Rules]) -> None:
    (finding,) = rule_gates.unread(one_rule({"alert": "A", "expr": "up == 0"}, SUM))
    assert finding.startswith("job:claw_ai_http_requests:rate5m is recorded, but read by no")
    assert list(rule_gates.unread(one_rule({"alert": "A", "expr": f"{SUM['record']} > 1"}, SUM))) == []
