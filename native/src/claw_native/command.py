"""Runs other programs to their end."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from claw_native.errors import NativeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LAST_LINES = 12


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 600,
) -> str:
    """Runs a program to its end and returns what it wrote to standard output.

    Args:
        argv: The program and its arguments; no shell is involved.
        cwd: Directory to run in.
        env: The whole environment; the own one by default.
        timeout_seconds: The program is killed after this time.

    Raises:
        NativeError: The program is missing, failed or took too long; the message ends with its last lines.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(  # noqa: S603 - callers pass fixed programs, never text of a user
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except OSError as error:
        raise NativeError(f"cannot run '{words[0]}': {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NativeError(f"'{' '.join(words)}' did not end within {timeout_seconds:g} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
        raise NativeError(f"'{' '.join(words)}' ended with {done.returncode}:\n{tail}")
    return done.stdout
