"""`make backup`: everything that is kept, consistent, checksummed, in one folder."""

from __future__ import annotations

import os
import signal
import sqlite3
import tarfile
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from claw_compose import backup_folder, containers, volumes
from claw_compose import manifest as manifests
from claw_compose.backup_folder import now
from claw_compose.dumps import GLOBALS, Server, dump_file
from claw_compose.errors import ComposeError
from claw_compose.manifest import Entry, LeftOut, Manifest
from claw_compose.parts import CONFIGURATION, CONFIGURATION_PATHS, PARTS, POSTGRES
from claw_compose.revision import revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import FrameType

    from claw_compose.engine import Stack
    from claw_compose.parts import Part

__all__ = ["backup", "create", "ending_cleanly"]

MEGABYTE: Final = 1_000_000


def backup(stack: Stack, *, say: Callable[[str], None]) -> int:
    """Writes a backup, deletes those that are too many, and tells the node exporter.

    Returns:
        0; 1 where a service that should run does not, so that the backup lacks it.

    Raises:
        ComposeError: Something failed; there is then no new backup, and the old ones are untouched.
    """
    folder, number = backup_folder.directory(stack), backup_folder.keep(stack)
    with ending_cleanly(), backup_folder.locked(folder):
        made, manifest = create(stack, say=say)
        for path in backup_folder.surplus(folder, number):
            backup_folder.remove(path)
            say(f"deleted {path.name}: {number} newer ones are complete (CLAW_BACKUP_KEEP)")
        if manifest.is_whole:
            backup_folder.write_metrics(folder, manifest)
    say(f"{made}: {_size(manifest.bytes)}, verified")
    if manifest.is_whole:
        return 0
    lacks = ", ".join(one.service for one in manifest.left_out if not one.on_purpose)
    say(f"It lacks {lacks}, so it does not count as complete: start it, or name it in CLAW_BACKUP_SKIP")
    return 1


def create(stack: Stack, *, say: Callable[[str], None], suffix: str = "") -> tuple[Path, Manifest]:
    """Writes a backup and verifies it; whoever calls this holds the lock.

    Raises:
        ComposeError: Something failed; what was written is deleted.
    """
    folder = backup_folder.directory(stack)
    skipped = backup_folder.skipped(stack)
    _clear(stack, folder, say)
    started = now()
    name = backup_folder.new_name(folder, started, suffix)
    partial = folder / f"{name}{backup_folder.PARTIAL}"
    partial.mkdir(mode=0o700)
    manifest = Manifest(
        tool_version=manifests.VERSION,
        revision=revision(stack.repository).commit,
        project=stack.project,
        started=_text(started),
    )
    try:
        _Writer(stack, partial, manifest, say).write(skipped)
        manifest.finished = _text(now())
        _flush(partial)
        manifests.verify(partial, manifest)
        manifests.write(partial, manifest)
        partial.rename(folder / name)
    except OSError as error:
        backup_folder.remove(partial)
        raise ComposeError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    except BaseException:
        with volumes.undisturbed():
            backup_folder.remove(partial)
        raise
    return folder / name, manifest


def _clear(stack: Stack, folder: Path, say: Callable[[str], None]) -> None:
    """Tidies up after a backup that was killed."""
    found = containers.find(stack)
    for part in PARTS:
        if part.service in found and found[part.service].state == "paused":
            stack.docker("unpause", found[part.service].id)
            say(f"{part.service}: goes on; an interrupted backup had left it paused")
    for path in backup_folder.partials(folder):
        mark, prometheus = path / volumes.MARK, found.get("prometheus")
        if mark.exists() and prometheus and prometheus.state == "running":
            volumes.drop_snapshot(stack, prometheus.id, mark)
        backup_folder.remove(path)
        say(f"deleted {path.name}: it was interrupted")


class _Writer:
    """Writes the parts of one backup, one after the other."""

    def __init__(self, stack: Stack, folder: Path, manifest: Manifest, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._folder = folder
        self._manifest = manifest
        self._say = say
        self._containers = containers.find(stack)

    def write(self, skipped: set[str]) -> None:
        self._try(CONFIGURATION, skipped, self._configuration)
        self._try(POSTGRES, skipped, self._postgres)
        for part in PARTS:
            self._try(part.service, skipped, lambda container, part=part: self._volume(part, container))  # type: ignore[misc]

    def _try(self, service: str, skipped: set[str], write: Callable[[str], None]) -> None:
        reason, container = self._obstacle(service, skipped)
        if not reason:
            write(container)
            return
        self._say(f"{service}: left out, {reason}")
        on_purpose = service in skipped
        self._manifest.left_out.append(LeftOut(service=service, reason=reason, on_purpose=on_purpose))

    def _obstacle(self, service: str, skipped: set[str]) -> tuple[str, str]:
        if service in skipped:
            return "CLAW_BACKUP_SKIP names it", ""
        if service == CONFIGURATION:
            return "", ""
        if service not in self._stack.whole["services"]:
            return "it is not part of this stack", ""
        container = self._containers.get(service)
        if container is None:
            return "it does not run (no container)", ""
        return ("" if container.state == "running" else f"it does not run ({container.state})"), container.id

    def _configuration(self, _: str) -> None:
        began = now()
        target = self._folder / f"{CONFIGURATION}.tar"
        with (
            volumes.new_file(target) as file,
            tarfile.open(fileobj=file, mode="w") as archive,
        ):
            for path in (
                self._stack.env_file,
                *(self._stack.repository / one for one in CONFIGURATION_PATHS),
            ):
                if path.exists():
                    inside = path.is_relative_to(self._stack.repository)
                    archive.add(path, path.relative_to(self._stack.repository) if inside else path.name)
        self._add(CONFIGURATION, target, "copy", began)

    def _postgres(self, container: str) -> None:
        server = Server(self._stack, container)
        began, target = now(), self._folder / GLOBALS
        server.dump_globals(target)
        self._add(POSTGRES, target, "pg_dumpall --globals-only", began)
        for database in server.databases():
            began, target = now(), self._folder / dump_file(database)
            server.dump(database, target)
            _must_begin(target, b"PGDMP")
            self._add(POSTGRES, target, "pg_dump --format=custom", began, database=database)

    def _volume(self, part: Part, container: str) -> None:
        began = now()
        target = self._folder / f"{part.service}.tar"
        still_seconds = volumes.copy_out(self._stack, part, container, target)
        _must_contain(target, part.needs)
        if part.service == "grafana":
            _must_be_sound(target, "grafana.db")
        self._add(part.service, target, str(part.still), began, still_seconds=still_seconds)

    def _add(  # noqa: PLR0913 - one value each
        self,
        service: str,
        target: Path,
        method: str,
        began: datetime,
        *,
        still_seconds: float = 0.0,
        database: str = "",
    ) -> None:
        container = self._containers.get(service)
        entry = Entry(
            service=service,
            image=container.image if container else "",
            file=target.name,
            bytes=target.stat().st_size,
            sha256=manifests.digest(target),
            method=method,
            started=_text(began),
            finished=_text(now()),
            still_seconds=round(still_seconds, 2),
            database=database,
        )
        self._manifest.parts.append(entry)
        still = f", stood still for {still_seconds:.1f} s" if still_seconds else ""
        of = f" {database}" if database else ""
        self._say(f"{service}{of}: {_size(entry.bytes)}{still}")


def _must_begin(path: Path, magic: bytes) -> None:
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise ComposeError(f"{path.name} is no dump of Postgres")


def _members(path: Path) -> set[str]:
    """The files of an archive; reading them all finds one that ends too early."""
    try:
        with tarfile.open(path) as archive:
            return {member.name.removeprefix("./") for member in archive}
    except tarfile.TarError as error:
        raise ComposeError(f"{path.name} is no whole archive: {error}") from error


def _must_contain(path: Path, needs: tuple[str, ...]) -> None:
    found = _members(path)
    missing = [name for name in needs if name not in found]
    if missing:
        raise ComposeError(f"{path.name} lacks {', '.join(missing)}, without which it cannot be restored")


def _must_be_sound(path: Path, name: str) -> None:
    """Opens the copy of an SQLite database, its journals included, and asks whether it is whole."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, tarfile.open(path) as archive:
        for member in archive:
            base = member.name.removeprefix("./")
            if base in {name, f"{name}-wal", f"{name}-journal"} and (content := archive.extractfile(member)):
                (Path(folder) / base).write_bytes(content.read())
        try:
            with closing(sqlite3.connect(Path(folder) / name)) as database:
                (answer,) = database.execute("PRAGMA quick_check").fetchone()
        except sqlite3.DatabaseError as error:
            answer = str(error)
        if answer != "ok":
            raise ComposeError(f"{name} in {path.name} is no sound database: {answer}")


def _flush(folder: Path) -> None:
    """Waits until the disk has every file."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Makes a terminal that closes, or `kill`, end this program as Ctrl-C does: nothing stays paused."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(one, end) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _size(number: int) -> str:
    return f"{number / MEGABYTE:.1f} MB"
