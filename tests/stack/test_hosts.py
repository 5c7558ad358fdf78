"""docker-compose.host.yml: a further machine runs what the main one runs, on its private address only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    ComposeConfig = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
FILE = "docker-compose.host.yml"
EXAMPLE = ROOT / ".env.host.example"
REQUIRED = ("CLAW_HOST_NAME", "CLAW_HOST_ADDRESS", "CLAW_HOST_DOOR_URL")
ADDRESS = "10.8.0.2"
ALWAYS = {"blackbox-exporter", "cadvisor", "docker-proxy", "node-exporter"}

# What a service has otherwise than on the main machine, and why.
SHIPPER = {
    "command": "runs the configuration that host.sh made",
    "depends_on": "Loki is elsewhere",
    "entrypoint": "host.sh",
    "environment": "what host.sh puts into the configuration",
    "networks": "needs no other name there",
    "ports": "Prometheus is elsewhere",
    "secrets": "what the door asks for",
    "volumes": "host.sh",
}
DIFFERENT = {
    "alloy": SHIPPER,
    "blackbox-exporter": {"networks": "there is no door here", "ports": "Prometheus is elsewhere"},
    "cadvisor": {"ports": "Prometheus is elsewhere"},
    "docker-proxy": {},
    "node-exporter": {
        "command": "listens on the private address; no backups are made here",
        "extra_hosts": "the same",
        "healthcheck": "the same",
        "volumes": "no backups are made here",
    },
    "promtail": SHIPPER | {"tmpfs": "where host.sh writes"},
}


@pytest.mark.parametrize("profile", ["", "promtail", "alloy"])
def test_compose_accepts_the_file_with_each_profile(
    compose_config: ComposeConfig, tmp_path: Path, profile: str
) -> None:
    settings = tmp_path / "env"
    settings.write_text(re.sub("(?<=^COMPOSE_PROFILES=).*", profile, EXAMPLE.read_text(), flags=re.MULTILINE))

    quiet = compose_config(settings, "--quiet", profile=None, file=FILE)
    listed = compose_config(settings, "--services", profile=None, file=FILE)

    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert set(listed.stdout.split()) == ALWAYS | ({profile} if profile else set())


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("line", ["", "{name}="], ids=["missing", "empty"])
def test_a_missing_setting_is_named_with_what_to_do(
    compose_config: ComposeConfig, tmp_path: Path, name: str, line: str
) -> None:
    settings = tmp_path / "env"
    text = re.sub(f"^{name}=.*", line.format(name=name), EXAMPLE.read_text(), flags=re.MULTILINE)
    settings.write_text(text)

    done = compose_config(settings, "--quiet", file=FILE)

    assert done.returncode != 0
    assert f"required variable {name} is missing a value" in done.stderr
    assert ".env.host" in done.stderr.split("missing a value")[1]


def test_a_service_is_the_one_of_the_main_machine_but_for_what_has_a_reason(
    host: dict[str, Any], services: dict[str, Any]
) -> None:
    assert set(host["services"]) == set(DIFFERENT)
    for name, service in host["services"].items():
        main = services[name]
        keys = {key for key in service.keys() | main.keys() if service.get(key) != main.get(key)}
        assert keys == set(DIFFERENT[name]), name


def test_a_shipper_runs_the_command_of_the_main_machine_over_what_was_made_for_it(
    host: dict[str, Any], services: dict[str, Any]
) -> None:
    for name in ("promtail", "alloy"):
        moved = [word.replace("/tmp/", "/etc/promtail/") for word in host["services"][name]["command"]]  # noqa: S108
        assert moved == services[name]["command"]


def test_what_a_shipper_reads_is_there_as_on_the_main_machine(
    host: dict[str, Any], services: dict[str, Any]
) -> None:
    for name in ("promtail", "alloy"):
        own = {volume["target"] for volume in host["services"][name]["volumes"]}
        assert own - {volume["target"] for volume in services[name]["volumes"]} == {"/etc/promtail/host.sh"}
        assert {volume["target"] for volume in services[name]["volumes"]} <= own


def test_everything_listens_on_the_private_address_only(host: dict[str, Any]) -> None:
    ports = {
        name: [(port["host_ip"], port["published"]) for port in service.get("ports", [])]
        for name, service in host["services"].items()
    }
    flags = [word for word in host["services"]["node-exporter"]["command"] if "listen" in word]

    assert ports == {
        "alloy": [(ADDRESS, "9080")],
        "blackbox-exporter": [(ADDRESS, "9115")],
        "cadvisor": [(ADDRESS, "9180")],
        "docker-proxy": [],
        "node-exporter": [],
        "promtail": [(ADDRESS, "9080")],
    }
    assert flags == [f"--web.listen-address={ADDRESS}:9100"]
    assert f"http://{ADDRESS}:9100/" in host["services"]["node-exporter"]["healthcheck"]["test"]


def test_prometheus_asks_where_they_listen(host: dict[str, Any]) -> None:
    listening = {
        port["published"]: name
        for name, service in host["services"].items()
        for port in service.get("ports", [])
    }
    names = listening | {"9100": "node-exporter", "9080": "log-shipper"}
    example = ROOT / "prometheus" / "targets" / "hosts" / "web-2.yml.example"
    entries = yaml.safe_load(example.read_text())

    assert {target for entry in entries for target in entry["targets"]} == {
        f"{ADDRESS}:{port}" for port in names
    }
    for entry in entries:
        (target,) = entry["targets"]
        assert entry["labels"] == {"job": names[target.split(":")[1]], "host": "web-2"}


def test_only_those_who_must_can_ask_docker(host: dict[str, Any]) -> None:
    members = {
        network: {
            name for name, service in host["services"].items() if network in (service.get("networks") or {})
        }
        for network in host["networks"]
    }

    assert members["docker-api"] == {"alloy", "cadvisor", "docker-proxy", "promtail"}
    assert members["monitoring"] == {"alloy", "blackbox-exporter", "cadvisor", "promtail"}
    assert host["networks"]["docker-api"]["internal"]


def test_every_mounted_file_exists(host: dict[str, Any]) -> None:
    sources = {
        Path(volume["source"])
        for service in host["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind" and Path(volume["source"]).is_relative_to(ROOT)
    }

    assert sources
    assert {path for path in sources if not path.exists()} == set()


class Shipper:
    """host.sh in a folder of its own, over the committed configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("etc/promtail", "run/secrets", "tmp"):
            (folder / name).mkdir(parents=True)
        text = (ROOT / "promtail" / "host.sh").read_text()
        text, count = re.subn("/(?:etc/promtail|run/secrets|tmp)/", lambda path: f"{folder}{path[0]}", text)
        assert count == 4
        (folder / "host.sh").write_text(text)
        self.source = folder / "etc/promtail/promtail-config.yml"
        self.source.write_text((ROOT / "promtail" / "promtail-config.yml").read_text())
        self.password = folder / "run/secrets/host_push_password"
        self.password.write_text("hunter2\n")
        self.certificate = folder / "run/secrets/host_door_ca"
        self.certificate.symlink_to("/dev/null")

    def start(self, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "CLAW_HOST_ADDRESS": "10.8.0.2",
            "CLAW_HOST_NAME": "web-2",
            "CLAW_HOST_DOOR_URL": "https://monitoring.example.com",
            **settings,
        }
        command: list[str | Path] = [
            "bash",
            self.folder / "host.sh",
            "echo",
            "-config.file=x",
            "$HOME & more",
        ]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def made(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.folder / "tmp/promtail-config.yml").read_text())
        return found


@pytest.fixture
def shipper(tmp_path: Path) -> Shipper:
    return Shipper(tmp_path)


def test_a_further_machine_ships_by_its_own_name_through_the_door(shipper: Shipper) -> None:
    done = shipper.start()

    assert (done.returncode, done.stdout, done.stderr) == (0, "-config.file=x $HOME & more\n", "")
    (client,) = shipper.made()["clients"]
    assert (client["url"], client["external_labels"]) == (
        "https://monitoring.example.com/loki/api/v1/push",
        {"host": "web-2"},
    )
    assert client["basic_auth"] == {"username": "web-2", "password_file": str(shipper.password)}
    assert "tls_config" not in client


def test_nothing_else_of_the_configuration_is_changed(shipper: Shipper) -> None:
    shipper.start()
    lines = set((shipper.folder / "tmp/promtail-config.yml").read_text().splitlines())
    committed = shipper.source.read_text().splitlines()
    made = shipper.made()
    made["clients"] = yaml.safe_load(shipper.source.read_text())["clients"]

    assert [line for line in committed if line not in lines] == [
        "  - url: http://loki:3100/loki/api/v1/push",
        "      host: main",
    ]
    assert made == yaml.safe_load(shipper.source.read_text())


def test_the_certificate_of_a_trial_is_trusted_when_it_is_named(shipper: Shipper) -> None:
    shipper.certificate.unlink()
    shipper.certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    shipper.start()

    assert shipper.made()["clients"][0]["tls_config"] == {"ca_file": str(shipper.certificate)}


def test_a_name_of_digits_stays_a_name(shipper: Shipper) -> None:
    shipper.start(CLAW_HOST_NAME="0123")

    (client,) = shipper.made()["clients"]
    assert (client["basic_auth"]["username"], client["external_labels"]) == ("0123", {"host": "0123"})


@pytest.mark.parametrize("name", ["main", "Web", "web 2", "web-", "-web", "web'2", "web:2", ""])
def test_a_name_that_is_none_or_that_of_the_main_machine_is_refused(shipper: Shipper, name: str) -> None:
    done = shipper.start(CLAW_HOST_NAME=name)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"CLAW_HOST_NAME is '{name}'" in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "http://monitoring.example.com",
        "https://m.example.com/",
        "https://m/grafana",
        "m.example.com",
        "https://a b",
    ],
)
def test_a_door_without_tls_or_with_a_path_is_refused(shipper: Shipper, url: str) -> None:
    done = shipper.start(CLAW_HOST_DOOR_URL=url)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"CLAW_HOST_DOOR_URL is '{url}'" in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "[::]"])  # noqa: S104 - what is refused
def test_every_address_at_once_is_refused(shipper: Shipper, address: str) -> None:
    done = shipper.start(CLAW_HOST_ADDRESS=address)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"CLAW_HOST_ADDRESS is '{address}'" in done.stderr


def test_an_empty_password_is_refused(shipper: Shipper) -> None:
    shipper.password.write_text("")
    done = shipper.start()

    assert done.returncode == 2
    assert "secrets/host_push_password is empty" in done.stderr


def test_a_configuration_that_it_does_not_know_is_refused(shipper: Shipper) -> None:
    shipper.source.write_text(shipper.source.read_text().replace("host: main", "host: first"))
    done = shipper.start()

    assert done.returncode == 2
    assert "promtail-config.yml no longer has the lines" in done.stderr


def test_the_paths_of_the_script_are_those_of_the_container(host: dict[str, Any]) -> None:
    script = (ROOT / "promtail" / "host.sh").read_text()
    for name in ("promtail", "alloy"):
        service = host["services"][name]
        given = {secret["target"] for secret in service["secrets"]}
        mounted = {volume["target"] for volume in service["volumes"]}
        assert given == set(re.findall(r"/run/secrets/\w+", script))
        assert set(re.findall(r"/etc/promtail/[\w.-]+", script)) <= mounted
        assert set(re.findall(r"CLAW_HOST_[A-Z_]+", script)) == set(service["environment"]) - {"TZ"}


def test_log_files_are_read_as_on_the_main_machine(host: dict[str, Any], services: dict[str, Any]) -> None:
    for name in ("promtail", "alloy"):
        zones = {found[name]["environment"]["TZ"] for found in (host["services"], services)}
        assert len(zones) == 1


def documented(*words: str) -> str:
    """The shell commands of the section Further hosts in which these words stand."""
    page = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
    section = page.split("\n## Further hosts\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if all(word in block for word in words)]
    return str(block)


def typed(block: str, folder: Path) -> str:
    command = ["bash", "-eu", "-c", block]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_documented_commands_make_the_files_of_a_further_machine(tmp_path: Path) -> None:
    targets = tmp_path / "prometheus" / "targets"
    shutil.copytree(ROOT / "prometheus" / "targets", targets)
    (tmp_path / "secrets").mkdir()
    block = documented("web-2.yml.example").replace(
        "name=web-2 address=10.8.0.2", "name=db-1 address=10.9.0.7"
    )
    typed(block.replace("door=https://monitoring.example.com", "door=https://m.example.org"), tmp_path)

    hosts = yaml.safe_load((targets / "hosts" / "db-1.yml").read_text())
    probes = yaml.safe_load((targets / "probes" / "db-1.yml").read_text())
    assert {entry["labels"]["host"] for entry in hosts} == {"db-1"}
    assert {target.split(":")[0] for entry in hosts for target in entry["targets"]} == {"10.9.0.7"}
    assert [(*entry["targets"], entry["labels"]["prober"], entry["labels"]["host"]) for entry in probes] == [
        ("10.9.0.7", "blackbox-exporter:9115", "db-1"),
        ("10.9.0.7:9100", "blackbox-exporter:9115", "db-1"),
        ("10.8.0.1", "10.9.0.7:9115", "main"),
        ("https://m.example.org/healthz", "10.9.0.7:9115", "main"),
    ]


def test_the_documented_commands_make_a_password_and_the_line_that_admits_it(tmp_path: Path) -> None:
    (tmp_path / ".env.host.example").write_text("")
    typed(documented("cp .env.host.example"), tmp_path)
    line = typed(documented("openssl passwd"), tmp_path).strip()

    password = tmp_path / "secrets" / "host_push_password"
    assert (password.parent.stat().st_mode & 0o777, password.stat().st_mode & 0o777) == (0o700, 0o644)
    user, _, hashed = line.partition(":")
    again = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", hashed.split("$")[2], "-stdin"],
        input=password.read_text(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert (user, again.stdout.strip()) == ("web-2", hashed)
