"""The files that requirement document 4 names are where it says."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT_4 = (
    ".env.prod.example",
    "docker-compose.prod.yml",
    "docs/MONITORING_DEPLOYMENT.md",
    "docs/MONITORING_METRICS.md",
    "docs/MONITORING_QUICKSTART.md",
    "grafana/dashboards/claw-ai-overview.json",
    "grafana/dashboards/claw-ai-performance.json",
    "grafana/dashboards/claw-ai-resources.json",
    "grafana/provisioning/dashboards/dashboard.yml",
    "grafana/provisioning/datasources/loki.yml",
    "grafana/provisioning/datasources/prometheus.yml",
    "loki/loki-config.yml",
    "prometheus/prometheus.yml",
    "promtail/promtail-config.yml",
)


@pytest.mark.parametrize("name", DOCUMENT_4)
def test_the_file_exists(name: str) -> None:
    assert (ROOT / name).is_file()
