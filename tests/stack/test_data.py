"""What compose starts Postgres and Redis with, in the real ones."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_native.servers import Postgres

ROOT = Path(__file__).resolve().parents[2]
ROLES = (ROOT / "postgres" / "initdb.d" / "10-roles.sql").read_text()
PASSWORDS = {"postgres_claw_password": 'it\'s a \\ "quote"', "postgres_exporter_password": "reads-only"}
DEADLINE_SECONDS = 20


# ---- Postgres ----------------------------------------------------------------------------------------------
class Database:
    """The roles of `10-roles.sql` under other names, beside those the fixture has already made."""

    def __init__(self, tools: Path, server: Postgres) -> None:
        self.psql = tools / "psql"
        self.server = server

    def run(self, dsn: str, *options: str, password: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.psql, "--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", dsn, *options],
            env={**os.environ, "PGPASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, user: str, sql: str, database: str = "fresh") -> subprocess.CompletedProcess[str]:
        name = "postgres_exporter_password" if user.endswith("exporter") else "postgres_claw_password"
        dsn = f"postgresql://{user}@127.0.0.1:{self.server.port}/{database}"
        return self.run(dsn, "-c", sql, password=PASSWORDS[name])


@pytest.fixture
def database(tools: Path, postgres: Postgres, tmp_path: Path) -> Iterator[Database]:
    for name, value in PASSWORDS.items():
        (tmp_path / name).write_text(value)
    script = tmp_path / "roles.sql"
    script.write_text(
        ROLES.replace("/run/secrets", str(tmp_path))
        .replace("claw_exporter", "fresh_exporter")
        .replace("ROLE claw ", "ROLE fresh ")
        .replace("DATABASE claw", "DATABASE fresh")
        .replace("OWNER claw", "OWNER fresh")
    )
    found = Database(tools, postgres)
    made = found.run(postgres.superuser_dsn, "-f", str(script))
    assert made.returncode == 0, made.stderr
    yield found
    for statement in ("DATABASE fresh WITH (FORCE)", "ROLE fresh", "ROLE fresh_exporter"):
        assert found.run(postgres.superuser_dsn, "-c", f"DROP {statement}").returncode == 0


def test_the_application_may_change_its_database(database: Database) -> None:
    done = database.ask("fresh", "CREATE TABLE messages (id int); INSERT INTO messages VALUES (7)")

    assert done.returncode == 0, done.stderr


def test_the_exporter_reads_what_the_application_wrote_and_writes_nothing(database: Database) -> None:
    database.ask("fresh", "CREATE TABLE messages (id int); INSERT INTO messages VALUES (7)")

    assert database.ask("fresh_exporter", "SELECT id FROM messages").stdout.strip() == "7"
    assert "permission denied" in database.ask("fresh_exporter", "INSERT INTO messages VALUES (8)").stderr
    assert "permission denied" in database.ask("fresh_exporter", "CREATE TABLE public.mine (id int)").stderr


def test_the_exporter_sees_the_queries_of_others(database: Database) -> None:
    role = "SELECT pg_has_role('fresh_exporter', 'pg_monitor', 'usage')"

    assert database.ask("fresh_exporter", role).stdout.strip() == "t"


def test_the_application_administers_nothing(database: Database) -> None:
    rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"

    assert database.ask("fresh", rights).stdout.strip() == "f"


def test_a_wrong_password_opens_nothing(database: Database, postgres: Postgres) -> None:
    dsn = f"postgresql://fresh@127.0.0.1:{postgres.port}/fresh"

    assert "password authentication failed" in database.run(dsn, "-c", "SELECT 1", password="claw").stderr


# ---- Redis -------------------------------------------------------------------------------------------------
@pytest.fixture
def redis_command(services: dict[str, Any], tmp_path: Path) -> list[str]:
    """The command of the service, with the container's paths moved into a folder."""
    (tmp_path / "redis_password").write_text("correct-horse")
    # docker-compose shows its own output's dollar signs doubled.
    script = services["redis"]["command"][-1].replace("$$", "$")
    for path, moved in (
        ("/run/secrets/", f"{tmp_path}/"),
        ("/etc/redis/redis.conf", f"{tmp_path}/redis.conf"),
    ):
        assert path in script
        script = script.replace(path, moved)
    return [*services["redis"]["command"][:-1], script]


@contextmanager
def redis(tools: Path, command: list[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    text = (ROOT / "redis" / "redis.conf").read_text()
    (folder / "redis.conf").write_text(
        text.replace("port 6379", f"port {port}").replace("dir /data", f"dir {folder}")
    )
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log)
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while "Ready to accept" not in (folder / "log").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def test_redis_starts_with_our_configuration_and_its_password(
    tools: Path, redis_command: list[str], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()

    def ask(*words: str, password: str | None = None) -> str:
        environment = {**os.environ, **({"REDISCLI_AUTH": password} if password else {})}
        command: list[str | Path] = [tools / "redis-cli", "-p", str(port), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    with redis(tools, redis_command, tmp_path, port) as process:
        assert "NOAUTH" in ask("ping")
        assert ask("ping", password="correct-horse").strip() == "PONG"
        assert ask("config", "get", "appendonly", password="correct-horse").split() == ["appendonly", "yes"]
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes()

    assert b"redis-server" in seen
    assert b"correct-horse" not in seen


def test_redis_refuses_a_write_before_its_container_is_full(services: dict[str, Any]) -> None:
    text = (ROOT / "redis" / "redis.conf").read_text()
    (maximum,) = [int(line.split()[1][:-2]) for line in text.splitlines() if line.startswith("maxmemory ")]
    limit = int(services["redis"]["deploy"]["resources"]["limits"]["memory"]) / 2**20

    # Room for buffers and for the copy that a background save makes.
    assert maximum <= 0.7 * limit
