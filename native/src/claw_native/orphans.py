"""Finds and ends processes whose parent died: nothing of the demo outlives it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes us the parent of every descendant whose own parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """Returns the processes whose parent we are, those that ended but were not waited for included."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a program may hold blanks and brackets; what follows it does not.
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found


def end_children(timeout_seconds: float = 10) -> int:
    """Ends every child, first politely; returns how many there were."""
    _reap()
    first = children()
    deadline = time.monotonic() + timeout_seconds
    for pid in first:
        _send(pid, signal.SIGTERM)
    while children():
        if time.monotonic() > deadline:
            for pid in children():
                _send(pid, signal.SIGKILL)
        time.sleep(0.05)
        _reap()
    return len(first)


def _send(pid: int, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, sign)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
