"""The compose file: accepted by the real program, and in agreement with what stands around it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    ComposeConfig = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = ("GRAFANA_ADMIN_USER", "GRAFANA_ROOT_URL")
DOCUMENT_4 = {
    "grafana",
    "loki",
    "nginx",
    "node-exporter",
    "postgres",
    "postgres-exporter",
    "prometheus",
    "promtail",
    "redis",
    "redis-exporter",
}

# Services of which nothing is configured by a file of ours.
NO_FOLDER = {
    "alloy": "runs promtail/promtail-config.yml",
    "cadvisor": "has flags only",
    "claw-ai-backend": "its source is examples/chat: a user's application has its own name",
    "load": "the same",
    "model-server": "the same",
    "nginx-exporter": "has flags only",
    "node-exporter": "has flags only",
    "postgres-exporter": "has variables only",
    "redis-exporter": "has variables only",
}

# Folders at the root that no service is named after.
NO_SERVICE = {
    "bench": "measures, runs nowhere",
    "clickhouse": "tables and statements of the hub",
    "compose": "what operators type",
    "docs": "for people",
    "examples": "applications, not the stack",
    "hub": "not in the stack yet",
    "jsonnet": "writes into the service folders",
    "native": "the stack without Docker",
    "preview": "dashboards where there is no Grafana",
    "requirements": "locked packages",
    "secrets": "mounted file by file",
    "tests": "for developers",
}

# Scrape jobs that are no service, and services that are no scrape job.
NOT_A_SERVICE = {
    "apps": "its targets name the job themselves",
    "hosts": "the same, for further machines",
    "log-shipper": "promtail or alloy, whichever runs",
    "probes": "what the blackbox exporter looks at",
}
NOT_SCRAPED = {
    "alloy": "as log-shipper",
    "claw-ai-backend": "is a target of the job apps",
    "docker-proxy": "shows no metrics; cadvisor and the log shipper fail without it",
    "load": "shows no metrics; only makes traffic",
    "model-server": "shows no metrics; the application measures it",
    "nginx": "through nginx-exporter",
    "postgres": "through postgres-exporter",
    "promtail": "as log-shipper",
    "redis": "through redis-exporter",
}


def test_every_service_of_requirement_document_4_is_there(services: dict[str, Any]) -> None:
    assert set(services) >= DOCUMENT_4


@pytest.mark.parametrize(
    ("profiles", "optional"),
    [
        ("", set()),
        ("promtail", {"promtail"}),
        ("alloy", {"alloy"}),
        ("promtail,example", {"promtail", "claw-ai-backend", "load", "model-server"}),
    ],
)
def test_compose_profiles_chooses_what_runs(
    compose_config: ComposeConfig, tmp_path: Path, profiles: str, optional: set[str]
) -> None:
    example = (ROOT / ".env.prod.example").read_text()
    settings = tmp_path / "env"
    settings.write_text(re.sub("(?<=^COMPOSE_PROFILES=).*", profiles, example, flags=re.MULTILINE))

    done = compose_config(settings, "--services", profile=None)

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        set(done.stdout.split()) & {"promtail", "alloy", "claw-ai-backend", "load", "model-server"}
        == optional
    )


def test_compose_accepts_the_whole_file_without_a_word(compose_config: ComposeConfig) -> None:
    done = compose_config(ROOT / ".env.prod.example", "--quiet")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("line", ["", "{name}="], ids=["missing", "empty"])
def test_a_missing_setting_is_named_with_what_to_do(
    compose_config: ComposeConfig, tmp_path: Path, name: str, line: str
) -> None:
    example = (ROOT / ".env.prod.example").read_text()
    settings = tmp_path / "env"
    settings.write_text(re.sub(f"^{name}=.*", line.format(name=name), example, flags=re.MULTILINE))

    done = compose_config(settings, "--quiet")

    assert done.returncode != 0
    assert f"required variable {name} is missing a value" in done.stderr
    assert ".env.prod" in done.stderr.split("missing a value")[1]


def test_a_misspelt_key_is_refused(tools: Path, tmp_path: Path) -> None:
    # What makes the tests above worth something.
    broken = (ROOT / "docker-compose.prod.yml").read_text().replace("read_only: true", "readonly: true", 1)
    (tmp_path / "compose.yml").write_text(broken)
    done = subprocess.run(
        [tools / "docker-compose", "--env-file", ROOT / ".env.prod.example", "-f", "compose.yml", "config"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "readonly" in done.stderr


def test_no_variable_is_used_without_a_default_unless_it_must_be_set() -> None:
    text = (ROOT / "docker-compose.prod.yml").read_text()

    assert set(re.findall(r"(?<!\$)\$\{(\w+)(?:\}|:?\?)", text)) == set(REQUIRED)


def test_folders_and_services_have_the_same_names(services: dict[str, Any]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in listed if "/" in name and not name.startswith(".")}

    assert set(services) - folders == set(NO_FOLDER)
    assert folders - set(services) == set(NO_SERVICE)


def test_services_and_scrape_jobs_have_the_same_names(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"] for job in config["scrape_configs"]}

    assert jobs - set(services) == set(NOT_A_SERVICE)
    assert set(services) - jobs == set(NOT_SCRAPED)


def test_both_log_shippers_answer_to_the_name_and_port_that_prometheus_asks(services: dict[str, Any]) -> None:
    (entry,) = yaml.safe_load((ROOT / "prometheus" / "targets" / "log-shipper.yml").read_text())
    promtail = yaml.safe_load((ROOT / "promtail" / "promtail-config.yml").read_text())
    named = {
        name
        for name, service in services.items()
        for network in (service.get("networks") or {}).values()
        if "log-shipper" in (network or {}).get("aliases", [])
    }

    assert named == {"promtail", "alloy"}
    assert entry["targets"] == [f"log-shipper:{promtail['server']['http_listen_port']}"]
    assert "--server.http.listen-addr=0.0.0.0:9080" in services["alloy"]["command"]


def test_the_host_name_of_a_container_is_its_service(services: dict[str, Any]) -> None:
    named = {"container_name", "hostname"}

    assert {name for name, service in services.items() if named & set(service)} == set()


def test_every_mounted_file_exists(services: dict[str, Any]) -> None:
    sources = {
        Path(volume["source"])
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind" and Path(volume["source"]).is_relative_to(ROOT)
    }

    assert sources
    made_by_commands = {ROOT / "secrets" / "tls", ROOT / "secrets" / "notify", ROOT / "backups" / "metrics"}
    assert {path for path in sources if not path.exists()} <= made_by_commands


@pytest.mark.parametrize("door", ["http", "https"])
def test_each_public_door_is_a_file(door: str) -> None:
    assert (ROOT / "nginx" / "doors" / f"{door}.conf").is_file()


def test_every_built_image_has_its_dockerfile(services: dict[str, Any]) -> None:
    built = [service["build"] for service in services.values() if "build" in service]

    assert built
    for build in built:
        assert (Path(build["context"]) / build.get("dockerfile", "Dockerfile")).is_file()


def test_every_secret_is_used_and_every_used_secret_exists(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    used = {secret["source"] for service in services.values() for secret in service.get("secrets", [])}

    assert used == set(compose["secrets"])
    assert {Path(secret["file"]).parent for secret in compose["secrets"].values()} == {ROOT / "secrets"}


def test_alertmanager_gets_every_secret_that_its_routes_name(services: dict[str, Any]) -> None:
    service = services["alertmanager"]
    routes = (ROOT / "alertmanager" / "alertmanager.yml").read_text()
    named = set(re.findall(r'_file: "?([^"\s]+)', routes))
    targets = {secret["target"] for secret in service["secrets"]}

    assert {f"{service['working_dir']}/{name}" for name in named} == targets


def test_every_secret_file_that_a_variable_names_is_handed_over(services: dict[str, Any]) -> None:
    for name, service in services.items():
        given = {secret["target"] for secret in service.get("secrets", [])}
        text = str([service.get("environment"), service.get("command"), service.get("healthcheck")])
        assert set(re.findall(r"/run/secrets/[\w.]+", text)) <= given, name


def test_no_variable_of_a_container_holds_a_password(services: dict[str, Any]) -> None:
    found = {
        (name, variable)
        for name, service in services.items()
        for variable in service.get("environment") or {}
        if re.search("PASS|SECRET|TOKEN|KEY", variable) and not variable.endswith("_FILE")
    }

    assert found == set()


def test_grafana_lives_under_one_path(services: dict[str, Any]) -> None:
    environment = services["grafana"]["environment"]

    assert environment["GF_SERVER_SERVE_FROM_SUB_PATH"] == "true"
    assert environment["GF_SERVER_ROOT_URL"].endswith("/grafana")


def test_the_home_dashboard_of_grafana_exists(services: dict[str, Any]) -> None:
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert (ROOT / home.removeprefix("/etc/")).is_file()


def test_every_variable_of_the_example_application_is_one_it_knows(services: dict[str, Any]) -> None:
    from claw_chat.settings import Settings, variable  # noqa: PLC0415 - only here

    known = {variable(entry) for entry in dataclasses.fields(Settings)}
    service = services["claw-ai-backend"]
    given = set(re.findall(r"CLAW_CHAT_\w+", str([service["environment"], service["command"]])))

    assert given <= known
    assert {name for name in known if name.endswith("_URL")} <= given


def test_every_variable_of_the_exporter_is_one_it_reads(services: dict[str, Any]) -> None:
    config = (ROOT / "exporter" / "exporter.yml").read_text()
    read = set(re.findall(r"\$\{(CLAW_EXPORTER_\w+)", config))
    command_line = {"CLAW_EXPORTER_CONFIG", "CLAW_EXPORTER_HOST", "CLAW_EXPORTER_PORT"}

    assert set(services["exporter"]["environment"]) <= read | command_line


def test_the_exporter_finds_its_configuration(services: dict[str, Any]) -> None:
    service = services["exporter"]
    (mount,) = service["volumes"]

    assert mount["target"] == service["environment"]["CLAW_EXPORTER_CONFIG"]


def test_what_goes_into_images_built_from_the_root_is_what_their_dockerfiles_copy() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    dockerfiles = [(ROOT / folder / "Dockerfile").read_text() for folder in ("examples/chat", "relay")]
    copied = [
        names
        for dockerfile in dockerfiles
        for names in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    ]

    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == {
        name for names in copied for name in names.split()
    }
