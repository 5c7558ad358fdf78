"""jsonnet/config.libsonnet agrees with what it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_jsonnet.evaluate_file(str(ROOT / "jsonnet/config.libsonnet")))
    return loaded


@pytest.fixture(scope="module")
def prometheus() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    return loaded


def test_the_intervals_are_those_of_prometheus(config: dict[str, Any], prometheus: dict[str, Any]) -> None:
    assert config["intervals"]["scrape"] == prometheus["global"]["scrape_interval"]
    assert config["intervals"]["evaluation"] == prometheus["global"]["evaluation_interval"]


def test_the_limit_of_samples_is_that_of_prometheus(
    config: dict[str, Any], prometheus: dict[str, Any]
) -> None:
    assert config["sample_limit"] == prometheus["global"]["sample_limit"]


def test_every_expected_target_belongs_to_a_job_that_is_scraped(
    config: dict[str, Any], prometheus: dict[str, Any]
) -> None:
    jobs = {job["job_name"] for job in prometheus["scrape_configs"]}
    assert set(config["expected_targets"]) <= jobs


def test_every_warning_threshold_lies_before_its_critical_one(config: dict[str, Any]) -> None:
    pairs = {name: pair for name, pair in config["thresholds"].items() if isinstance(pair, dict)}
    falling = {name for name, pair in pairs.items() if pair["warning"] > pair["critical"]}
    assert falling == {"disk_free_ratio", "certificate_left_seconds"}  # the less is left, the worse


@pytest.mark.parametrize(
    ("threshold", "metric"),
    [
        ("http_p95_seconds", "claw_ai_http_request_duration_seconds"),
        ("ai_p95_seconds", "claw_ai_ai_response_duration_seconds"),
        ("first_token_p95_seconds", "claw_ai_ai_time_to_first_token_seconds"),
    ],
)
def test_every_threshold_of_a_quantile_is_a_bucket_bound(
    config: dict[str, Any], threshold: str, metric: str
) -> None:
    buckets = json.loads((ROOT / "exporter/metrics.json").read_text(encoding="utf-8"))[metric]["buckets"]
    assert set(config["thresholds"][threshold].values()) <= set(buckets)
