"""`make demo-status` and `make demo-logs`: what runs, and what it says, from another terminal."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TextIO

from claw_native.demo import Running
from claw_native.errors import NativeError
from claw_native.service import where
from claw_native.stack import services_named
from claw_native.supervision import Supervisor
from claw_native.tables import lined_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from claw_native.service import Service
    from claw_native.settings import Settings

POLL_SECONDS = 0.3
MINUTE, HOUR, DAY = 60, 3600, 86400


def of_running(settings: Settings) -> tuple[Settings, list[Service]]:
    """Returns the settings and the services of the demo that runs, whatever this terminal's environment says.

    Raises:
        NativeError: No demo runs here.
    """
    running = Running.read(settings)
    if running is None:
        raise NativeError(f"no demo runs in {settings.run_dir}; 'make demo' starts one")
    return replace(settings, ports=dict(running.ports)), services_named(running.services)


def status(settings: Settings, *, say: Callable[[str], None] = print) -> int:
    """Prints every service with its state; returns 0 when all of them run.

    Raises:
        NativeError: No demo runs here.
    """
    settings, services = of_running(settings)
    states = Supervisor(settings).states()
    rows = [("SERVICE", "STATE", "PID", "SINCE", "WHERE")]
    for service in services:
        state = states.get(service.name)
        rows.append(
            (
                service.name,
                state.state.lower() if state else "not started",
                str(state.pid) if state and state.pid else "-",
                _ago(time.time() - state.since) if state and state.since else "-",
                where(settings, service) or "-",
            )
        )
    say(lined_up(rows, indent=""))
    running = sum(state.state == "RUNNING" for state in states.values())
    return 0 if running == len(services) else 1


def _ago(seconds: float) -> str:
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def logs(
    settings: Settings,
    services: list[str],
    *,
    lines: int = 20,
    follow: bool = True,
    say: Callable[[str], None] = print,
) -> int:
    """Prints the last lines of logs, and what is added to them until Ctrl-C.

    Raises:
        NativeError: There is no such log.
    """
    found = {path.stem: path for path in sorted(settings.log_dir.glob("*.log"))}
    unknown = [name for name in services if name not in found]
    if unknown or not found:
        known = ", ".join(found) or "none yet, 'make demo' writes them"
        raise NativeError(f"no log of {', '.join(unknown) or 'anything'}; logs: {known}")
    with ExitStack() as closing:
        tails = [closing.enter_context(Tail(found[name], lines)) for name in services or found]
        width = max(len(tail.path.stem) for tail in tails)
        while True:
            for tail in tails:
                for line in tail.read():
                    say(line if len(services) == 1 else f"{tail.path.stem:<{width}} | {line}")
            if not follow:
                return 0
            time.sleep(POLL_SECONDS)


class Tail:
    """Reads what is added to a file, also after the file was rotated.

    Args:
        path: The file.
        lines: How many of its last lines come first.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self.path = path
        self._lines = lines
        self._file: TextIO | None = None
        self._rest = ""

    def __enter__(self) -> Self:
        """Does nothing; the file is opened when it is read."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()

    def read(self) -> Iterator[str]:
        """Yields the complete lines that came since the last call."""
        if self._file is None:
            yield from self._open()
        if self._file is None:
            return
        yield from self._complete(self._file.read())
        if self._was_rotated(self._file):
            self._file.close()
            self._file, self._lines = None, -1

    def _open(self) -> Iterator[str]:
        try:
            self._file = self.path.open(errors="replace")
        except OSError:
            return
        if self._lines >= 0:
            kept = list(self._complete(self._file.read()))
            yield from kept[len(kept) - min(self._lines, len(kept)) :]

    def _complete(self, text: str) -> Iterator[str]:
        *whole, self._rest = (self._rest + text).split("\n")
        yield from whole

    def _was_rotated(self, file: TextIO) -> bool:
        try:
            found = self.path.stat()
        except OSError:
            return True
        return found.st_ino != os.fstat(file.fileno()).st_ino or found.st_size < file.tell()
