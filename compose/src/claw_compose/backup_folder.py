"""Where backups are kept, for how long, and the metrics that tell how old the last one is."""

from __future__ import annotations

import fcntl
import re
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from claw_compose import manifest as manifests
from claw_compose.errors import ComposeError, SettingsError
from claw_compose.parts import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claw_compose.engine import Stack
    from claw_compose.manifest import Manifest

__all__ = [
    "METRICS",
    "directory",
    "ensure_metrics",
    "keep",
    "last_success",
    "locked",
    "new_name",
    "now",
    "partials",
    "skipped",
    "surplus",
    "write_metrics",
]

DEFAULT_DIRECTORY: Final = "./backups"
DEFAULT_KEEP: Final = 7
PARTIAL: Final = ".partial"
NAME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{6}Z")
LAST_SUCCESS: Final = "claw_ai_backup_last_success_timestamp_seconds"
# Name -> HELP. The catalogue (exporter/src/claw_exporter/catalog.py) says the same; a test compares them.
METRICS: Final = {
    LAST_SUCCESS: ("Unix time of the end of the last complete backup; 0 where there has been none."),
    "claw_ai_backup_last_duration_seconds": "How long the last complete backup took.",
    "claw_ai_backup_size_bytes": "Size of the last complete backup.",
}


def directory(stack: Stack) -> Path:
    """Returns the folder of all backups; relative paths begin at the repository, as in the compose file."""
    return (stack.repository / (stack.settings.get("CLAW_BACKUP_DIR") or DEFAULT_DIRECTORY)).resolve()


def keep(stack: Stack) -> int:
    """Returns how many complete backups are kept.

    Raises:
        SettingsError: It is no number above 0.
    """
    text = stack.settings.get("CLAW_BACKUP_KEEP") or str(DEFAULT_KEEP)
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"CLAW_BACKUP_KEEP is {text!r}: not a number above 0; example 7")
    return int(text)


def skipped(stack: Stack) -> set[str]:
    """Returns the parts that the operator does not want in a backup.

    Raises:
        SettingsError: One of them does not exist.
    """
    words = {word.strip() for word in stack.settings.get("CLAW_BACKUP_SKIP", "").split(",")} - {""}
    unknown = sorted(words - set(names()))
    if unknown:
        raise SettingsError(f"CLAW_BACKUP_SKIP names {', '.join(unknown)}; there are: {', '.join(names())}")
    return words


def now() -> datetime:
    """Returns the time in UTC."""
    return datetime.now(UTC)


def new_name(folder: Path, moment: datetime, suffix: str = "") -> str:
    """Returns the name of a backup that begins now; a second later where that one exists."""
    while True:
        name = f"{moment:%Y-%m-%dT%H%M%SZ}{suffix}"
        if not (folder / name).exists() and not (folder / f"{name}{PARTIAL}").exists():
            return name
        moment += timedelta(seconds=1)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps others from writing or restoring backups at the same time.

    Raises:
        ComposeError: Somebody does, or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise ComposeError(f"{folder} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ComposeError(f"another backup or restore is running ({folder}/.lock)") from None
        yield


def partials(folder: Path) -> list[Path]:
    """Returns what interrupted backups left."""
    return sorted(folder.glob(f"*{PARTIAL}"))


def surplus(folder: Path, number: int) -> list[Path]:
    """Returns the backups that are no longer needed to keep this many complete ones.

    An incomplete one goes once it is older than all of those; so it never takes the place of a complete one.
    """
    found = [path for path in sorted(folder.iterdir(), reverse=True) if NAME.fullmatch(path.name)]
    whole = [path for path in found if _is_whole(path)]
    if len(whole) < number:
        return []
    return [path for path in found if path.name < whole[number - 1].name]


def _is_whole(path: Path) -> bool:
    try:
        return manifests.read(path).is_whole
    except ComposeError:
        return False


def remove(path: Path) -> None:
    """Deletes a backup, its manifest first: what is left of it never looks complete."""
    (path / manifests.FILE).unlink(missing_ok=True)
    shutil.rmtree(path)


def ensure_metrics(stack: Stack) -> None:
    """Writes that there has been no backup yet, unless there is a file that knows better.

    The node exporter shows it, and BackupStale tells. `up` calls this before anything starts: the folder must
    be there to be mounted.

    Raises:
        ComposeError: The folder cannot be written.
    """
    folder = directory(stack)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _metrics_file(folder).exists():
            _write_metrics(folder, {LAST_SUCCESS: 0})
    except OSError as error:
        raise ComposeError(f"{folder} cannot be written: {error.strerror}") from error


def write_metrics(folder: Path, manifest: Manifest) -> None:
    """Tells the node exporter about a complete backup."""
    started, finished = (datetime.fromisoformat(text) for text in (manifest.started, manifest.finished))
    values = (finished.timestamp(), (finished - started).total_seconds(), manifest.bytes)
    _write_metrics(folder, dict(zip(METRICS, values, strict=True)))


def last_success(stack: Stack) -> datetime | None:
    """Returns when the last complete backup ended; None where there has been none."""
    path = _metrics_file(directory(stack))
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(rf"^{LAST_SUCCESS} (\S+)", text, re.MULTILINE)
    moment = float(found[1]) if found else 0
    return datetime.fromtimestamp(moment, UTC) if moment else None


def _metrics_file(folder: Path) -> Path:
    return folder / "metrics" / "backup.prom"


def _write_metrics(folder: Path, values: dict[str, float]) -> None:
    path = _metrics_file(folder)
    path.parent.mkdir(exist_ok=True)
    # Read by the user of the node exporter, whatever umask the operator has.
    path.parent.chmod(0o755)
    lines = [
        f"# HELP {name} {METRICS[name]}\n# TYPE {name} gauge\n{name} {value:.15g}\n"
        for name, value in values.items()
    ]
    # At once: the node exporter must not read half of it. It reads only names that end in .prom.
    half = path.with_suffix(".new")
    half.write_text("".join(lines), encoding="utf-8")
    half.chmod(0o644)
    half.replace(path)
