"""The services of the native run as a table: what each runs, when it is ready, what it has to wait for."""

from __future__ import annotations

import sys
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING

from claw_native.optional import OPTIONAL, on_path
from claw_native.servers import DATABASE, HOST, MONITOR, PASSWORD, Postgres, Redis
from claw_native.service import Service, answers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from claw_native.settings import Settings

# Some 200 MB for two weeks of the demo; compose has its own.
RETENTION = "15d"
DURABLE = ("shared_buffers=64MB", "max_connections=60")


def postgres(settings: Settings) -> Postgres:
    """Returns the demo's Postgres."""
    folder = settings.data_dir / "postgres"
    return Postgres(settings.bin_dir, folder, settings.ports["postgres"], options=DURABLE)


def redis(settings: Settings) -> Redis:
    """Returns the demo's Redis."""
    folder = settings.data_dir / "redis"
    return Redis(settings.bin_dir, folder, settings.ports["redis"], append_only=True)


def _listen(settings: Settings, service: str) -> str:
    return f"{HOST}:{settings.ports[service]}"


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _prometheus(settings: Settings) -> list[str]:
    return [
        str(settings.bin_dir / "prometheus"),
        f"--config.file={settings.etc_dir}/prometheus/prometheus.yml",
        f"--storage.tsdb.path={settings.data_dir}/prometheus",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={_listen(settings, 'prometheus')}",
        # `make generate` changes the rules of the running demo.
        "--enable-feature=auto-reload-config,exemplar-storage",
        "--config.auto-reload-interval=5s",
    ]


def _alertmanager(settings: Settings) -> list[str]:
    return [
        str(settings.bin_dir / "alertmanager"),
        f"--config.file={settings.etc_dir}/alertmanager/alertmanager.yml",
        f"--storage.path={settings.data_dir}/alertmanager",
        f"--web.listen-address={_listen(settings, 'alertmanager')}",
        "--cluster.listen-address=",
        "--enable-feature=utf8-strict-mode",
    ]


def _chat_environment(settings: Settings) -> dict[str, str]:
    return {
        "CLAW_CHAT_DATABASE_URL": postgres(settings).dsn,
        "CLAW_CHAT_REDIS_URL": redis(settings).url,
        "CLAW_CHAT_MODEL_BASE_URL": settings.url("model-server", "/v1"),
        "CLAW_CHAT_PORT": str(settings.ports["claw-ai-backend"]),
    }


def _load_environment(settings: Settings) -> dict[str, str]:
    return {"CLAW_LOAD_URL": settings.url("claw-ai-backend")}


def _exporter_environment(settings: Settings) -> dict[str, str]:
    return {
        "CLAW_EXPORTER_CONFIG": str(settings.repository / "exporter" / "exporter.yml"),
        "CLAW_EXPORTER_HOST": HOST,
        "CLAW_EXPORTER_PORT": str(settings.ports["exporter"]),
        "CLAW_EXPORTER_POSTGRES_DSN": postgres(settings).monitor_dsn,
        "CLAW_EXPORTER_REDIS_URL": redis(settings).url,
    }


def _relay_environment(settings: Settings) -> dict[str, str]:
    return {
        "CLAW_RELAY_CONFIG": str(settings.etc_dir / "relay" / "relay.yml"),
        "CLAW_RELAY_HOST": HOST,
        "CLAW_RELAY_PORT": str(settings.ports["relay"]),
        "CLAW_RELAY_STATE_FILE": str(settings.data_dir / "relay.json"),
    }


def _postgres_exporter_environment(settings: Settings) -> dict[str, str]:
    return {
        "DATA_SOURCE_URI": f"{_listen(settings, 'postgres')}/{DATABASE}?sslmode=disable",
        "DATA_SOURCE_USER": MONITOR,
        "DATA_SOURCE_PASS": PASSWORD,
    }


def _preview_environment(settings: Settings) -> dict[str, str]:
    return {
        "CLAW_PREVIEW_PORT": str(settings.ports["preview"]),
        "CLAW_PREVIEW_DASHBOARDS": str(settings.repository / "grafana" / "dashboards"),
        "CLAW_PREVIEW_PROMETHEUS_URL": settings.url("prometheus"),
        "CLAW_PREVIEW_LOKI_URL": settings.url("loki") if "loki" in on_path() else "none",
    }


SERVICES: tuple[Service, ...] = (
    Service(
        name="postgres",
        about="private Postgres: database, user and password are claw",
        prepare=lambda settings: postgres(settings).prepare(),
        command=lambda settings: postgres(settings).command(),
        ready=lambda settings: postgres(settings).is_ready(),
        provide=lambda settings: postgres(settings).provide(),
        stop_signal=SIGINT,
    ),
    Service(
        name="redis",
        about="private Redis",
        prepare=lambda settings: redis(settings).prepare(),
        command=lambda settings: redis(settings).command(),
        ready=lambda settings: redis(settings).is_ready(),
    ),
    Service(
        name="model-server",
        about="a pretended OpenAI: its delays and errors can be chosen",
        command=lambda settings: _python(
            "claw_chat.model_server", "--port", str(settings.ports["model-server"])
        ),
        ready=answers("model-server", "/v1/models"),
    ),
    Service(
        name="receiver",
        about="prints each notification: make demo-logs SERVICE=receiver",
        command=lambda settings: _python(
            "claw_native.receiver",
            *("--port", str(settings.ports["receiver"])),
            *("--dashboards", settings.url("preview")),
        ),
        ready=answers("receiver", "/healthz"),
        page="/notifications",
    ),
    Service(
        name="relay",
        about="carries notifications to chat bots; to none of them in the demo",
        environment=_relay_environment,
        command=lambda _: [_script("claw-relay"), "serve"],
        ready=answers("relay", "/healthz"),
        metrics=True,
    ),
    Service(
        name="alertmanager",
        about="groups and sends alerts (API only)",
        command=_alertmanager,
        directory=lambda settings: settings.etc_dir / "alertmanager",  # paths of secrets are relative
        ready=answers("alertmanager", "/-/ready"),
        page="/api/v2/alerts",
        metrics=True,
    ),
    Service(
        name="prometheus",
        about="scrapes, judges the rules, answers queries (API only)",
        command=_prometheus,
        ready=answers("prometheus", "/-/ready"),
        page="/api/v1/rules",
        metrics=True,
    ),
    Service(
        name="node-exporter",
        about="CPU, memory, disks and network of this machine",
        command=lambda settings: [
            str(settings.bin_dir / "node_exporter"),
            f"--web.listen-address={_listen(settings, 'node-exporter')}",
        ],
        ready=answers("node-exporter", "/"),
        metrics=True,
    ),
    Service(
        name="postgres-exporter",
        about="statistics of Postgres",
        after=("postgres",),
        environment=_postgres_exporter_environment,
        command=lambda settings: [
            str(settings.bin_dir / "postgres_exporter"),
            f"--web.listen-address={_listen(settings, 'postgres-exporter')}",
            "--collector.database_wraparound",
        ],
        ready=answers("postgres-exporter", "/"),
        metrics=True,
    ),
    Service(
        name="redis-exporter",
        about="statistics of Redis",
        after=("redis",),
        command=lambda settings: [
            str(settings.bin_dir / "redis_exporter"),
            f"-web.listen-address={_listen(settings, 'redis-exporter')}",
            f"-redis.addr=redis://{_listen(settings, 'redis')}",
        ],
        ready=answers("redis-exporter", "/"),
        metrics=True,
    ),
    Service(
        name="claw-ai-backend",
        about="the example chat app with our middleware",
        after=("postgres", "redis", "model-server"),
        environment=_chat_environment,
        command=lambda _: _python("claw_chat.app"),
        ready=answers("claw-ai-backend", "/health"),
        page="/docs",
        metrics=True,
    ),
    Service(
        name="load",
        about="users who chat, give up and come back",
        after=("claw-ai-backend",),
        environment=_load_environment,
        command=lambda _: _python("claw_chat.load"),
    ),
    Service(
        name="exporter",
        about="numbers no app has: SQL, queues, hosts",
        after=("claw-ai-backend",),  # its queries read the app's tables
        environment=_exporter_environment,
        command=lambda _: [_script("claw-exporter"), "serve"],
        ready=answers("exporter", "/healthz"),
        page="/metrics",
        metrics=True,
    ),
    Service(
        name="preview",
        about="the dashboards, drawn in your browser",
        after=("prometheus",),
        environment=_preview_environment,
        command=lambda _: [_script("claw-preview")],
        ready=answers("preview", "/healthz"),
        page="/",
    ),
)


def available_services() -> tuple[Service, ...]:
    """Returns every service that can run here: the optional ones only where their program is on PATH."""
    there = on_path()
    return (*SERVICES, *(service for service in OPTIONAL if service.name in there))


def services_named(names: Iterable[str]) -> list[Service]:
    """Returns the services with these names, in the order of the table."""
    wanted = set(names)
    return [service for service in (*SERVICES, *OPTIONAL) if service.name in wanted]
