"""Writing backups, over a fake `docker`; tests/docker/test_backup.py does it with the real one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.compose.backups import World, make, prometheus

from claw_compose import backup_folder, manifest, volumes
from claw_compose.backup import backup
from claw_compose.errors import ComposeError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
ALL = ["configuration", "postgres", "redis", "grafana", "alertmanager", "loki", "prometheus"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make(tmp_path)
    with prometheus(made):
        yield made


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A stack with one backup, to look at."""
    made = make(tmp_path_factory.mktemp("done"))
    with prometheus(made):
        assert run(made) == 0
    return made


def run(world: World) -> int:
    return backup(world.stack, say=world.say)


def only(world: World) -> Path:
    (name,) = world.made()
    return world.backups / name


def members(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        return {member.name.removeprefix("./") for member in archive if member.isfile()}


def values(world: World) -> dict[str, float]:
    text = (world.backups / "metrics" / "backup.prom").read_text()
    pairs = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_a_backup_holds_every_part_and_says_so(done: World) -> None:
    written = manifest.read(only(done))
    assert written.services == ALL
    assert {entry.file for entry in written.parts} | {manifest.FILE} == {p.name for p in only(done).iterdir()}
    assert done.said[-1].startswith(f"{only(done)}: ")
    assert done.said[-1].endswith("verified")


def test_the_manifest_tells_versions_sizes_checksums_and_times(done: World) -> None:
    written = manifest.read(only(done))

    (entry,) = written.of("alertmanager")
    path = only(done) / entry.file
    assert entry.image == "prom/alertmanager:v0.34.0"
    assert entry.bytes == path.stat().st_size
    assert (
        entry.sha256
        == subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout[:64]
    )
    assert written.started <= entry.started <= entry.finished <= written.finished
    assert f'version = "{written.tool_version}"' in (ROOT / "compose/pyproject.toml").read_text()


def test_nobody_else_can_read_a_backup(done: World) -> None:
    assert only(done).stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in only(done).iterdir()} == {0o600}
    assert done.backups.stat().st_mode & 0o777 == 0o700


def test_the_configuration_is_what_a_new_machine_lacks(done: World) -> None:
    assert members(only(done) / "configuration.tar") == {
        ".env.prod",
        "secrets/redis_password",
        "prometheus/targets/apps/shop.yml",
    }


def test_settings_outside_of_the_repository_are_in_it_by_their_name(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "claw.env"
    elsewhere.touch()
    world.stack.env_file.unlink()
    stack = world.stack
    stack.env_file = elsewhere
    backup(stack, say=world.say)

    assert "claw.env" in members(only(world) / "configuration.tar")


@pytest.mark.parametrize("service", ["redis", "grafana", "loki"])
def test_files_that_change_are_copied_while_their_service_is_paused(done: World, service: str) -> None:
    calls = [line for line in done.log.splitlines() if line.split()[0] in {"pause", "cp", "unpause"}]
    at = calls.index(f"pause {service}")

    assert calls[at + 1].startswith(f"cp {service}:")
    assert calls[at + 2] == f"unpause {service}"


def test_alertmanager_writes_its_files_before_they_are_copied(done: World) -> None:
    calls = [line for line in done.log.splitlines() if "alertmanager" in line and "compose" not in line]

    assert calls[-2:] == ["restart alertmanager", "cp alertmanager:/alertmanager/. -"]


def test_a_snapshot_of_prometheus_is_copied_and_deleted(done: World) -> None:
    assert members(only(done) / "prometheus.tar") == {"01BLOCK/meta.json"}
    assert not done.file("prometheus", "snapshots/one").exists()


def test_each_database_has_its_dump_and_no_password_stands_in_a_command(done: World) -> None:
    assert {entry.file: entry.database for entry in manifest.read(only(done)).of("postgres")} == {
        "postgres-globals.sql": "",
        "postgres-claw.dump": "claw",
        "postgres-postgres.dump": "postgres",
    }
    assert "hunter2" not in done.log


def test_a_database_may_have_any_name(world: World) -> None:
    (world.engine / "postgres" / "databases").write_text("it's/odd\n")
    run(world)

    (name,) = [path.name for path in only(world).glob("*.dump")]
    assert name == "postgres-it%27s%2Fodd.dump"
    assert (only(world) / name).read_text() == r"PGDMP--dbname=dbname='it\'s/odd'"


def test_what_the_operator_leaves_out_is_no_fault(world: World) -> None:
    world.settings(CLAW_BACKUP_SKIP="loki, grafana")

    assert run(world) == 0
    assert [(one.service, one.on_purpose) for one in manifest.read(only(world)).left_out] == [
        ("grafana", True),
        ("loki", True),
    ]
    assert "loki: left out, CLAW_BACKUP_SKIP names it" in world.said
    assert "claw_ai_backup_last_success_timestamp_seconds" in values(world)


def test_a_service_that_does_not_run_is_left_out_and_the_backup_does_not_count(world: World) -> None:
    (world.engine / "containers" / "loki").write_text("exited")
    (world.engine / "containers" / "postgres").unlink()

    assert run(world) == 1
    assert [(one.service, one.reason) for one in manifest.read(only(world)).left_out] == [
        ("postgres", "it does not run (no container)"),
        ("loki", "it does not run (exited)"),
    ]
    assert not (world.backups / "metrics").exists()
    assert "lacks postgres, loki" in world.said[-1]


def test_a_service_that_is_not_part_of_the_stack_is_left_out(world: World) -> None:
    world.leave("grafana")

    assert run(world) == 1
    assert "grafana: left out, it is not part of this stack" in world.said


@pytest.mark.parametrize(
    "call",
    [
        "cp redis",
        "restart alertmanager",
        "exec .* pg_dumpall",
        "exec .* pg_dump ",
        "pause grafana",
        "cp prom",
    ],
)
def test_a_failure_leaves_no_backup_and_nothing_paused(world: World, call: str) -> None:
    world.fail(call)
    with pytest.raises(ComposeError, match="the engine says no"):
        run(world)

    assert world.made() == []
    assert {world.state(name) for name in ("redis", "grafana", "loki")} == {"running"}
    assert not world.file("prometheus", "snapshots/one").exists()
    assert not (world.backups / "metrics").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda world: world.file("alertmanager", "silences").unlink(), "lacks silences"),
        (
            lambda world: world.file("grafana", "grafana.db").write_text("x" * 4096),
            "no sound database: file is not",
        ),
        (lambda world: (world.engine / "postgres/magic").write_text("oops"), "is no dump of Postgres"),
    ],
)
def test_a_copy_that_could_not_be_restored_is_refused(world: World, spoil: object, message: str) -> None:
    assert callable(spoil)
    spoil(world)
    with pytest.raises(ComposeError, match=message):
        run(world)

    assert world.made() == []


def test_a_database_in_the_middle_of_a_change_is_sound_together_with_its_log(world: World) -> None:
    path = world.file("grafana", "grafana.db")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO dashboard VALUES ('one')")
        database.commit()
        assert path.with_name("grafana.db-wal").stat().st_size

        assert run(world) == 0


@pytest.mark.parametrize("service", ["redis", "loki"])
def test_an_archive_that_ends_too_early_is_refused(world: World, service: str) -> None:
    world.file(service, "much").write_bytes(os.urandom(200_000))
    (world.engine / "cutting").write_text(service)
    with pytest.raises(ComposeError, match=f"{service}.tar is no whole archive"):
        run(world)

    assert world.made() == []


def test_prometheus_without_its_admin_api_is_told_how_to_get_it(world: World) -> None:
    with (
        prometheus(world, status=503),
        pytest.raises(ComposeError, match=r"no snapshot \(503\): it runs without --web.enable-admin-api"),
    ):
        run(world)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [(500, "", r"no snapshot \(500\)$"), (200, "<html>", r"no snapshot: \S+ answers no JSON: <html>$")],
)
def test_an_answer_of_prometheus_that_is_none_is_told(
    world: World, status: int, body: str, message: str
) -> None:
    with prometheus(world, status=status, body=body), pytest.raises(ComposeError, match=message):
        run(world)


def start(world: World, hangs: str) -> subprocess.Popen[bytes]:
    """A backup in a process of its own, which waits for ever at a command."""
    (world.engine / "hanging").write_text(hangs)
    code = (
        "import os, sys; from pathlib import Path; from claw_compose.cli import main; "
        "sys.exit(main(['backup'], repository=Path(sys.argv[1])))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, world.repository],
        env=os.environ | world.environ,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (world.engine / "hangs").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (world.engine / "hanging").unlink()
    return process


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_backup_leaves_nothing_behind(world: World, ending: signal.Signals) -> None:
    process = start(world, "^cp grafana")
    assert world.state("grafana") == "paused"
    # The whole group, as a terminal does it.
    os.killpg(process.pid, ending)

    assert process.wait(20) == 130
    assert world.made() == []
    assert world.state("grafana") == "running"


def test_the_next_backup_tidies_up_after_one_that_was_killed(world: World) -> None:
    for call in ("^cp grafana", "^cp prometheus"):
        process = start(world, call)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        (world.engine / "hangs").unlink()
        (half,) = world.made()
        assert half.endswith(".partial")
        assert not (world.backups / half / manifest.FILE).exists()
    assert world.file("prometheus", "snapshots/one").exists()
    (world.engine / "containers/grafana").write_text("paused")

    assert run(world) == 0
    assert "grafana: goes on; an interrupted backup had left it paused" in world.said
    assert f"deleted {half}: it was interrupted" in world.said
    assert only(world).suffix == ""
    assert not world.file("prometheus", "snapshots/one").exists()


def test_two_backups_do_not_run_at_once(world: World) -> None:
    with (
        backup_folder.locked(world.backups),
        pytest.raises(ComposeError, match="another backup or restore is running"),
    ):
        run(world)


def test_the_metrics_are_those_of_the_catalogue(world: World) -> None:
    catalogue = json.loads((ROOT / "exporter/metrics.json").read_text())
    ours = {name: entry for name, entry in catalogue.items() if entry["home"] == "commands"}

    assert {name: entry["help"] for name, entry in ours.items()} == backup_folder.METRICS
    assert {entry["type"] for entry in ours.values()} == {"gauge"}
    run(world)
    text = (world.backups / "metrics" / "backup.prom").read_text()
    for name, words in backup_folder.METRICS.items():
        assert f"# HELP {name} {words}\n# TYPE {name} gauge\n{name} " in text


def test_the_metrics_tell_when_how_long_and_how_much(world: World) -> None:
    before = time.time()
    run(world)
    found = values(world)

    assert before <= found["claw_ai_backup_last_success_timestamp_seconds"] + 0.001 <= time.time() + 0.001
    assert 0 < found["claw_ai_backup_last_duration_seconds"] < 60
    assert found["claw_ai_backup_size_bytes"] == sum(
        path.stat().st_size for path in only(world).iterdir() if path.name != manifest.FILE
    )
    assert (world.backups / "metrics" / "backup.prom").stat().st_mode & 0o777 == 0o644
    assert (world.backups / "metrics").stat().st_mode & 0o777 == 0o755


def test_a_stack_without_a_backup_says_never_until_there_is_one(world: World) -> None:
    backup_folder.ensure_metrics(world.stack)
    assert values(world) == {"claw_ai_backup_last_success_timestamp_seconds": 0}

    run(world)
    backup_folder.ensure_metrics(world.stack)
    assert values(world)["claw_ai_backup_last_success_timestamp_seconds"] > 0


def test_the_newest_complete_backups_are_kept(world: World) -> None:
    world.settings(CLAW_BACKUP_KEEP="2")
    for _ in range(3):
        run(world)
    (safety := world.backups / "2020-01-01T000000Z-before-restore").mkdir()
    _, oldest, newer = world.made()
    run(world)

    assert world.made()[:2] == [safety.name, newer]
    assert len(world.made()) == 3
    assert any(line.startswith(f"deleted {oldest}: 2 newer ones are complete") for line in world.said)


def test_backups_that_lack_something_never_push_out_complete_ones(world: World) -> None:
    world.settings(CLAW_BACKUP_KEEP="1")
    run(world)
    (complete,) = world.made()
    (world.engine / "containers" / "redis").unlink()
    run(world)
    run(world)
    assert complete in world.made()
    assert len(world.made()) == 3

    (world.engine / "containers" / "redis").write_text("running")
    run(world)
    assert len(world.made()) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CLAW_BACKUP_KEEP", "0", "CLAW_BACKUP_KEEP is '0': not a number above 0"),
        ("CLAW_BACKUP_KEEP", "many", "CLAW_BACKUP_KEEP is 'many': not a number above 0"),
        ("CLAW_BACKUP_SKIP", "loki,gafana", "CLAW_BACKUP_SKIP names gafana; there are: configuration, "),
    ],
)
def test_a_wrong_setting_is_quoted(world: World, name: str, value: str, message: str) -> None:
    world.settings(**{name: value})
    with pytest.raises(SettingsError, match=message):
        run(world)


def test_the_folder_of_the_backups_can_be_elsewhere(world: World, tmp_path: Path) -> None:
    world.environ["CLAW_BACKUP_DIR"] = str(tmp_path / "elsewhere")
    run(world)

    assert not world.backups.exists()
    assert (tmp_path / "elsewhere" / "metrics" / "backup.prom").exists()


def test_a_folder_that_cannot_be_written_is_named(world: World) -> None:
    world.backups.write_text("a file")

    with pytest.raises(ComposeError, match="backups cannot be written: File exists"):
        run(world)
    with pytest.raises(ComposeError, match="backups cannot be written: File exists"):
        backup_folder.ensure_metrics(world.stack)


def test_a_disk_that_is_full_leaves_no_backup(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(volumes, "new_file", full)
    with pytest.raises(ComposeError, match=r"configuration.tar cannot be written: No space left on device"):
        run(world)

    assert world.made() == []
