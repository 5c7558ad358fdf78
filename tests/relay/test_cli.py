"""The command `claw-relay`, and what is derived from its catalogue."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.relay.conftest import notification

from claw_exporter.spec import Metric
from claw_relay import catalog, errors, render
from claw_relay.cli import main
from claw_relay.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vendor() -> Iterator[tuple[str, list[bytes], dict[str, Any]]]:
    """A chat service: its address, what it was sent, and the answer that it gives."""
    got: list[bytes] = []
    answer: dict[str, Any] = {"errcode": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/send?key=TOKEN", got, answer
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(tmp_path: Path, vendor: tuple[str, list[bytes], dict[str, Any]]) -> Path:
    (tmp_path / "url").write_text(vendor[0])
    channel = {"type": "wecom", "name": "oncall", "url_file": str(tmp_path / "url")}
    path = tmp_path / "relay.yml"
    path.write_text(yaml.safe_dump({"channels": [channel], "state_file": str(tmp_path / "state.json")}))
    return path


def test_check_counts_what_there_is(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(config)], {}) == 0
    assert capsys.readouterr().out == f"{config}: no mistakes; 1 channel, 0 heartbeats\n"


def test_check_names_every_mistake(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "url").unlink()
    assert main(["check"], {"CLAW_RELAY_CONFIG": str(config)}) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"claw-relay: {config} has 1 mistake:\n{config}:4: channels[0].url_file ")


def test_a_test_message_is_sent_and_its_outcome_told(
    config: Path,
    vendor: tuple[str, list[bytes], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert main(["send-test", "--config", str(config)], {}) == 0
    assert capsys.readouterr().out == "wecom/oncall: delivered\n"
    assert "Nothing is wrong." in json.loads(vendor[1][0])["markdown"]["content"]

    vendor[2].update(errcode=93000, errmsg="invalid webhook url TOKEN")
    assert main(["send-test", "wecom/oncall", "--config", str(config)], {}) == 1
    assert capsys.readouterr().out == (
        "wecom/oncall: wecom/oncall did not take the message: 93000: invalid webhook url *** (credentials)\n"
    )


def test_a_test_needs_a_channel_that_there_is(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send-test", "feishu/x", "--config", str(config)], {}) == 2
    assert capsys.readouterr().err == "claw-relay: no channel 'feishu/x'; there are: wecom/oncall\n"
    config.write_text("")
    assert main(["send-test", "--config", str(config)], {}) == 1


def test_a_port_that_is_taken_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--config", str(config)], {"CLAW_RELAY_PORT": port}) == 1
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use); stop" in capsys.readouterr().err


def test_it_serves_until_it_is_told_to_stop_and_logs_no_token(
    config: Path, vendor: tuple[str, list[bytes], dict[str, Any]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = os.environ | {"CLAW_RELAY_PORT": port, "NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "claw_relay.cli", "serve", "--config", str(config)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            taken = client.post("/wecom/oncall", json=notification())
            vendor[2].update(errcode=45009, errmsg="TOKEN")
            refused = client.post("/wecom/oncall", json=notification())
            metrics = client.get("/metrics").text
        process.send_signal(signal.SIGTERM)
        lines += process.stderr.read().splitlines()

    assert process.returncode == 0
    assert json.loads(lines[0])["event"] == "started"
    assert (taken.status_code, refused.status_code) == (200, 503)
    assert 'claw_ai_notify_sent_total{channel="oncall",integration="wecom"} 1.0' in metrics
    assert "TOKEN" not in "".join(lines) + refused.text
    events = [json.loads(line)["event"] for line in lines]
    assert events == ["started", "message sent", "message rejected", "stopped"]


@pytest.mark.parametrize("command", [[], ["check"], ["serve"], ["send-test"]])
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"], {})
    assert ended.value.code == 0
    assert "usage: claw-relay" in capsys.readouterr().out


def test_the_derived_files_are_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main([str(ROOT), "--check"]) == 0
    for folder in ("relay", "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "docs/NOTIFICATIONS.md").write_text("<!-- table relay -->\n<!-- end table -->\n")
    assert render.main([str(tmp_path), "--check"]) == 1
    assert "relay/metrics.json is not what the catalogue says" in capsys.readouterr().err
    assert render.main([str(tmp_path)]) == 0
    assert render.main([str(tmp_path), "--check"]) == 0
    assert "claw_ai_notify_sent_total" in (tmp_path / "docs/NOTIFICATIONS.md").read_text()


def test_the_catalogue_lists_every_metric_of_the_module_and_every_service() -> None:
    specs = [value for value in vars(catalog).values() if isinstance(value, Metric)]

    assert {spec.name for spec in catalog.CATALOG} == {spec.name for spec in specs}
    assert set(catalog.INTEGRATIONS) == set(VENDORS)


def test_every_reason_and_error_id_is_documented(page: str) -> None:
    for reason in errors.Reason:
        assert f"| `{reason}` | {errors.STATUSES[reason]} |" in page
    ids = set(re.findall(r"err-claw-relay-[a-z-]+", (ROOT / "relay/src/claw_relay/errors.py").read_text()))
    assert ids - {"err-claw-relay-internal", "err-claw-relay-"} <= set(
        re.findall(r"err-claw-relay-[a-z-]+", page)
    )
