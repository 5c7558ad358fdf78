"""The services and the configuration of a stack that is drilled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from claw_exporter.settings import load
from claw_native.drills.configuration import (
    APP,
    NOT_NEEDED,
    QUEUE,
    DrillConfiguration,
    drill_services,
)
from claw_native.drills.shrink import Shrink
from claw_native.stack import SERVICES

if TYPE_CHECKING:
    from pathlib import Path

    from claw_native.settings import Settings

TEN = Shrink(10)


def test_what_nobody_looks_at_does_not_run() -> None:
    names = [service.name for service in drill_services(TEN)]
    assert names == [service.name for service in SERVICES if service.name not in NOT_NEEDED]


def test_flags_about_time_replace_those_of_the_demo(native_settings: Settings) -> None:
    (prometheus,) = (service for service in drill_services(TEN) if service.name == "prometheus")
    words = prometheus.command(native_settings)
    assert [word for word in words if "auto-reload-interval" in word] == ["--config.auto-reload-interval=1s"]
    assert "--rules.alert.resend-delay=6s" in words
    assert any(word.startswith("--storage.tsdb.path=") for word in words)


def test_only_the_drilled_application_may_be_broken(native_settings: Settings) -> None:
    (app,) = (service for service in drill_services(TEN) if service.name == APP)
    assert app.environment(native_settings)["CLAW_CHAT_FAULTS"] == "on"
    (demo,) = (service for service in SERVICES if service.name == APP)
    assert "CLAW_CHAT_FAULTS" not in demo.environment(native_settings)


def test_the_configuration_is_written_with_less_time_again_and_again(
    tools: Path, tmp_path: Path, native_settings: Settings
) -> None:
    assert tools.is_dir()
    settings = replace(native_settings, run_dir=tmp_path)
    for _ in range(2):
        DrillConfiguration(TEN)(settings, drill_services(TEN))
    prometheus = yaml.safe_load((tmp_path / "etc/prometheus/prometheus.yml").read_text())
    assert prometheus["global"]["scrape_interval"] == "1500ms"
    alertmanager = yaml.safe_load((tmp_path / "etc/alertmanager/alertmanager.yml").read_text())
    assert alertmanager["route"]["group_wait"] == "3s"
    assert (settings.repository / "prometheus/prometheus.yml").read_text().count("1500ms") == 0


def test_the_exporter_probes_oftener_and_counts_a_queue(
    tools: Path, tmp_path: Path, native_settings: Settings
) -> None:
    assert tools.is_dir()
    settings = replace(native_settings, run_dir=tmp_path)
    DrillConfiguration(TEN)(settings, drill_services(TEN))
    read = load(tmp_path / "etc" / "exporter.yml", {"CLAW_EXPORTER_POSTGRES_DSN": "postgresql://x/y"})
    (redis,) = read.redis
    assert redis.interval_seconds == 1.5
    assert [queue.name for queue in redis.queues] == [QUEUE]
