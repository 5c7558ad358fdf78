"""A stack of files: what the tests of backup and restore work on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from claw_compose.engine import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKER = Path(__file__).with_name("backup_docker.py")
IMAGES = {
    "alertmanager": "prom/alertmanager:v0.34.0",
    "grafana": "grafana/grafana:13.2.3",
    "loki": "grafana/loki:3.7.6",
    "postgres": "postgres:17.11-alpine",
    "prometheus": "prom/prometheus:v3.13.3",
    "redis": "redis:7.4.11-alpine",
}
MOUNTS = {
    "alertmanager": "/alertmanager",
    "grafana": "/var/lib/grafana",
    "loki": "/loki",
    "postgres": "/var/lib/postgresql/data",
    "prometheus": "/prometheus",
    "redis": "/data",
}


@dataclass
class World:
    """A repository, a fake engine, and what the commands said."""

    repository: Path
    engine: Path
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        """A new one for each command, as in life."""
        return Stack(self.repository, Path(".env.prod"), self.environ)

    @property
    def backups(self) -> Path:
        return self.repository / "backups"

    @property
    def log(self) -> str:
        return (self.engine / "log").read_text()

    @property
    def sql(self) -> str:
        """What Postgres was told."""
        return (self.engine / "postgres" / "log").read_text()

    def say(self, text: str) -> None:
        self.said.append(text)

    def made(self) -> list[str]:
        """Names of what looks like a backup."""
        return sorted(path.name for path in self.backups.glob("2*"))

    def file(self, service: str, name: str) -> Path:
        return self.engine / "volumes" / service / name

    def state(self, service: str) -> str:
        return (self.engine / "containers" / service).read_text()

    def fail(self, *expressions: str) -> None:
        (self.engine / "failing").write_text("\n".join(expressions))

    def settings(self, **values: str) -> None:
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.repository / ".env.prod").write_text(text)

    def change_config(self, service: str, **keys: object) -> None:
        path = self.engine / "config.json"
        config = json.loads(path.read_text())
        config["services"][service] |= keys
        path.write_text(json.dumps(config))

    def leave(self, service: str) -> None:
        """Takes a service out of the compose file."""
        path = self.engine / "config.json"
        config = json.loads(path.read_text())
        del config["services"][service]
        path.write_text(json.dumps(config))


def make(folder: Path) -> World:
    """A stack with something in every store; Prometheus publishes no port that answers."""
    repository, engine = folder / "repository", folder / "engine"
    for path in ("containers", "volumes", "postgres"):
        (engine / path).mkdir(parents=True)
    for path in ("secrets/tls", "prometheus/targets/apps", "grafana/custom", "exporter"):
        (repository / path).mkdir(parents=True)
    (folder / "bin").mkdir()
    (repository / ".env.prod").write_text("# nothing\n")
    (repository / "secrets" / "redis_password").write_text("hunter2")
    (repository / "prometheus/targets/apps/shop.yml").write_text("[]\n")
    shutil.copy(DOCKER, folder / "bin" / "docker")
    _fill(engine)
    return _world(folder)


def copy(world: World, folder: Path) -> World:
    """Another stack like this one."""
    shutil.copytree(world.repository.parent, folder / "copy")
    return _world(folder / "copy")


def _world(folder: Path) -> World:
    engine = folder / "engine"
    environ = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FAKE_DOCKER": str(engine)}
    return World(folder / "repository", engine, environ)


def _fill(engine: Path) -> None:
    volumes = {name: {"name": f"claw_{name}"} for name in (f"{service}-data" for service in IMAGES)}
    services = {
        name: {
            "image": image,
            "volumes": [{"type": "volume", "source": f"{name}-data", "target": MOUNTS[name]}],
            "ports": [{"host_ip": "127.0.0.1", "published": "1"}],
        }
        for name, image in IMAGES.items()
    }
    (engine / "config.json").write_text(
        json.dumps({"name": "claw", "services": services, "volumes": volumes})
    )
    for name in IMAGES:
        (engine / "containers" / name).write_text("running")
        (engine / "volumes" / name).mkdir()
    (engine / "volumes/alertmanager/silences").write_text("a silence")
    (engine / "volumes/alertmanager/nflog").write_text("")
    (engine / "volumes/loki/wal").write_text("a line")
    (engine / "volumes/redis/appendonlydir").mkdir()
    (engine / "volumes/redis/appendonlydir/appendonly.aof.manifest").write_text("file a seq 1 type b\n")
    with closing(sqlite3.connect(engine / "volumes/grafana/grafana.db")) as database:
        database.execute("CREATE TABLE dashboard (title text)")
        database.commit()
    postgres = engine / "postgres"
    (postgres / "globals").write_text("CREATE ROLE claw;\nALTER ROLE claw WITH LOGIN PASSWORD 'SCRAM';\n")
    (postgres / "databases").write_text("claw\npostgres\n")
    (postgres / "magic").write_text("PGDMP")
    (postgres / "log").touch()


@contextmanager
def prometheus(world: World, status: int = 200, body: str = "") -> Iterator[None]:
    """Prometheus' snapshot API, over the files of its volume."""
    snapshots = world.file("prometheus", "snapshots")

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/admin/tsdb/snapshot"
            (snapshots / "one" / "01BLOCK").mkdir(parents=True, exist_ok=True)
            (snapshots / "one" / "01BLOCK" / "meta.json").write_text("{}")
            self.send_response(status)
            self.end_headers()
            self.wfile.write((body or json.dumps({"status": "success", "data": {"name": "one"}})).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    world.change_config("prometheus", ports=[{"host_ip": "127.0.0.1", "published": str(server.server_port)}])
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
