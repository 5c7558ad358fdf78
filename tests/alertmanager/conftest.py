"""The generated configuration, and a real Alertmanager that runs it."""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from claw_native.servers import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
RECEIVERS = ("oncall", "team", "watchdog")


@dataclass(frozen=True, slots=True)
class Notification:
    """What arrived at a receiver."""

    receiver: str
    status: str
    alertnames: list[str]


class Sink:
    """A web server that takes notifications; the path tells the receiver."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[Notification] = queue.Queue()
        arrived = self.arrived

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                names = [alert["labels"]["alertname"] for alert in body["alerts"]]
                arrived.put(Notification(self.path.strip("/"), body["status"], names))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Alertmanager:
    """A running Alertmanager with the generated configuration and the sink as every receiver."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/api/v2", trust_env=False)

    def close(self) -> None:
        self._client.close()

    def post(self, *alerts: dict[str, Any]) -> None:
        self._client.post("/alerts", json=list(alerts)).raise_for_status()

    def is_muted(self, labels: dict[str, str]) -> bool:
        """Tell whether an inhibition mutes the alert with exactly these labels."""
        alerts = self._client.get("/alerts").raise_for_status().json()
        mine = next(alert for alert in alerts if alert["labels"] == labels)
        return bool(mine["status"]["inhibitedBy"])


def is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    return False


@pytest.fixture(scope="session")
def config_file() -> Path:
    return ROOT / "alertmanager/alertmanager.yml"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    server = Sink()
    yield server
    server.close()


@pytest.fixture(scope="module")
def alertmanager(
    tools: Path, free_port: Callable[[], int], sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alertmanager]:
    # As both ways to run the stack do it: the configuration is in a folder of its own, the secrets in the
    # working directory.
    folder = tmp_path_factory.mktemp("alertmanager")
    shutil.copytree(ROOT / "alertmanager", folder / "config")
    (folder / "secrets").mkdir()
    for name in RECEIVERS:
        (folder / f"secrets/alertmanager_{name}_url").write_text(f"{sink.url}/{name}\n")
    address = f"127.0.0.1:{free_port()}"
    command = [
        *("env", "-C", str(folder), str(tools / "alertmanager")),
        *("--config.file=config/alertmanager.yml", "--storage.path=data", f"--web.listen-address={address}"),
        *("--cluster.listen-address=", "--enable-feature=utf8-strict-mode"),
    ]
    url = f"http://{address}"
    with Process(command, log=folder / "log", ready=lambda: is_ready(url)):
        client = Alertmanager(url)
        yield client
        client.close()
