"""An embedded warehouse for tests: in a process of its own, which can be killed and started again."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EmbeddedProcess"]


@dataclass(slots=True)
class EmbeddedProcess:
    """A warehouse over HTTP; a context that starts it, and ends it.

    Attributes:
        directory: Of its data.
        port: Where it listens, on the loopback.
        password_file: What requests have to bring; nothing without it.
        start_seconds: How long it may take until it answers.
    """

    directory: Path
    port: int
    password_file: Path | None = None
    start_seconds: float = 60.0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it where it does not run, and waits until it answers.

        Raises:
            RuntimeError: It ended instead, or does not answer in time.
        """
        if self._process is not None and self._process.poll() is None:
            return
        command = [
            sys.executable,
            "-m",
            "claw_hub.warehouse.serve",
            str(self.directory),
            "--port",
            str(self.port),
        ]
        command += ["--password-file", str(self.password_file)] if self.password_file else []
        self._process = subprocess.Popen(command)  # noqa: S603 - this very interpreter
        until = time.monotonic() + self.start_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the warehouse did not start: exit code {self._process.poll()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it as a power cut of the process would: kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Asks it to end, and waits; returns its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self._process.wait()

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self.stop()

    def _answers(self) -> bool:
        # Not through a proxy that the environment may name.
        opener = build_opener(ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/ping", timeout=1) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
        except (URLError, OSError):
            return False
