"""Reading the catalogue files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "jsonnet"))

from catalogue import Catalogue, Series, did_you_mean  # noqa: E402  # the path above must be there first


def load(tmp_path: Path, ours: dict[str, Any], vendors: dict[str, Any] | None = None) -> Catalogue:
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    (tmp_path / "vendors.json").write_text(json.dumps(vendors or {}))
    return Catalogue.load(tmp_path / "ours.json", tmp_path / "vendors.json")


def test_a_histogram_stands_for_its_three_series_and_not_for_its_own_name(tmp_path: Path) -> None:
    catalogue = load(tmp_path, {"wait_seconds": {"type": "histogram", "labels": ["pool"]}})
    bucket = catalogue.get("wait_seconds_bucket")
    assert bucket is not None
    assert bucket.labels == frozenset({"pool", "le", "job", "instance", "host"})
    assert bucket.type == "counter"
    assert catalogue.get("wait_seconds_count")
    assert catalogue.get("wait_seconds_sum")
    assert catalogue.get("wait_seconds") is None


def test_a_summary_has_quantiles_under_its_own_name(tmp_path: Path) -> None:
    summary = load(tmp_path, {}, {"gc_seconds": {"type": "summary", "labels": [], "source": "x"}}).get(
        "gc_seconds"
    )
    assert summary is not None
    assert summary.labels is not None
    assert "quantile" in summary.labels
    assert summary.type == "gauge"


def test_probes_carry_the_labels_that_relabelling_adds(tmp_path: Path) -> None:
    entry = {"type": "gauge", "labels": [], "source": "blackbox-exporter"}
    probe = load(tmp_path, {}, {"probe_success": entry}).get("probe_success")
    assert probe is not None
    assert probe.labels is not None
    assert {"module", "target"} <= probe.labels


def test_what_prometheus_makes_itself_is_known(tmp_path: Path) -> None:
    assert load(tmp_path, {}).get("up") == Series("gauge", frozenset({"job", "instance", "host"}))


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "gauge", "labels": "job"},
        {"type": "gauge", "labels": [1]},
        {"type": "gauge", "labels": [], "values": ["ok"]},
    ],
)
def test_a_malformed_entry_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        load(tmp_path, {"broken": entry})


def test_only_a_similar_word_is_suggested() -> None:
    assert did_you_mean("endpont", ["endpoint", "job"]) == "; did you mean endpoint?"
    assert did_you_mean("xyz", ["endpoint", "job"]) == ""


def test_every_vendor_metric_says_where_it_comes_from() -> None:
    entries = json.loads((ROOT / "jsonnet/vendor-metrics.json").read_text())
    assert all(entry["source"] for entry in entries.values())
    assert not [name for name in entries if name.startswith("claw_ai_")]


def test_what_is_kept_by_hand_says_why() -> None:
    entries = json.loads((ROOT / "jsonnet/vendor-metrics.json").read_text())
    by_hand = {name: entry for name, entry in entries.items() if "reason" in entry}
    assert by_hand
    assert all(len(entry["reason"]) > 20 for entry in by_hand.values())
