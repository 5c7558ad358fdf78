"""Putting backups back, over a fake `docker`; tests/docker/test_backup.py does it with the real one."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from tests.compose.backups import World, copy, make, prometheus

from claw_compose import backup_folder, cli, manifest
from claw_compose.backup import backup
from claw_compose.errors import ComposeError, SettingsError
from claw_compose.restore import restore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A stack with one backup."""
    made = make(tmp_path_factory.mktemp("template"))
    with prometheus(made):
        backup(made.stack, say=made.say)
    return made


@pytest.fixture
def world(template: World, tmp_path: Path) -> Iterator[World]:
    """A stack with one backup, and another silence than the backup has."""
    made = copy(template, tmp_path)
    (made.engine / "log").write_text("")
    made.file("alertmanager", "silences").write_text("another silence")
    with prometheus(made):
        yield made


def folder(world: World) -> Path:
    return world.backups / world.made()[0]


def put_back(world: World, *only: str, yes: bool = True, no_safety_backup: bool = True) -> int:
    return restore(
        world.stack, folder(world), only=only, yes=yes, no_safety_backup=no_safety_backup, say=world.say
    )


def spoil(path: Path) -> None:
    """Changes one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(world: World, **values: object) -> None:
    path = folder(world) / manifest.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_everything_is_put_back_and_told(world: World) -> None:
    world.file("redis", "appendonlydir/later").write_text("")

    assert put_back(world) == 0
    assert world.file("alertmanager", "silences").read_text() == "a silence"
    assert not world.file("redis", "appendonlydir/later").exists()
    assert world.file("prometheus", "01BLOCK/meta.json").exists()
    assert {world.state(name) for name in ("redis", "grafana", "loki", "prometheus")} == {"running"}
    assert (
        world.said[-1]
        == f"{folder(world).name} is back: postgres, redis, grafana, alertmanager, loki, prometheus"
    )
    assert "up --detach --no-deps --wait redis grafana alertmanager loki prometheus" in world.log


def test_files_go_into_a_new_volume_before_anything_reads_them(world: World) -> None:
    put_back(world, "redis")
    steps = [
        next(
            step
            for step in ("rm --stop", "volume rm", "up --no-start", "cp -", "up --detach")
            if step in line
        )
        for line in world.log.splitlines()
        if "redis" in line and "inspect" not in line
    ]

    assert steps == ["rm --stop", "volume rm", "up --no-start", "cp -", "up --detach", "up --detach"]


def test_one_part_can_be_put_back_alone(world: World) -> None:
    put_back(world, "alertmanager")

    assert world.file("alertmanager", "silences").read_text() == "a silence"
    assert "volume rm" in world.log
    assert "redis-data" not in world.log
    assert world.sql == ""


def test_a_part_that_the_backup_lacks_is_named(world: World) -> None:
    with pytest.raises(
        SettingsError, match="the backup has no mysql; it has: configuration, postgres, redis"
    ):
        put_back(world, "mysql")


@pytest.mark.parametrize("file", ["redis.tar", "postgres-claw.dump", "configuration.tar"])
def test_one_wrong_bit_is_found_before_anything_is_touched(world: World, file: str) -> None:
    spoil(folder(world) / file)
    with pytest.raises(ComposeError, match=f"{file} is not what was written: its checksum differs"):
        put_back(world)

    assert "rm" not in world.log
    assert world.sql == ""


def test_every_damaged_file_is_named_at_once(world: World) -> None:
    (folder(world) / "loki.tar").unlink()
    with (folder(world) / "grafana.tar").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ComposeError) as error:
        put_back(world)

    assert "loki.tar cannot be read: No such file or directory" in str(error.value)
    assert "grafana.tar has " in str(error.value)


def test_what_is_no_backup_is_told(world: World, tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match=r"no backup, or half of one: it has no manifest.json"):
        restore(world.stack, tmp_path, yes=True, say=world.say)
    with pytest.raises(ComposeError, match=r"nowhere is no folder; backups are in .*backups$"):
        restore(world.stack, tmp_path / "nowhere", yes=True, say=world.say)


def test_a_backup_is_found_by_its_name(world: World) -> None:
    assert (
        restore(world.stack, type(folder(world))(folder(world).name), only=["configuration"], say=world.say)
        == 0
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2}, "has the format 2, this version reads 1: use the version"),
        ({"parts": [{"service": "redis"}]}, "manifest.json is damaged: "),
        ({"parts": 3}, "manifest.json is damaged: "),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_told(
    world: World, values: dict[str, object], message: str
) -> None:
    edit(world, **values)
    with pytest.raises(ComposeError, match=message):
        put_back(world)


def test_a_manifest_cannot_lead_out_of_its_folder(world: World) -> None:
    parts = json.loads((folder(world) / manifest.FILE).read_text())["parts"]
    edit(world, parts=[parts[0] | {"file": "../../.env.prod"}])
    with pytest.raises(ComposeError, match=r"names '\.\./\.\./\.env\.prod', which is no file of its folder"):
        put_back(world)


@pytest.mark.parametrize(
    ("service", "image", "fits"),
    [
        ("grafana", "grafana/grafana:13.1.9", False),
        ("grafana", "grafana/grafana:13.2.0", True),  # another patch
        ("grafana", "grafana/grafana:13.3.0", True),
        ("grafana", "grafana/grafana@sha256:0", True),  # nobody can tell
        ("postgres", "postgres:16.14-alpine", False),
        ("postgres", "postgres:17.2-alpine", True),
        ("postgres", "postgres:18.1-alpine", True),
        ("redis", "redis:7.2.14-alpine", False),
        ("prometheus", "prom/prometheus:v3.9.0", False),
    ],
)
def test_data_goes_to_the_same_or_a_later_version(
    world: World, service: str, image: str, *, fits: bool
) -> None:
    world.change_config(service, image=image)
    if fits:
        assert put_back(world, service) == 0
        return
    with pytest.raises(ComposeError, match=rf"{service}: {image} is older than \S+, which wrote the data"):
        put_back(world, service)
    assert "volume rm" not in world.log


def test_a_part_without_a_service_does_not_fit(world: World) -> None:
    world.leave("loki")
    with pytest.raises(ComposeError, match="loki is not part of this stack"):
        put_back(world)


def test_nothing_is_replaced_without_a_yes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ComposeError, match="no terminal to ask: add --yes"):
        put_back(world, yes=False)

    terminal = io.StringIO("no\nyes\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)
    assert put_back(world, "alertmanager", yes=False) == 1
    assert world.said[-1] == "Nothing was changed."
    assert "volume rm" not in world.log
    assert put_back(world, "alertmanager", yes=False) == 0


def test_what_is_replaced_is_backed_up_first(world: World) -> None:
    put_back(world, "alertmanager", no_safety_backup=False)
    first, safety = world.made()
    assert safety.endswith("-before-restore")

    restore(
        world.stack,
        world.backups / safety,
        only=["alertmanager"],
        yes=True,
        no_safety_backup=True,
        say=world.say,
    )
    assert world.file("alertmanager", "silences").read_text() == "another silence"
    assert first in world.made()


def test_without_a_safety_backup_nothing_is_replaced(world: World) -> None:
    world.fail("^pause redis")
    with pytest.raises(
        ComposeError, match="nothing was changed; to replace it all the same, add --no-safety-backup"
    ):
        put_back(world, no_safety_backup=False)

    assert "volume rm" not in world.log
    assert len(world.made()) == 1


def test_files_of_the_operator_come_back_where_they_are_missing(world: World) -> None:
    (world.repository / ".env.prod").unlink()
    (world.repository / "secrets/redis_password").write_text("changed since")
    shop = world.repository / "prometheus/targets/apps/shop.yml"
    shop.chmod(0o640)
    shop.unlink()
    shop.parent.rmdir()
    world.environ["CLAW_BACKUP_KEEP"] = "7"

    restore(world.stack, folder(world), only=["configuration"], say=world.say)

    assert (world.repository / ".env.prod").read_text() == "# nothing\n"
    assert shop.stat().st_mode & 0o777 == 0o644
    assert (world.repository / "secrets/redis_password").read_text() == "changed since"
    assert world.said[1:] == [
        "configuration: put back: .env.prod, prometheus/targets/apps/shop.yml",
        "configuration: left as they are, though the backup differs: secrets/redis_password",
    ]


def test_an_archive_cannot_write_outside_of_the_repository(world: World) -> None:
    path = folder(world) / "configuration.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    parts = json.loads((folder(world) / manifest.FILE).read_text())["parts"]
    edit(world, parts=[parts[0] | {"sha256": manifest.digest(path), "bytes": path.stat().st_size}])

    with pytest.raises(ComposeError, match=r"holds '\.\./outside', which is outside of the repository"):
        put_back(world, "configuration")
    assert not (world.repository.parent / "outside").exists()


def test_roles_come_before_databases_and_their_passwords_are_todays(world: World) -> None:
    put_back(world, "postgres")
    sql = world.sql

    assert (
        "DO $claw$BEGIN CREATE ROLE claw; EXCEPTION WHEN duplicate_object THEN END$claw$;\nALTER ROLE claw"
        in sql
    )
    assert r"\set password `cat /run/secrets/postgres_claw_password`" in sql
    assert (
        sql.index("CREATE ROLE")
        < sql.index("ALTER ROLE claw NOLOGIN")
        < sql.index("RENAME")
        < sql.index("PGDMP")
    )
    assert sql.index("PGDMP") < sql.index("ALTER ROLE claw LOGIN") < sql.index("-- vacuumdb")


def test_a_database_is_replaced_only_when_its_successor_is_there(world: World) -> None:
    put_back(world, "postgres")

    aside = 'ALTER DATABASE "claw" RENAME TO "claw_before_restore";'
    gone = 'DROP DATABASE IF EXISTS "claw_before_restore" WITH (FORCE);'
    assert world.sql.index(aside) < world.sql.index("PGDMP--dbname=dbname='claw'") < world.sql.index(gone)


def test_a_database_that_cannot_be_read_leaves_the_old_one(world: World) -> None:
    world.fail("pg_restore")
    with pytest.raises(ComposeError, match=r"pg_restore in postgres: .*the engine says no"):
        put_back(world, "postgres")

    gone = 'DROP DATABASE IF EXISTS "claw" WITH (FORCE);'
    back = f'{gone}\n\n-- psql\nALTER DATABASE "claw_before_restore" RENAME TO "claw";'
    assert back in world.sql
    assert world.sql.index(back) < world.sql.index("ALTER ROLE claw LOGIN")


def test_a_restore_that_was_killed_can_be_repeated(world: World) -> None:
    (world.engine / "postgres/databases").write_text("claw\nclaw_before_restore\n")
    put_back(world, "postgres")

    assert 'DROP DATABASE IF EXISTS "claw" WITH (FORCE);' in world.sql
    assert 'ALTER DATABASE "claw" RENAME' not in world.sql


def test_a_volume_that_is_a_folder_of_the_machine_is_left_to_the_operator(world: World) -> None:
    world.change_config("loki", volumes=[{"type": "bind", "source": "/srv/loki", "target": "/loki"}])
    with pytest.raises(ComposeError, match="loki has no volume at /loki: put its files back by hand"):
        put_back(world, "loki")


def test_no_backup_is_made_meanwhile(world: World) -> None:
    with backup_folder.locked(world.backups), pytest.raises(ComposeError, match="another backup or restore"):
        put_back(world, "redis")


def test_the_command_line_hands_its_options_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    words = [
        "restore",
        str(folder(world)),
        "--only",
        "redis",
        "--only",
        "loki",
        "--yes",
        "--no-safety-backup",
    ]

    assert cli.main(words, repository=world.repository) == 0
    assert "cp - redis:/data" in world.log
    assert "cp - loki:/loki" in world.log
    assert "alertmanager-data" not in world.log
