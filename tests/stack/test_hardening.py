"""What keeps a container small: every service has it, or stands here with the reason why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]

# Users of images that set one themselves, from their Dockerfiles.
IMAGE_USER = {
    "alertmanager": 65534,
    "claw-ai-backend": 10800,
    "exporter": 10810,
    "grafana": 472,
    "load": 10800,
    "loki": 10001,
    "model-server": 10800,
    "nginx-exporter": 1001,
    "node-exporter": 65534,
    "postgres-exporter": 65534,
    "prometheus": 65534,
    "redis-exporter": 59000,
    "relay": 10811,
}
ROOT_USER = {
    "alloy": "its volume belongs to root, and the image supports no other user yet",
    "cadvisor": "reads the control groups and the storage of every container",
    "docker-proxy": "root owns Docker's socket",
    "promtail": "its volume belongs to root in the image",
}
NO_HEALTHCHECK = {
    "cadvisor": "the image brings its own",
    "load": "answers nobody; the application shows whether there is traffic",
    "nginx-exporter": "there is nothing but the program in the image; Prometheus sees whether it answers",
    "redis-exporter": "the same",
}
HOST_NAMESPACES = {"node-exporter": "measures the network and the processes of the machine"}
# Another container's network is lost for good when that container starts again.
SHARES_NETWORK_OF: dict[str, str] = {}
WRITABLE_MOUNTS: dict[str, str] = {}  # files of the machine that a container may change
MAY_ASK_DOCKER = {"alloy", "cadvisor", "docker-proxy", "promtail"}
HAS_DATA = {
    "claw-ai-backend",
    "exporter",
    "postgres",
    "postgres-exporter",
    "redis",
    "redis-exporter",
}


def lacking(services: Mapping[str, Any], key: str) -> set[str]:
    return {name for name, service in services.items() if not service.get(key)}


def test_every_root_file_system_is_read_only(running: dict[str, Any]) -> None:
    assert lacking(running, "read_only") == set()


def test_no_service_has_or_gains_a_capability(running: dict[str, Any]) -> None:
    for name, service in running.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"cap_add", "privileged", "devices"} & set(service), name


def test_every_user_is_known_and_root_has_a_reason(running: dict[str, Any]) -> None:
    declared = {name: service["user"] for name, service in running.items() if "user" in service}
    root = {name for name, user in declared.items() if user.startswith("0")}

    assert set(running) - set(declared) - set(IMAGE_USER) == set(ROOT_USER) & set(running) - root
    assert root <= set(ROOT_USER)
    assert not set(declared) & set(IMAGE_USER)
    assert 0 not in IMAGE_USER.values()


def test_our_own_images_run_as_the_user_of_their_dockerfile(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" in service:
            folder, file = service["build"]["context"], service["build"].get("dockerfile", "Dockerfile")
            users = re.findall(r"^USER (\d+)", (Path(folder) / file).read_text(), re.MULTILINE)
            assert users == [str(IMAGE_USER[name])], name


def test_every_service_has_limits(running: dict[str, Any]) -> None:
    for name, service in running.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name


def test_every_log_is_rotated(running: dict[str, Any]) -> None:
    for name, service in running.items():
        assert service["logging"]["driver"] == "json-file", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name


def test_every_service_starts_again_by_itself(running: dict[str, Any]) -> None:
    assert {service["restart"] for service in running.values()} == {"unless-stopped"}


def test_every_service_has_a_health_check(running: dict[str, Any]) -> None:
    assert lacking(running, "healthcheck") == set(NO_HEALTHCHECK) & set(running)


def test_every_image_is_pinned_to_one_version(running: dict[str, Any]) -> None:
    for name, service in running.items():
        assert re.fullmatch(r"[a-z0-9./_-]+:v?\d+\.\d+(\.\d+)?(-alpine)?", service["image"]), name


def test_the_documented_images_are_those_that_run(services: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "MONITORING_DEPLOYMENT.md").read_text()
    table = page.split("\n## What runs\n")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| ([a-z-]+) \| (\S+:\S+) \|", table, re.MULTILINE))

    assert documented == {name: service["image"] for name, service in services.items()}


def test_only_the_public_door_can_be_reached_from_outside(services: dict[str, Any]) -> None:
    outside = {
        name
        for name, service in services.items()
        for port in service.get("ports", [])
        if port.get("host_ip") != "127.0.0.1"
    }

    assert outside == {"nginx"}


def test_the_ports_of_two_services_do_not_collide(services: dict[str, Any]) -> None:
    published = [port["published"] for service in services.values() for port in service.get("ports", [])]

    assert len(published) == len(set(published))


def test_no_service_shares_a_namespace_without_a_reason(running: dict[str, Any]) -> None:
    modes = {name: service["network_mode"] for name, service in running.items() if "network_mode" in service}
    host = {name for name, service in running.items() if "host" in (service.get("pid"), service.get("ipc"))}

    assert {name for name, mode in modes.items() if mode == "host"} | host == set(HOST_NAMESPACES)
    assert {name: mode.removeprefix("service:") for name, mode in modes.items() if mode != "host"} == {
        name: other for name, other in SHARES_NETWORK_OF.items() if name in running
    }


def test_the_node_exporter_listens_on_no_address_that_others_reach(services: dict[str, Any]) -> None:
    exporter = services["node-exporter"]
    (address,) = [flag for flag in exporter["command"] if flag.startswith("--web.listen-address=")]

    assert address == "--web.listen-address=node-exporter:9100"
    assert exporter["extra_hosts"] == services["prometheus"]["extra_hosts"] == ["node-exporter=host-gateway"]


def test_files_of_the_machine_are_mounted_read_only(running: dict[str, Any]) -> None:
    writable = {
        name
        for name, service in running.items()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind" and not volume.get("read_only")
    }

    assert writable == set(WRITABLE_MOUNTS)


def test_only_the_proxy_has_the_socket_of_docker(running: dict[str, Any]) -> None:
    owners = {
        name
        for name, service in running.items()
        for volume in service.get("volumes", [])
        if volume["source"].endswith("docker.sock") or volume["source"] in {"/var/run", "/run"}
    }

    assert owners == {"docker-proxy"}


def test_networks_join_only_those_who_must_talk(compose: dict[str, Any], services: dict[str, Any]) -> None:
    members = {
        network: {name for name, service in services.items() if network in (service.get("networks") or {})}
        for network in compose["networks"]
    }

    assert members["docker-api"] == MAY_ASK_DOCKER
    assert members["data"] == HAS_DATA
    assert members["example"] == {"claw-ai-backend", "load", "model-server"}
    # Whoever reaches the model server may change how it behaves.
    assert set(services["model-server"]["networks"]) == {"example"}
    # Loki, because further hosts send it their logs through the door.
    assert members["edge"] == {"blackbox-exporter", "grafana", "loki", "nginx", "nginx-exporter"}
    assert set(services["nginx"]["networks"]) == {"edge"}
    assert {name for name, network in compose["networks"].items() if network.get("internal")} == {
        "data",
        "docker-api",
        "example",
    }


def test_what_must_outlive_a_container_is_on_a_volume(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    mounted = {
        volume["source"]
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume["type"] == "volume"
    }

    assert mounted == set(compose["volumes"])
    assert mounted == {
        f"{name}-data"
        for name in (
            "alertmanager",
            "alloy",
            "grafana",
            "loki",
            "postgres",
            "prometheus",
            "promtail",
            "redis",
            "relay",
        )
    }


def test_data_is_kept_for_a_limited_time(services: dict[str, Any]) -> None:
    flags = [*services["prometheus"]["command"], *services["loki"]["command"]]

    assert "--storage.tsdb.retention.time=30d" in flags
    assert "--storage.tsdb.retention.size=20GB" in flags
    assert "-store.retention=30d" in flags
