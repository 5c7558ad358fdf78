"""Files of a service's volume: out of it while they stand still, and back into a new one.

`docker cp` moves them as a tar archive with their owners, whether the container runs, is paused or never ran,
and without a program inside it.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from claw_compose import containers, web
from claw_compose.errors import ComposeError, RefusedError
from claw_compose.parts import Still

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from claw_compose.engine import Stack
    from claw_compose.parts import Part

__all__ = ["copy_out", "drop_snapshot", "new_file", "replace", "undisturbed"]

# A snapshot writes down what is only in memory first.
SNAPSHOT_SECONDS: Final = 600
# What Prometheus answers when it may not.
ADMIN_API_OFF: Final = 503
SNAPSHOTS: Final = "/prometheus/snapshots"
# Name of the file that remembers a snapshot until it is deleted.
MARK: Final = "prometheus.snapshot"


def new_file(path: Path) -> BinaryIO:
    """Opens a new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Lets no signal interrupt what must be done to the end."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(one, signal.SIG_IGN) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def copy_out(stack: Stack, part: Part, container: str, target: Path) -> float:
    """Writes the files of a volume into a tar archive; returns for how many seconds the service stood still.

    Raises:
        ComposeError: That failed. The service goes on, whatever happened.
    """
    match part.still:
        case Still.PAUSE:
            return _copy_paused(stack, part, container, target)
        case Still.RESTART:
            began = time.monotonic()
            # Docker does both: whatever becomes of this program, nothing is left stopped.
            stack.docker("restart", container)
            still_seconds = time.monotonic() - began
            _copy(stack, container, part.path, target)
            return still_seconds
        case Still.SNAPSHOT:
            _copy_snapshot(stack, container, target)
    return 0.0


def _copy(stack: Stack, container: str, path: str, target: Path) -> None:
    with new_file(target) as file:
        stack.docker("cp", f"{container}:{path}/.", "-", stdout=file)


def _copy_paused(stack: Stack, part: Part, container: str, target: Path) -> float:
    began = time.monotonic()
    try:
        stack.docker("pause", container)
        _copy(stack, container, part.path, target)
    finally:
        with undisturbed():
            stack.docker("unpause", container, check=False)
    return time.monotonic() - began


def _copy_snapshot(stack: Stack, container: str, target: Path) -> None:
    name = _snapshot(stack.url("prometheus", "/api/v1/admin/tsdb/snapshot"))
    mark = target.with_name(MARK)
    mark.write_text(name, encoding="utf-8")
    try:
        _copy(stack, container, f"{SNAPSHOTS}/{name}", target)
    finally:
        with undisturbed():
            drop_snapshot(stack, container, mark)


def drop_snapshot(stack: Stack, container: str, mark: Path) -> None:
    """Deletes a snapshot: its hard links would keep deleted data on the disk."""
    name = mark.read_text(encoding="utf-8")
    stack.docker("exec", container, "rm", "-rf", f"{SNAPSHOTS}/{name}")
    mark.unlink()


def _snapshot(url: str) -> str:
    try:
        return str(web.post(url, timeout_seconds=SNAPSHOT_SECONDS)["data"]["name"])
    except RefusedError as error:
        hint = ": it runs without --web.enable-admin-api; bring it up to date:  make up"
        raise ComposeError(
            f"Prometheus made no snapshot ({error.status}){hint if error.status == ADMIN_API_OFF else ''}"
        ) from error
    except (ComposeError, KeyError, TypeError) as error:
        raise ComposeError(f"Prometheus made no snapshot: {error}") from error


def replace(stack: Stack, part: Part, archive: Path) -> None:
    """Makes the volume of a service anew, with the files of an archive; the service is then not started.

    Raises:
        ComposeError: That failed.
    """
    volume = _volume(stack, part)
    stack.compose("rm", "--stop", "--force", part.service)
    stack.docker("volume", "rm", "--force", volume)
    # A new volume gets the owner that the image wants.
    stack.compose("up", "--no-start", "--no-deps", part.service, profiles=["*"])
    container = containers.find(stack)[part.service].id
    with archive.open("rb") as file:
        stack.docker("cp", "-", f"{container}:{part.path}", stdin=file)


def _volume(stack: Stack, part: Part) -> str:
    for mount in stack.whole["services"][part.service].get("volumes", []):
        if mount["target"] == part.path and mount["type"] == "volume":
            return str(stack.whole["volumes"][mount["source"]]["name"])
    raise ComposeError(f"{part.service} has no volume at {part.path}: put its files back by hand")
