"""What is written for one run: targets, webhook addresses, the optional services' configuration."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from claw_native import optional
from claw_native.absent import ABSENT_JOBS
from claw_native.errors import NativeError
from claw_native.optional import OPTIONAL
from claw_native.settings import REPOSITORY, Settings
from claw_native.stack import SERVICES, available_services, services_named
from claw_native.targets import write_configuration

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(run_dir=tmp_path / "run")


def read(path: Path) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(path.read_text())


def test_every_scrape_job_of_prometheus_has_a_service_or_a_reason() -> None:
    jobs = {job["job_name"] for job in read(REPOSITORY / "prometheus" / "prometheus.yml")["scrape_configs"]}
    scraped = {service.name for service in SERVICES if service.metrics}
    assert jobs - {"apps"} == (scraped - {"claw-ai-backend"}) | ABSENT_JOBS.keys()


def test_each_scraped_service_has_a_target_file(settings: Settings) -> None:
    write_configuration(settings, SERVICES)
    folder = settings.etc_dir / "prometheus"
    (target,) = read(folder / "targets" / "redis-exporter.yml")
    assert target["targets"] == ["127.0.0.1:9121"]
    assert target["labels"].keys() == {"host"}
    (app,) = read(folder / "targets" / "apps" / "claw-ai-backend.yml")
    assert app["labels"]["job"] == "claw-ai-backend"
    assert (folder / "prometheus.yml").resolve() == REPOSITORY / "prometheus" / "prometheus.yml"
    assert (folder / "rules").resolve() == REPOSITORY / "prometheus" / "rules"


def test_a_service_whose_job_has_another_name_is_found_there(settings: Settings) -> None:
    write_configuration(settings, OPTIONAL)
    folder = settings.etc_dir / "prometheus" / "targets"
    assert read(folder / "log-shipper.yml")[0]["targets"] == ["127.0.0.1:9080"]
    assert not (folder / "promtail.yml").exists()


def test_a_second_start_keeps_the_users_targets_and_drops_what_does_not_run(settings: Settings) -> None:
    write_configuration(settings, (*SERVICES, *OPTIONAL))
    folder = settings.etc_dir / "prometheus" / "targets"
    assert read(folder / "grafana.yml")[0]["labels"]["__metrics_path__"] == "/grafana/metrics"
    (folder / "apps" / "shop.yml").write_text("[]")
    write_configuration(settings, SERVICES)
    assert (folder / "apps" / "shop.yml").exists()
    assert not (folder / "grafana.yml").exists()


def test_every_secret_of_alertmanager_is_the_receivers_address(settings: Settings) -> None:
    write_configuration(settings, SERVICES)
    folder = settings.etc_dir / "alertmanager"
    named = {
        (folder / webhook["url_file"]).read_text()
        for receiver in read(folder / "alertmanager.yml")["receivers"]
        for webhook in receiver.get("webhook_configs", ())
    }
    assert "http://127.0.0.1:9099/oncall" in named
    assert all(url.startswith("http://127.0.0.1:9099/") for url in named)


def test_a_demo_writes_no_mail_and_asks_no_bot(settings: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for folder in ("prometheus", "alertmanager", "relay"):
        shutil.copytree(REPOSITORY / folder, copy / folder)
    chosen = {
        "route": {"receiver": "oncall"},
        "receivers": [
            {"name": "oncall", "email_configs": [{"to": "a@b.c"}], "slack_configs": [{}, {}]},
            {"name": "team", "webhook_configs": [{"url": "http://relay:9811/wecom/team"}]},
            {"name": "null"},
        ],
    }
    (copy / "alertmanager" / "alertmanager.yml").write_text(yaml.safe_dump(chosen))
    bot = {"type": "wecom", "name": "team", "url_file": "secrets/notify/wecom_url"}
    (copy / "relay" / "relay.yml").write_text(yaml.safe_dump({"time_zone": "UTC", "channels": [bot]}))

    write_configuration(replace(settings, repository=copy), SERVICES)

    made = settings.etc_dir / "alertmanager"
    written = read(made / "alertmanager.yml")
    assert written["receivers"] == [
        *(
            {"name": name, "webhook_configs": [{"url_file": f"secrets/{name}", "send_resolved": True}]}
            for name in ("oncall", "team")
        ),
        {"name": "null"},
    ]
    assert (made / "secrets" / "team").read_text() == "http://127.0.0.1:9099/team"
    assert read(copy / "alertmanager" / "alertmanager.yml") == chosen
    relay = read(settings.etc_dir / "relay" / "relay.yml")
    assert relay == {"time_zone": "UTC", "channels": [], "heartbeats": []}


def test_a_missing_configuration_of_the_relay_says_how_to_make_it(settings: Settings, tmp_path: Path) -> None:
    for folder in ("prometheus", "alertmanager"):
        shutil.copytree(REPOSITORY / folder, tmp_path / "copy" / folder)
    with pytest.raises(NativeError, match=r"relay.yml' is missing; run 'make generate'"):
        write_configuration(replace(settings, repository=tmp_path / "copy"), SERVICES)


def test_a_missing_file_says_how_to_make_it(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NativeError, match=r"prometheus.yml' is missing; run 'make generate'"):
        write_configuration(replace(settings, repository=tmp_path), SERVICES)


def fake(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def test_an_optional_service_runs_where_its_program_is_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake(tmp_path, "loki", "a program about genes")
    assert available_services() == SERVICES
    fake(tmp_path, "loki", "loki, version 3.7.6 (branch: HEAD)")
    fake(tmp_path, "promtail", "broken")
    (tmp_path / "promtail").write_text("#!/bin/sh\nexit 1\n")
    fake(tmp_path, "grafana", "grafana version 13.2.3")
    assert {service.name for service in available_services()} == {
        *(service.name for service in SERVICES),
        "loki",
        "grafana",
    }
    assert [service.name for service in services_named(["grafana", "load"])] == ["load", "grafana"]


def test_an_optional_service_gets_this_machines_paths_and_ports(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "grafana"
    (home / "bin").mkdir(parents=True)
    (home / "conf").mkdir()
    (home / "conf" / "defaults.ini").touch()
    fake(home / "bin", "grafana", "")
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")
    for service in OPTIONAL:
        service.prepare(settings)
    assert OPTIONAL[2].command(settings)[1:] == ["server", "--homepath", str(home)]
    assert OPTIONAL[0].command(settings) == ["loki", f"-config.file={settings.etc_dir}/loki/loki-config.yml"]

    loki = read(settings.etc_dir / "loki" / "loki-config.yml")
    assert loki["common"]["path_prefix"] == str(settings.data_dir / "loki")
    assert loki["ruler"]["alertmanager_url"] == "http://127.0.0.1:9093"
    assert loki["server"]["http_listen_address"] == "127.0.0.1"

    promtail = read(settings.etc_dir / "promtail" / "promtail-config.yml")
    assert promtail["clients"][0]["url"] == "http://127.0.0.1:3100/loki/api/v1/push"
    (job,) = promtail["scrape_configs"]
    assert job["pipeline_stages"]
    labels = {entry["labels"]["service"]: entry["labels"]["__path__"] for entry in job["static_configs"]}
    assert {service.name for service in SERVICES} <= labels.keys()
    assert labels["load"] == str(settings.log_dir / "load.log")

    sources = read(settings.etc_dir / "grafana" / "datasources" / "prometheus.yml")
    assert sources["datasources"][0]["url"] == "http://127.0.0.1:9090"
    provider = read(settings.etc_dir / "grafana" / "dashboards" / "dashboard.yml")["providers"][0]
    assert provider["options"]["path"] == str(REPOSITORY / "grafana" / "dashboards")


def test_nothing_of_a_container_is_left_in_an_optional_configuration(settings: Settings) -> None:
    optional.write_loki(settings)
    optional.write_promtail(settings)
    optional.write_grafana(settings)
    for path in settings.etc_dir.rglob("*.yml"):
        text = path.read_text()
        for trace in ("http://loki", "http://prometheus", "http://alertmanager", "/etc/", "tcp://docker"):
            assert trace not in text, path
