"""The command line, and the process as an operator meets it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from claw_exporter.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claw_native.servers import Postgres, Redis

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "exporter/exporter.yml"
# The chat example's own tables: what the shipped queries ask.
SCHEMA = (
    (ROOT / "examples/chat/src/claw_chat/schema.sql").read_text()
    + """
INSERT INTO conversations (id, title, model, updated_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'new', 'glm-4', now()),
    ('00000000-0000-0000-0000-000000000002', 'old', 'glm-4', now() - interval '1 day');
INSERT INTO messages (conversation_id, role, content)
    VALUES ('00000000-0000-0000-0000-000000000001', 'user', 'hello');
"""
)
PROGRAM = Path(sys.executable).with_name("claw-exporter")


def test_check_passes_the_shipped_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLE)], {}) == 0
    assert (
        "no mistakes; 1 database, 1 Redis server, 3 queries with 4 metrics, host off"
        in capsys.readouterr().out
    )


def test_check_tells_every_mistake_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("listen: {port: many}\nhots: {}\nlog_level: loud\n")
    assert main(["check", str(path)], {}) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"claw-exporter: {path} has 3 mistakes:",
        f"{path}:1: listen.port 'many' is not a whole number; example 0",
        f"{path}:2: 'hots' is no setting; did you mean 'host'?",
        f"{path}:3: log_level 'loud' is none of: debug, info, warning, error",
    ]


def test_serve_refuses_a_wrong_file_the_same_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("5")
    assert main(["serve", "--config", str(path)], {}) == 2
    assert "has 1 mistake:" in capsys.readouterr().err


def test_the_configuration_may_be_named_by_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"], {"CLAW_EXPORTER_CONFIG": "/no/such/file"}) == 2
    assert "/no/such/file: cannot be read" in capsys.readouterr().err


def test_a_wrong_port_on_the_command_line_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", str(EXAMPLE), "--port", "many"], {}) == 2
    assert "CLAW_EXPORTER_PORT 'many' is not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["asyncpg", "httpx", "psutil", "redis", "uvicorn", "yaml"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from claw_exporter.cli import main\n"
        f"sys.exit(main(['serve', '--port', '0', '--config', {str(EXAMPLE)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        f"claw-exporter: needs the package '{package}': pip install \"claw-exporter[server]\"\n",
    )


def test_a_missing_module_that_is_no_extra_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "claw_exporter.settings", raising=False)
    monkeypatch.setitem(sys.modules, "claw_exporter.document", None)
    with pytest.raises(ModuleNotFoundError):
        main(["check", str(EXAMPLE)], {})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "CLAW_EXPORTER_CONFIG"),
        (["check", "--help"], "Reports every mistake"),
        (["serve", "--help"], "--port PORT"),
        (["--version"], "."),
    ],
)
def test_help_helps(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments, {})
    assert exited.value.code == 0
    assert expected in capsys.readouterr().out


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main([], {})
    assert exited.value.code == 2
    assert "usage: claw-exporter" in capsys.readouterr().err


def test_a_busy_port_is_named_with_what_moves_it(tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        done = run("serve", "--config", str(tmp_path / "exporter.yml"), "--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in done.stderr
    assert "choose another with --port or CLAW_EXPORTER_PORT" in done.stderr


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("listen: {host: 203.0.113.1}")
    done = run("serve", "--config", str(tmp_path / "exporter.yml"))
    assert done.returncode == 1
    assert "cannot listen on 203.0.113.1:9810" in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)


class Served:
    """A running exporter: its address, its log, and how it ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[dict[str, object]] = []
        self.url = str(self.until("started")["url"])

    def until(self, event: str) -> dict[str, object]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["event"] == event:
                return self.log[-1]
        raise AssertionError(f"no {event!r} in {self.log}")

    def get(self, page: str, **headers: str) -> str:
        request = urllib.request.Request(self.url + page, headers=headers)  # noqa: S310 - our own http
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the same
            text: str = response.read().decode()
            return text


@contextmanager
def serving(config: Path, **environment: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [PROGRAM, "serve", "--config", config, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    with process:
        try:
            yield Served(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("host: {enabled: true}")
    with serving(tmp_path / "exporter.yml") as exporter:
        assert exporter.get("/healthz") == "ok\n"
        exporter.process.send_signal(number)
        exporter.until("stopped")
        assert exporter.process.wait(20) == 0


def test_an_address_of_the_sixth_version_is_written_in_brackets(tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("listen: {host: '::1'}")
    with serving(tmp_path / "exporter.yml") as exporter:
        assert re.fullmatch(r"http://\[::1\]:\d+", exporter.url)
        assert exporter.get("/healthz") == "ok\n"


def test_a_password_of_the_configuration_opens_the_metrics(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "exporter.yml").write_text(f"auth: {{username: me, password_file: {tmp_path / 'password'}}}")
    with serving(tmp_path / "exporter.yml") as exporter:
        credentials = base64.b64encode(b"me:s3cret").decode()
        assert "claw_ai_build_info" in exporter.get("/metrics", Authorization=f"Basic {credentials}")
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            exporter.get("/metrics")
        refused.value.close()


async def test_the_shipped_file_serves_real_servers(postgres: Postgres, redis_server: Redis) -> None:
    targets = {
        "CLAW_EXPORTER_POSTGRES_DSN": postgres.monitor_dsn,
        "CLAW_EXPORTER_REDIS_URL": redis_server.url,
        "CLAW_EXPORTER_HOST_COLLECTOR": "true",
    }
    owner = await asyncpg.connect(postgres.dsn)
    try:
        await owner.execute(SCHEMA)
        with serving(EXAMPLE, **targets) as exporter:
            while not ready(exporter):
                pass
            text = exporter.get("/metrics")
    finally:
        await owner.close()
    for line in (
        'claw_ai_business_conversations{model="glm-4"} 2.0',
        'claw_ai_business_active_conversations{model="glm-4"} 1.0',
        'claw_ai_business_recent_messages{role="user"} 1.0',
        'claw_ai_postgres_up{database="chat"} 1.0',
        'claw_ai_redis_up{redis="chat"} 1.0',
    ):
        assert f"\n{line}\n" in text
    assert "\nclaw_ai_business_last_message_age_seconds " in text
    assert [entry["event"] for entry in exporter.log] == ["started"]


def ready(exporter: Served) -> bool:
    try:
        return bool(json.loads(exporter.get("/readyz"))["ready"])
    except urllib.error.HTTPError as error:
        error.close()
        return False
