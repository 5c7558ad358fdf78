"""`make restore BACKUP=folder`: what a backup holds takes the place of what is there."""

from __future__ import annotations

import sys
import tarfile
from typing import TYPE_CHECKING, Final

from claw_compose import backup_folder, containers, volumes
from claw_compose import manifest as manifests
from claw_compose.backup import create, ending_cleanly
from claw_compose.dumps import Server
from claw_compose.errors import ComposeError, SettingsError
from claw_compose.parts import CONFIGURATION, PARTS, POSTGRES
from claw_compose.versions import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from claw_compose.engine import Stack
    from claw_compose.manifest import Manifest

__all__ = ["SAFETY", "restore"]

# Ends the name of the backup that a restore makes first. Such a one is never deleted by itself.
SAFETY: Final = "-before-restore"
# How many numbers of a version decide whether its data can be read by another: a dump of Postgres fits every
# server of the same or a later major version.
DECISIVE: Final = {POSTGRES: 1}


def restore(  # noqa: PLR0913 - the options of a command line
    stack: Stack,
    folder: Path,
    *,
    only: Sequence[str] | None = None,
    yes: bool = False,
    no_safety_backup: bool = False,
    say: Callable[[str], None],
) -> int:
    """Puts a backup back.

    Args:
        stack: Where to.
        folder: The backup, or the name of one in CLAW_BACKUP_DIR.
        only: The parts to put back; all that the backup has by default.
        yes: Does not ask.
        no_safety_backup: Makes no backup of what is replaced.
        say: Told what happens.

    Returns:
        0; 1 where the person said no.

    Raises:
        ComposeError: The backup is damaged, does not fit, or something failed; the message says which.
    """
    folder = _find(stack, folder)
    manifest = manifests.read(folder)
    chosen = _choose(manifest, only or ())
    manifests.verify(folder, manifest)
    say(f"{folder.name}: {len(manifest.parts)} files, every checksum is right")
    _Files(stack, folder, say).put_back(chosen)
    services = [service for service in chosen if service != CONFIGURATION]
    if not services:
        return 0
    _must_fit(stack, manifest, services)
    if not (yes or _agreed(services)):
        say("Nothing was changed.")
        return 1
    with ending_cleanly(), backup_folder.locked(backup_folder.directory(stack)):
        if not no_safety_backup:
            _keep_what_is_there(stack, say)
        _put_back(stack, folder, manifest, services, say)
    say(f"{folder.name} is back: {', '.join(services)}")
    return 0


def _find(stack: Stack, folder: Path) -> Path:
    for candidate in (folder, stack.repository / folder):
        if candidate.is_dir():
            return candidate.resolve()
    named = backup_folder.directory(stack) / folder.name
    if named.is_dir():
        return named
    raise ComposeError(f"{folder} is no folder; backups are in {backup_folder.directory(stack)}")


def _choose(manifest: Manifest, only: Sequence[str]) -> list[str]:
    unknown = sorted(set(only) - set(manifest.services))
    if unknown:
        raise SettingsError(f"the backup has no {', '.join(unknown)}; it has: {', '.join(manifest.services)}")
    return [service for service in manifest.services if service in only or not only]


def _must_fit(stack: Stack, manifest: Manifest, services: list[str]) -> None:
    """Refuses data that an older program would have to read."""
    problems = []
    for service in services:
        present = stack.whole["services"].get(service)
        if present is None:
            problems.append(f"{service} is not part of this stack")
            continue
        image = manifest.of(service)[0].image
        here = _version(service, str(present["image"]))
        if here and _version(service, image) > here:
            problems.append(f"{service}: {present['image']} is older than {image}, which wrote the data")
    if problems:
        raise ComposeError(
            "The backup does not fit, nothing was changed:\n  "
            + "\n  ".join(problems)
            + "\nUse the version of the repository that wrote it, or name what to put back with --only."
        )


def _version(service: str, image: str) -> tuple[int, ...]:
    """The decisive numbers of an image's tag; nothing where there are none: nobody can tell."""
    wanted = DECISIVE.get(service, 2)
    version = Image.of(image).version[:wanted]
    return version if len(version) == wanted else ()


def _agreed(services: list[str]) -> bool:
    if not sys.stdin.isatty():
        raise ComposeError("A restore replaces data, and there is no terminal to ask: add --yes")
    answer = input(f"This replaces the data of {', '.join(services)}. Type yes to go on: ")
    return answer.strip().lower() == "yes"


def _keep_what_is_there(stack: Stack, say: Callable[[str], None]) -> None:
    say("First a backup of what is there:")
    try:
        made, _ = create(stack, say=say, suffix=SAFETY)
    except ComposeError as error:
        raise ComposeError(
            f"{error}\nSo there is no backup of what is there, and nothing was changed; to replace it all "
            "the same, add --no-safety-backup"
        ) from error
    say(f"It is {made}; delete it when you no longer need it.")


def _put_back(
    stack: Stack, folder: Path, manifest: Manifest, services: list[str], say: Callable[[str], None]
) -> None:
    if POSTGRES in services:
        _start(stack, [POSTGRES], "--wait")
        Server(stack, containers.find(stack)[POSTGRES].id).restore(folder, manifest.of(POSTGRES), say)
    copied = [part for part in PARTS if part.service in services]
    for part in copied:
        volumes.replace(stack, part, folder / manifest.of(part.service)[0].file)
        _start(stack, [part.service])
        say(f"{part.service}: its files are back, it starts")
    if copied:
        say("Waiting until all of them are healthy")
        _start(stack, [part.service for part in copied], "--wait")


def _start(stack: Stack, services: Sequence[str], *options: str) -> None:
    stack.compose("up", "--detach", "--no-deps", *options, *services, profiles=["*"])


class _Files:
    """The operator's files: what is missing is put back, what is there is never touched."""

    def __init__(self, stack: Stack, folder: Path, say: Callable[[str], None]) -> None:
        self._root = stack.repository
        self._archive = folder / f"{CONFIGURATION}.tar"
        self._say = say

    def put_back(self, chosen: list[str]) -> None:
        if CONFIGURATION not in chosen:
            return
        back, differing = [], []
        with tarfile.open(self._archive) as archive:
            for member in archive:
                if member.isdir():
                    self._make_folder(member)
                elif content := archive.extractfile(member):
                    path = self._inside(member)
                    text = content.read()
                    if not path.exists():
                        _write(path, text, member.mode)
                        back.append(member.name)
                    elif path.read_bytes() != text:
                        differing.append(member.name)
        for words, found in (("put back", back), ("left as they are, though the backup differs", differing)):
            if found:
                self._say(f"{CONFIGURATION}: {words}: {', '.join(found)}")

    def _make_folder(self, member: tarfile.TarInfo) -> None:
        path = self._inside(member)
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(member.mode)

    def _inside(self, member: tarfile.TarInfo) -> Path:
        path = (self._root / member.name).resolve()
        if not path.is_relative_to(self._root):
            raise ComposeError(
                f"{self._archive.name} holds {member.name!r}, which is outside of the repository"
            )
        return path


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    path.chmod(mode)
