"""Backup and restore of the running stack: what is destroyed comes back, counted.

Prometheus, Alertmanager, Postgres and Redis are the real programs. Grafana and Loki have none here: writers
in their place (tests/docker/writers) show that files which never stand still are copied consistently.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.docker.stack import run_command, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.engine import Engine
    from tests.docker.stack import ComposeStack

WRITERS = Path(__file__).with_name("writers")
WRITER_USERS = {"grafana": "472", "loki": "10001"}
ROWS = 12_345
KEYS = 678
SAMPLES = '{__name__=~"up|scrape_samples_scraped|process_start_time_seconds"}[1h]'
# The table and its rows, of constants.
TABLE = f"CREATE TABLE kept AS SELECT n AS id, md5(n::text) AS words FROM generate_series(1, {ROWS}) n"  # noqa: S608


@dataclass(frozen=True)
class Contents:
    """What is counted before and after."""

    samples: dict[str, list[tuple[float, str]]]
    silences: set[str]
    rows: int
    checksum: str
    keys: int


@dataclass(frozen=True)
class Journey:
    """What happened: a backup, everything destroyed, a restore."""

    folder: Path
    before: Contents
    destroyed: Contents
    after: Contents
    restore: str


def sql(stack: ComposeStack, role: str, secret: str, query: str) -> str:
    """What a role is answered that logs in with the password of a secret."""
    login = f'PGPASSWORD="$(cat /run/secrets/{secret})" psql -XAtq -h 127.0.0.1 -U {role} -d claw -c "$1"'
    return stack.inside("postgres", "sh", "-c", login, "sh", query).strip()


def redis(stack: ComposeStack, script: str) -> str:
    login = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)"; export REDISCLI_AUTH; '
    return stack.inside("redis", "sh", "-c", login + script).strip()


def silences(stack: ComposeStack) -> set[str]:
    return {one["id"] for one in stack.ask("alertmanager", "/api/v2/silences")}


def contents(stack: ComposeStack, moment: float) -> Contents:
    there = sql(stack, "claw", "postgres_claw_password", "SELECT to_regclass('kept') IS NOT NULL") == "t"
    table = "SELECT count(*), md5(string_agg(words, '' ORDER BY id)) FROM kept"
    rows = sql(stack, "claw", "postgres_claw_password", table) if there else "0|"
    return Contents(
        samples={
            json.dumps(row["metric"], sort_keys=True): [(at, value) for at, value in row["values"]]
            for row in stack.query(SAMPLES, moment)
        },
        silences=silences(stack),
        rows=int(rows.split("|")[0]),
        checksum=rows.split("|")[1],
        keys=int(redis(stack, "redis-cli --raw eval \"return #redis.call('keys', 'kept:*')\" 0")),
    )


def fill(stack: ComposeStack) -> None:
    """Writes what must not be lost."""
    silence = {
        "matchers": [{"name": "alertname", "value": "Kept", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "test",
        "comment": "must come back",
    }
    stack.ask("alertmanager", "/api/v2/silences", silence)
    sql(stack, "claw", "postgres_claw_password", TABLE)
    redis(stack, f"for n in $(seq {KEYS}); do echo SET kept:$n $n; done | redis-cli > /dev/null")
    wait_for(
        lambda: stack.query('count_over_time(up{job="prometheus"}[1h]) > 2'), seconds=120, what="samples"
    )


@pytest.fixture(scope="module")
def stack(compose_stack: ComposeStack) -> Iterator[ComposeStack]:
    """The stack, where Grafana and Loki are known to have no program."""
    before = dict(compose_stack.environ)
    compose_stack.environ["CLAW_BACKUP_SKIP"] = "grafana,loki"
    yield compose_stack
    compose_stack.environ = before


@pytest.fixture(scope="module")
def journey(stack: ComposeStack) -> Journey:
    fill(stack)
    moment = time.time()
    before = contents(stack, moment)
    said = run_command(stack, "backup").stdout
    folder = Path(said.splitlines()[-1].partition(": ")[0])
    stack.down("--volumes")
    stack.up()
    destroyed = contents(stack, moment)
    restored = run_command(stack, "restore", folder.name, "--yes").stdout
    return Journey(folder, before, destroyed, contents(stack, moment), restored)


def test_everything_was_gone_before_it_came_back(journey: Journey) -> None:
    assert (journey.before.rows, journey.before.keys, len(journey.before.silences)) == (ROWS, KEYS, 1)
    assert journey.destroyed == Contents(samples={}, silences=set(), rows=0, checksum="", keys=0)


def test_every_sample_of_prometheus_is_back(journey: Journey) -> None:
    assert sum(map(len, journey.before.samples.values())) > 20
    assert journey.after.samples == journey.before.samples


def test_the_silences_are_back(journey: Journey) -> None:
    assert journey.after.silences == journey.before.silences


def test_every_row_and_every_key_is_back(journey: Journey) -> None:
    assert (journey.after.rows, journey.after.checksum) == (ROWS, journey.before.checksum)
    assert journey.after.keys == KEYS


def test_the_roles_of_postgres_log_in_with_their_secrets(stack: ComposeStack, journey: Journey) -> None:
    assert journey.after
    for role, secret in (
        ("claw", "postgres_claw_password"),
        ("claw_exporter", "postgres_exporter_password"),
        ("postgres", "postgres_superuser_password"),
    ):
        assert sql(stack, role, secret, "SELECT current_user") == role


def test_restored_files_belong_to_the_user_of_their_service(stack: ComposeStack, journey: Journey) -> None:
    assert journey.after
    for service, path, owner in (
        ("prometheus", "/prometheus", "65534"),
        ("alertmanager", "/alertmanager", "65534"),
        ("redis", "/data", "999"),
    ):
        shown = stack.inside(service, "sh", "-c", f"ls -lnR {path}")
        owners = {line.split()[2] for line in shown.splitlines() if line[:1] in {"d", "-"}}
        assert owners == {owner}, service


def test_everything_is_healthy_after_a_restore(stack: ComposeStack, journey: Journey) -> None:
    assert journey.restore.splitlines()[-1] == (
        f"{journey.folder.name} is back: postgres, redis, alertmanager, prometheus"
    )
    for service in ("postgres", "redis", "alertmanager", "prometheus"):
        assert stack.inspect(service)["State"]["Health"]["Status"] == "healthy"


def test_what_a_restore_replaced_was_backed_up_first(journey: Journey) -> None:
    (safety,) = journey.folder.parent.glob("*-before-restore")
    assert {path.name for path in safety.iterdir()} == {path.name for path in journey.folder.iterdir()}


def test_no_snapshot_is_left_in_prometheus(stack: ComposeStack, journey: Journey) -> None:
    assert journey.after
    run_command(stack, "backup")
    assert stack.inside("prometheus", "ls", "/prometheus/snapshots") == ""


def test_the_age_of_the_backup_reaches_prometheus(stack: ComposeStack, journey: Journey) -> None:
    finished = json.loads((journey.folder / "manifest.json").read_text())["finished"]
    query = "claw_ai_backup_last_success_timestamp_seconds > 0 and claw_ai_backup_size_bytes > 0"
    wait_for(lambda: stack.query(query), seconds=60, what="the metrics of the backup")
    assert finished


def test_one_changed_bit_is_refused_and_nothing_is_touched(
    stack: ComposeStack, journey: Journey, tmp_path: Path
) -> None:
    copy = shutil.copytree(journey.folder, tmp_path / "copy")
    content = bytearray((copy / "redis.tar").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "redis.tar").write_bytes(content)
    running = {name: stack.container(name) for name in ("postgres", "redis", "alertmanager", "prometheus")}

    with pytest.raises(subprocess.CalledProcessError) as error:
        run_command(stack, "restore", str(copy), "--yes")
    assert "redis.tar is not what was written: its checksum differs" in error.value.stderr
    assert {name: stack.container(name) for name in running} == running


def interrupted(stack: ComposeStack, ending: signal.Signals) -> subprocess.Popen[bytes]:
    """A backup that gets a signal while it dumps Postgres."""
    backups = stack.repository / "backups"
    environ = {**stack.environ, "PYTHONPATH": str(stack.repository / "compose" / "src")}
    command = [sys.executable, "-m", "claw_compose", "--env-file", stack.env_file.name, "backup"]
    process = subprocess.Popen(
        command, cwd=stack.repository, env=environ, stdout=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: list(backups.glob("*.partial/postgres-globals.sql")), seconds=60, what="half a backup")
    os.killpg(process.pid, ending)
    process.wait(60)
    return process


def complete(stack: ComposeStack) -> set[str]:
    return {path.parent.name for path in (stack.repository / "backups").glob("*/manifest.json")}


def test_an_interrupted_backup_leaves_nothing_that_looks_complete(
    stack: ComposeStack, journey: Journey
) -> None:
    before = complete(stack)
    assert journey.folder.name in before

    assert interrupted(stack, signal.SIGTERM).returncode == 130
    assert not list((stack.repository / "backups").glob("*.partial"))
    assert interrupted(stack, signal.SIGKILL).returncode == -signal.SIGKILL
    assert list((stack.repository / "backups").glob("*.partial"))
    assert complete(stack) == before

    said = run_command(stack, "backup").stdout
    assert "it was interrupted" in said
    assert not list((stack.repository / "backups").glob("*.partial"))
    assert len(complete(stack)) == len(before) + 1


# -- Grafana and Loki: writers in their place --


@pytest.fixture(scope="module")
def writers(stack: ComposeStack, engine: Engine) -> Iterator[ComposeStack]:
    """Programs that never stop writing, under the names of Grafana and Loki."""
    references = {name: stack.whole["services"][name]["image"] for name in WRITER_USERS}
    for name, reference in references.items():
        arguments = (f"--build-arg=NAME={name}", f"--build-arg=USER_ID={WRITER_USERS[name]}")
        engine.docker("build", "--quiet", "--network=none", *arguments, f"--tag={reference}", str(WRITERS))
    stack.environ["CLAW_BACKUP_SKIP"] = ""
    try:
        stack.compose("up", "--detach", "--no-deps", "--wait", *references, timeout_seconds=120)
        yield stack
    finally:
        stack.environ["CLAW_BACKUP_SKIP"] = "grafana,loki"
        stack.compose("rm", "--stop", "--force", *references)
        engine.docker("volume", "rm", *(f"{stack.project}_{name}-data" for name in references))
        engine.docker("image", "rm", *references.values())


def extracted(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    return folder


def tables(folder: Path) -> tuple[str, int, int]:
    """What SQLite says of a database, and the rows of its two tables."""
    with closing(sqlite3.connect(folder / "grafana.db")) as database:
        (sound,) = database.execute("PRAGMA integrity_check").fetchone()
        (dashboards,) = database.execute("SELECT count(*) FROM dashboard").fetchone()
        (versions,) = database.execute("SELECT count(*) FROM version").fetchone()
    return sound, dashboards, versions


def test_databases_and_logs_that_are_being_written_are_copied_consistently(
    writers: ComposeStack, tmp_path: Path
) -> None:
    said = run_command(writers, "backup").stdout
    folder = Path(said.splitlines()[-1].partition(": ")[0])
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    still = {part["service"]: part["still_seconds"] for part in manifest["parts"]}
    grafana, loki = (extracted(folder / f"{name}.tar", tmp_path / name) for name in ("grafana", "loki"))

    assert manifest["left_out"] == []
    assert 0 < still["grafana"] < 30
    assert (grafana / "grafana.db-wal").stat().st_size
    sound, dashboards, versions = tables(grafana)
    assert sound == "ok"
    assert dashboards == versions > 10
    chunks = (loki / "index").read_text().split()
    assert len(chunks) > 10
    assert all((loki / chunk).stat().st_size == 2000 for chunk in chunks)

    run_command(
        writers, "restore", str(folder), "--yes", "--no-safety-backup", "--only=grafana", "--only=loki"
    )
    copy = tmp_path / "again"
    copy.mkdir()
    for name in ("grafana.db", "grafana.db-wal"):
        writers.docker("cp", f"{writers.container('grafana')}:/var/lib/grafana/{name}", str(copy))
    assert tables(copy)[1] >= dashboards
    assert writers.inside("loki", "head", "-n", str(len(chunks)), "/loki/index").split() == chunks
