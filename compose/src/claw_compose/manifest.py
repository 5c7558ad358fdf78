"""The manifest of a backup: what is in the folder, and whether it still is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from claw_compose.errors import ComposeError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FILE", "VERSION", "Entry", "LeftOut", "Manifest", "digest", "read", "verify", "write"]

FILE: Final = "manifest.json"
# Raised when an older program could misread a newer folder.
FORMAT: Final = 1
# Of compose/pyproject.toml; a test compares them.
VERSION: Final = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a backup.

    Attributes:
        service: Whose data it is.
        image: The image that wrote it; empty for the configuration.
        file: Its name in the folder.
        bytes: Its size.
        sha256: Its checksum.
        method: How it became consistent.
        started: When copying began, in UTC.
        finished: When it ended.
        still_seconds: How long the service stood still.
        database: Which one, for a dump of Postgres.
    """

    service: str
    image: str
    file: str
    bytes: int
    sha256: str
    method: str
    started: str
    finished: str
    still_seconds: float = 0.0
    database: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A part that is not in a backup.

    Attributes:
        service: Which one.
        reason: Why, in words.
        on_purpose: Whether the operator said so (CLAW_BACKUP_SKIP).
    """

    service: str
    reason: str
    on_purpose: bool


@dataclass(slots=True, kw_only=True)
class Manifest:
    """What a backup says about itself.

    Attributes:
        tool_version: Of this package.
        revision: Commit of the repository; empty where nobody can tell.
        project: Name of the stack.
        started: When it began, in UTC.
        finished: When it ended.
        parts: Its files.
        left_out: What it lacks, and why.
        format: Of this very document.
    """

    tool_version: str
    revision: str
    project: str
    started: str
    finished: str = ""
    parts: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    format: int = FORMAT

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing that the operator wanted."""
        return all(one.on_purpose for one in self.left_out)

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(entry.bytes for entry in self.parts)

    def of(self, service: str) -> list[Entry]:
        """Returns the files of one service."""
        return [entry for entry in self.parts if entry.service == service]

    @property
    def services(self) -> list[str]:
        """The parts it has, in order."""
        return list(dict.fromkeys(entry.service for entry in self.parts))


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, and waits until the disk has it."""
    text = json.dumps(dataclasses.asdict(manifest), indent=2) + "\n"
    descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Manifest:
    """Returns the manifest of a backup.

    Raises:
        ComposeError: It is not there, or cannot be read.
    """
    path = folder / FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ComposeError(
                f"{path} has the format {document['format']}, this version reads {FORMAT}: use the version "
                "of the repository that wrote it"
            )
        parts = [Entry(**entry) for entry in document.pop("parts")]
        left_out = [LeftOut(**one) for one in document.pop("left_out")]
        manifest = Manifest(**document, parts=parts, left_out=left_out)
    except FileNotFoundError:
        raise ComposeError(f"{folder} is no backup, or half of one: it has no {FILE}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComposeError(f"{path} is damaged: {error}") from error
    strange = [entry.file for entry in manifest.parts if "/" in entry.file or entry.file.startswith(".")]
    if strange:
        raise ComposeError(f"{path} names {strange[0]!r}, which is no file of its folder")
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Compares every file with the manifest.

    Raises:
        ComposeError: Files differ or are missing; the message names each.
    """
    wrong = [problem for entry in manifest.parts if (problem := _problem(folder / entry.file, entry))]
    if wrong:
        raise ComposeError(f"{folder} is damaged, so nothing of it is used:\n  " + "\n  ".join(wrong))


def _problem(path: Path, entry: Entry) -> str:
    try:
        if path.stat().st_size != entry.bytes:
            return f"{entry.file} has {path.stat().st_size} bytes, not {entry.bytes}"
        if digest(path) != entry.sha256:
            return f"{entry.file} is not what was written: its checksum differs"
    except OSError as error:
        return f"{entry.file} cannot be read: {error.strerror}"
    return ""
