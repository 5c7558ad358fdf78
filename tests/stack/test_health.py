"""Scripts inside the compose file, run for real."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SHIPPERS = {"promtail": ("9080", "/ready"), "alloy": ("9080", "/-/ready")}


@contextmanager
def ready_server(status: int) -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"200 lines sent\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check(service: dict[str, Any], port: str, moved: int) -> int:
    (kind, *command) = service["healthcheck"]["test"]
    assert kind == "CMD"
    assert f"/{port} " in command[-1]
    script = command[-1].replace(f"/{port} ", f"/{moved} ")
    return subprocess.run([*command[:-1], script], capture_output=True, check=False, timeout=30).returncode


@pytest.mark.parametrize("name", SHIPPERS)
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (500, False), (503, False)])
def test_a_shipper_is_healthy_when_it_says_that_it_is_ready(
    services: dict[str, Any], name: str, *, status: int, healthy: bool
) -> None:
    port, path = SHIPPERS[name]
    with ready_server(status) as (moved, asked):
        code = check(services[name], port, moved)

    assert asked == [path]
    assert (code == 0) is healthy


def test_a_shipper_that_does_not_answer_is_not_healthy(services: dict[str, Any]) -> None:
    with ready_server(200) as (moved, _):
        pass

    assert check(services["promtail"], "9080", moved) != 0


@pytest.mark.parametrize(("password", "starts"), [("", False), ("\n", False), ("a 'b' $c\n", True)])
def test_grafana_does_not_start_without_a_password_of_its_own(
    services: dict[str, Any], tmp_path: Path, password: str, *, starts: bool
) -> None:
    (*shell, script) = services["grafana"]["entrypoint"]
    image_script = tmp_path / "run.sh"
    image_script.write_text("#!/bin/sh\necho started\n")
    image_script.chmod(0o755)
    secret = tmp_path / "grafana_admin_password"
    secret.write_text(password)
    script = script.replace("$$", "$").replace("/run.sh", str(image_script))
    environment = {**os.environ, "GF_SECURITY_ADMIN_PASSWORD__FILE": str(secret)}

    done = subprocess.run([*shell, script], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == ((0, "started\n") if starts else (1, ""))
    assert ("make secrets" in done.stderr) is not starts
