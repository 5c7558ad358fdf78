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
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import redis

from claw_exporter.cli import _is_exporter, main, running
from claw_native.servers import MONITOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_check_counts_canaries_where_there_are_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("canaries: [{provider: lab, model: m, url: 'http://h/v1'}]")
    assert main(["check", str(path)], {}) == 0
    assert capsys.readouterr().out.endswith("host off, 1 canary\n")


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
        (["reload", "--help"], "--pid NUMBER"),
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


def test_targets_that_hang_do_not_slow_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        slow = "interval_seconds: 60, timeout_seconds: 60"
        path.write_text(
            f"postgres: [{{name: db, dsn: 'postgresql://u:p@{at}/d', {slow}}}]\n"
            f"redis: [{{name: cache, url: 'redis://{at}', {slow}}}]\n"
            f"canaries: [{{provider: lab, model: m, url: 'http://{at}/v1', timeout_seconds: 60}}]\n"
            f"queries:\n{metric('cats', 'SELECT 1 AS n')}"
        )
        with serving(path) as exporter:
            for _ in range(3):  # each of the three has connected
                silent.accept()[0].detach()
            started = time.monotonic()
            for _ in range(20):
                text = exporter.get("/metrics", **{"X-Prometheus-Scrape-Timeout-Seconds": "0.5"})
            assert (time.monotonic() - started) / 20 < 0.1
            assert 'claw_ai_exporter_probe_success{probe="postgres/db"} 0.0' in text
            exporter.process.terminate()
            exporter.until("stopped")
            assert exporter.process.wait(20) == 0


# -- SIGHUP --------------------------------------------------------------------------------------------------
def metric(name: str, sql: str, value: str = "n", labels: str = "") -> str:
    """A query of one metric."""
    return (
        f'  - {{name: {name}, database: db, sql: "{sql}",\n     metrics: '
        f"[{{name: {name}, help: A number., value: {value}, labels: [{labels}]}}]}}\n"
    )


async def test_a_signal_changes_what_changed_and_leaves_the_rest_alone(
    postgres: Postgres, redis_server: Redis, tmp_path: Path
) -> None:
    path = tmp_path / "exporter.yml"
    head = (
        f"postgres: [{{name: db, dsn: '{postgres.monitor_dsn}'}}]\n"
        f"redis: [{{name: cache, url: '{redis_server.url}', queues: [jobs]}}]\nqueries:\n"
    )
    path.write_text(
        head
        + metric("stays", "SELECT 1 AS n")
        + metric("goes", "SELECT 2 AS n")
        + metric("changes", "SELECT 3 AS n")
    )
    backends = (
        f"SELECT pid FROM pg_stat_activity WHERE application_name = 'claw-exporter' AND usename = '{MONITOR}'"  # noqa: S608 - a constant
    )
    with serving(path) as exporter:
        wait_until(lambda: ready(exporter))
        assert has(exporter, "stays 1.0", "goes 2.0", "changes 3.0")
        before, clients = postgres.query(backends), redis_clients(redis_server)
        assert len(before.split()) == 1

        path.write_text(
            head
            + metric("stays", "SELECT 1 AS n")
            + metric("changes", "SELECT 4 AS n, 'x' AS kind", labels="kind")
            + metric("comes", "SELECT 5 AS n")
        )
        exporter.process.send_signal(signal.SIGHUP)
        told = exporter.until("settings read again")
        text = exporter.get("/metrics")
        assert "\ngoes " not in text
        assert 'probe="query/goes"' not in text
        assert "\nchanges 3.0" not in text
        assert "\nstays 1.0" in text
        assert told["kept"] == 3
        assert (told["started"], told["ended"]) == (
            ["query/changes", "query/comes"],
            ["query/goes", "query/changes"],
        )
        wait_until(lambda: ready(exporter))
        assert has(exporter, "stays 1.0", 'changes{kind="x"} 4.0', "comes 5.0")
        assert (postgres.query(backends), redis_clients(redis_server)) == (before, clients)
        states = json.loads(exporter.get("/readyz"))["probes"]
        assert states["query/stays"]["runs"] == 1  # due once a minute: it was not run anew

        path.write_text(path.read_text().replace("{name: db, dsn", "{name: db, timeout_seconds: 4, dsn"))
        exporter.process.send_signal(signal.SIGHUP)
        assert exporter.until("settings read again")["kept"] == 1  # queries go through the link that changed
        wait_until(lambda: ready(exporter))
        assert has(exporter, "stays 1.0", "comes 5.0")
        wait_until(lambda: len(postgres.query(backends).split()) == 1)
        assert postgres.query(backends) != before
        assert redis_clients(redis_server) == clients


def test_a_wrong_file_leaves_the_old_settings_at_work_and_the_log_says_every_mistake(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("host: {enabled: true}")
    with serving(path) as exporter:
        wait_until(lambda: ready(exporter))
        assert has(exporter, "claw_ai_exporter_config_last_reload_successful 1.0")
        path.write_text("host: {enabled: maybe}\nhots: {}\n")
        for _ in range(2):
            exporter.process.send_signal(signal.SIGHUP)
            told = exporter.until("the settings were not read again; the old ones stay")
            assert told["mistakes"] == [
                f"{path}:1: host.enabled 'maybe' is neither true nor false",
                f"{path}:2: 'hots' is no setting; did you mean 'host'?",
            ]
            assert has(exporter, "claw_ai_exporter_config_last_reload_successful 0.0")
            assert "\nclaw_ai_host_memory_total_bytes " in exporter.get("/metrics")
        path.write_text("")
        exporter.process.send_signal(signal.SIGHUP)
        assert exporter.until("settings read again")["ended"] == ["host"]
        assert has(exporter, "claw_ai_exporter_config_last_reload_successful 1.0")
        assert "claw_ai_host_" not in exporter.get("/metrics")
        exporter.process.terminate()
        exporter.until("stopped")
        assert exporter.process.wait(20) == 0


def test_a_signal_changes_who_may_read_and_what_is_logged_and_says_what_needs_a_restart(
    tmp_path: Path,
) -> None:
    path, token = tmp_path / "exporter.yml", tmp_path / "token"
    path.write_text("")
    token.write_text("s3cret")
    with serving(path) as exporter:
        assert "claw_ai_build_info" in exporter.get("/metrics")
        path.write_text(f"auth: {{token_file: {token}}}\nlisten: {{host: 127.0.0.2}}\n")
        exporter.process.send_signal(signal.SIGHUP)
        assert exporter.until("settings read again")["needs_restart"] == "listen: 127.0.0.2:0"
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            exporter.get("/metrics")
        refused.value.close()
        assert "claw_ai_build_info" in exporter.get("/metrics", Authorization="Bearer s3cret")
        path.write_text("log_level: error\nlisten: {port: many}\n")
        exporter.process.send_signal(signal.SIGHUP)
        exporter.until("the settings were not read again; the old ones stay")
        path.write_text("log_level: error")
        exporter.process.send_signal(signal.SIGHUP)
        mended = "claw_ai_exporter_config_last_reload_successful 1.0\n"
        wait_until(lambda: mended in exporter.get("/metrics", Authorization="Bearer s3cret"))
        exporter.process.terminate()
        assert exporter.process.wait(20) == 0
        assert exporter.process.stderr is not None
        assert exporter.process.stderr.read() == ""  # neither "settings read again" nor "stopped"


def test_a_signal_during_the_start_is_one_more_reading_and_many_are_safe(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    os.mkfifo(path)  # who opens it waits for the other side: so it is known that the start is under way
    argv: list[str | Path] = [PROGRAM, "serve", "--config", path, "--port", "0"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            with path.open("w") as pipe:
                process.send_signal(signal.SIGHUP)
                pipe.write("host: {enabled: true}")
            exporter = Served(process)
            path.write_text("host: {enabled: false}")
            assert exporter.until("settings read again")["ended"] == ["host"]
            path.unlink()
            path.write_text("")
            for _ in range(20):
                process.send_signal(signal.SIGHUP)
            assert exporter.until("settings read again")["ended"] == []
            assert exporter.get("/healthz") == "ok\n"
        finally:
            process.kill()


def test_the_command_finds_the_exporter_and_tells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exporter.yml").write_text("")
    with serving(tmp_path / "exporter.yml") as exporter:
        assert exporter.process.pid in running()
        assert main(["reload", "--pid", str(exporter.process.pid)], {}) == 0
        assert exporter.until("settings read again")["kept"] == 0
        assert capsys.readouterr().out == (
            f"told process {exporter.process.pid}; its log says what came of it\n"
        )


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([], 1, "claw-exporter: exporters that run here: none\n"),
        ([17, 18], 1, "claw-exporter: exporters that run here: 17, 18; name one with --pid\n"),
        ([2**22 + 1], 1, "claw-exporter: cannot tell process 4194305 (No such process)\n"),
    ],
)
def test_the_command_says_why_it_told_nobody(
    found: list[int],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("claw_exporter.cli.running", lambda: found)
    assert main(["reload"], {}) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/usr/bin/python3 /opt/bin/claw-exporter serve", True),
        ("python -m claw_exporter.cli serve --port 0", True),
        ("python /opt/bin/claw-exporter check serve.yml", False),
        ("python -m claw_exporter.render serve", False),
        ("timeout 60 claw-exporter serve", False),
        ("vi claw-exporter serve", False),
        ("", False),
    ],
)
def test_an_exporter_is_known_by_its_command_line(words: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert _is_exporter(words.split()) is expected


def has(exporter: Served, *lines: str) -> bool:
    return set(lines) <= set(exporter.get("/metrics").splitlines())


def redis_clients(server: Redis) -> list[str]:
    with redis.Redis.from_url(server.url) as client:
        return [entry["id"] for entry in client.client_list() if entry["name"] == "claw-exporter"]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ready(exporter: Served) -> bool:
    try:
        return bool(json.loads(exporter.get("/readyz"))["ready"])
    except urllib.error.HTTPError as error:
        error.close()
        return False
