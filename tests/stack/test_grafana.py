"""Grafana's provisioning: only keys that exist, addresses that exist, and what dashboards rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROVISIONING = ROOT / "grafana" / "provisioning"
SOURCES = [
    source
    for path in sorted((PROVISIONING / "datasources").glob("*.yml"))
    for source in yaml.safe_load(path.read_text())["datasources"]
]
PROVIDERS = yaml.safe_load((PROVISIONING / "dashboards" / "dashboard.yml").read_text())["providers"]

# Grafana passes over a key that it does not know, so a misspelt one would go unseen.
SOURCE_KEYS = {"access", "editable", "isDefault", "jsonData", "name", "type", "uid", "url"}
JSON_KEYS = {
    "alertmanager": {"handleGrafanaManagedAlerts", "implementation"},
    "loki": {"derivedFields", "maxLines"},
    "prometheus": {
        "exemplarTraceIdDestinations",
        "httpMethod",
        "prometheusType",
        "prometheusVersion",
        "timeInterval",
    },
}
DERIVED_KEYS = {"datasourceUid", "matcherRegex", "matcherType", "name", "url", "urlDisplayLabel"}
PROVIDER_KEYS = {
    "allowUiUpdates",
    "disableDeletion",
    "folder",
    "folderUid",
    "name",
    "options",
    "type",
    "updateIntervalSeconds",
}


@pytest.mark.parametrize("path", sorted(PROVISIONING.rglob("*.yml")), ids=lambda path: path.stem)
def test_a_provisioning_file_has_a_version_and_one_list(path: Path) -> None:
    document = yaml.safe_load(path.read_text())

    assert document["apiVersion"] == 1
    assert set(document) in ({"apiVersion", "prune", "datasources"}, {"apiVersion", "providers"})


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source["uid"])
def test_a_data_source_has_only_keys_that_exist(source: dict[str, Any]) -> None:
    assert set(source) - {"isDefault"} == SOURCE_KEYS - {"isDefault"}
    assert set(source["jsonData"]) <= JSON_KEYS[source["type"]]
    assert (source["access"], source["editable"]) == ("proxy", False)


def test_the_uids_that_dashboards_name_are_fixed() -> None:
    assert {source["uid"]: source["type"] for source in SOURCES} == {
        "alertmanager": "alertmanager",
        "loki": "loki",
        "prometheus": "prometheus",
    }
    assert [source["uid"] for source in SOURCES if source.get("isDefault")] == ["prometheus"]


def test_every_data_source_is_a_service_that_grafana_reaches(services: dict[str, Any]) -> None:
    ports = {"alertmanager": 9093, "loki": 3100, "prometheus": 9090}
    for source in SOURCES:
        assert source["url"] == f"http://{source['uid']}:{ports[source['uid']]}"
        assert set(services[source["uid"]]["networks"]) & set(services["grafana"]["networks"])
        assert [port["target"] for port in services[source["uid"]]["ports"]] == [ports[source["uid"]]]


def test_the_data_source_knows_the_scrape_interval_and_the_version(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    (settings,) = [source["jsonData"] for source in SOURCES if source["uid"] == "prometheus"]

    assert settings["timeInterval"] == config["global"]["scrape_interval"]
    assert services["prometheus"]["image"].endswith(f":v{settings['prometheusVersion']}")


def test_a_trace_id_leads_to_every_line_of_its_trace() -> None:
    (loki,) = [source for source in SOURCES if source["uid"] == "loki"]
    (derived,) = loki["jsonData"]["derivedFields"]
    pipeline = (ROOT / "promtail" / "promtail-config.yml").read_text()

    assert set(derived) == DERIVED_KEYS
    assert (derived["matcherType"], derived["matcherRegex"]) == ("label", "trace_id")
    assert "trace_id:" in pipeline.split("structured_metadata:")[1]
    # One dollar sign alone would be read as a variable of the environment.
    assert "$${__value.raw}" in derived["url"]


def test_an_exemplar_leads_to_every_line_of_its_trace() -> None:
    (prometheus,) = [source for source in SOURCES if source["uid"] == "prometheus"]
    (destination,) = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    uid, _, arguments = destination["url"].removeprefix("/d/").partition("?")
    logs = json.loads((ROOT / "grafana" / "dashboards" / f"{uid}.json").read_text())
    variables = {variable["name"] for variable in logs["templating"]["list"]}

    assert destination["name"] == "trace_id"
    assert {pair.partition("=")[0] for pair in arguments.split("&")} <= {f"var-{name}" for name in variables}
    assert arguments.replace("$$", "") == "var-job=%24__all&var-trace_id={__value.raw}"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider["name"])
def test_a_folder_of_dashboards_is_mounted_read_only(
    provider: dict[str, Any], services: dict[str, Any]
) -> None:
    mounts = {volume["target"]: volume for volume in services["grafana"]["volumes"]}
    mount = mounts[provider["options"]["path"]]

    assert set(provider) == PROVIDER_KEYS
    assert set(provider["options"]) == {"path"}
    assert mount["read_only"]
    assert Path(mount["source"]).is_dir()


def test_generated_dashboards_cannot_be_changed_and_your_own_can() -> None:
    assert {
        provider["name"]: (provider["allowUiUpdates"], provider["disableDeletion"]) for provider in PROVIDERS
    } == {"claw": (False, True), "custom": (True, True)}


def test_no_folder_of_dashboards_lies_in_another() -> None:
    # A provider walks its folder deeply; a dashboard found twice makes both refuse to write.
    paths = [Path(provider["options"]["path"]) for provider in PROVIDERS]

    assert not any(one != other and one.is_relative_to(other) for one in paths for other in paths)


def test_every_dashboard_is_classic_and_named_as_its_file() -> None:
    dashboards = [
        *sorted((ROOT / "grafana" / "dashboards").glob("*.json")),
        *(ROOT / "grafana" / "custom").glob("*.json"),
    ]

    assert dashboards
    for path in dashboards:
        document = json.loads(path.read_text())
        assert "spec" not in document, f"{path.name} is in the new format, which Grafana 13 refuses here"
        assert document["uid"] == path.stem
