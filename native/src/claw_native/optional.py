"""Grafana, Loki and Promtail: no Debian suite has them, so they run where their programs are on PATH.

Their committed configuration is made for containers; here it is written with this machine's paths and ports.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from claw_native.command import run
from claw_native.errors import NativeError
from claw_native.servers import HOST, free_port
from claw_native.service import Service, answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from claw_native.settings import Settings

# What each says of itself; Debian has another program named loki.
SAYS = {
    "grafana": "grafana version",
    "loki": "loki, version 3",
    "promtail": "promtail, version 3",
}


def on_path() -> list[str]:
    """Returns the names of those whose program is on PATH."""
    return [name for name, says in SAYS.items() if _is_there(name, says)]


def _is_there(name: str, says: str) -> bool:
    if shutil.which(name) is None:
        return False
    try:
        return says in run([name, "--version"], timeout_seconds=20).lower()
    except NativeError:
        return False


def _program(name: str) -> str:
    return shutil.which(name) or name


def _grafana_home() -> str:
    beside = Path(_program("grafana")).resolve().parents[1]
    homes = (beside, Path("/usr/share/grafana"))
    return str(next((home for home in homes if (home / "conf" / "defaults.ini").exists()), beside))


def _grafana_environment(settings: Settings) -> dict[str, str]:
    folder = settings.data_dir / "grafana"
    return {
        "GF_PATHS_DATA": str(folder),
        "GF_PATHS_LOGS": str(folder / "log"),
        "GF_PATHS_PLUGINS": str(folder / "plugins"),
        "GF_PATHS_PROVISIONING": str(settings.etc_dir / "grafana"),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(settings.ports["grafana"]),
        "GF_SERVER_ROOT_URL": settings.url("grafana", "/grafana/"),
        "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
        # Only this machine reaches it; looking needs no password.
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    }


def moved(node: Any, places: Mapping[str, str]) -> Any:  # noqa: ANN401 - YAML
    """Replaces the beginning of every text in a document, the longest one that is listed."""
    if isinstance(node, dict):
        return {key: moved(value, places) for key, value in node.items()}
    if isinstance(node, list):
        return [moved(value, places) for value in node]
    if isinstance(node, str):
        for beginning in sorted(places, key=len, reverse=True):
            if node.startswith(beginning):
                return places[beginning] + node.removeprefix(beginning)
    return node


def _places(settings: Settings) -> dict[str, str]:
    repository, data = settings.repository, settings.data_dir
    hosts = {"prometheus": 9090, "alertmanager": 9093, "loki": 3100}
    return {
        "/loki": str(data / "loki"),
        "/etc/loki": str(repository / "loki"),
        "/etc/grafana/dashboards": str(repository / "grafana" / "dashboards"),
        "/etc/grafana/custom": str(repository / "grafana" / "custom"),
        **{f"http://{name}:{port}": settings.url(name) for name, port in hosts.items()},
    }


def write_loki(settings: Settings) -> None:
    """Writes Loki's configuration."""
    document = moved(_read(settings, "loki/loki-config.yml"), _places(settings))
    ports = {"http_listen_port": settings.ports["loki"], "grpc_listen_port": free_port()}
    document["server"] |= {**ports, "http_listen_address": HOST, "grpc_listen_address": HOST}
    (settings.data_dir / "loki").mkdir(parents=True, exist_ok=True)
    _write(settings, "loki/loki-config.yml", document)


def write_promtail(settings: Settings) -> None:
    """Writes Promtail's configuration: the logs here are files, their pipeline is the containers' one."""
    document = moved(_read(settings, "promtail/promtail-config.yml"), _places(settings))
    document["server"] |= {"http_listen_port": settings.ports["promtail"], "http_listen_address": HOST}
    folder = settings.data_dir / "promtail"
    folder.mkdir(parents=True, exist_ok=True)
    document["positions"] = {"filename": str(folder / "positions.yaml")}
    for client in document["clients"]:
        client["external_labels"] = {"host": platform.node()}
    (containers,) = (job for job in document["scrape_configs"] if job["job_name"] == "containers")
    document["scrape_configs"] = [
        {
            "job_name": "files",
            "static_configs": list(_log_files(settings, sorted(settings.ports))),
            "pipeline_stages": containers["pipeline_stages"],
        }
    ]
    _write(settings, "promtail/promtail-config.yml", document)


def _log_files(settings: Settings, names: Iterable[str]) -> Iterable[dict[str, Any]]:
    for name in (*names, "load"):
        labels = {"service": name, "stream": "stdout", "__path__": str(settings.log_dir / f"{name}.log")}
        yield {"targets": ["localhost"], "labels": labels}


def write_grafana(settings: Settings) -> None:
    """Writes Grafana's provisioning: the same data sources and dashboards, at this machine's addresses."""
    source = settings.repository / "grafana" / "provisioning"
    for path in sorted(source.rglob("*.yml")):
        name = path.relative_to(settings.repository)
        document = moved(_read(settings, str(name)), _places(settings))
        _write(settings, f"grafana/{path.relative_to(source)}", document)


def _read(settings: Settings, name: str) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load((settings.repository / name).read_text())


def _write(settings: Settings, name: str, document: object) -> None:
    path = settings.etc_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))


OPTIONAL: tuple[Service, ...] = (
    Service(
        name="loki",
        about="keeps the logs",
        command=lambda settings: [_program("loki"), f"-config.file={settings.etc_dir}/loki/loki-config.yml"],
        prepare=write_loki,
        ready=answers("loki", "/ready"),
        metrics=True,
    ),
    Service(
        name="promtail",
        about="ships the logs of these services to Loki",
        after=("loki",),
        command=lambda settings: [
            _program("promtail"),
            f"-config.file={settings.etc_dir}/promtail/promtail-config.yml",
        ],
        prepare=write_promtail,
        ready=answers("promtail", "/ready"),
        metrics=True,
        job="log-shipper",
    ),
    Service(
        name="grafana",
        about="the dashboards, in Grafana",
        after=("prometheus",),
        environment=_grafana_environment,
        command=lambda _: [_program("grafana"), "server", "--homepath", _grafana_home()],
        prepare=write_grafana,
        ready=answers("grafana", "/grafana/api/health"),
        page="/grafana/",
        metrics=True,
        metrics_path="/grafana/metrics",
    ),
)
