"""A whole demo for tests: apart from every other one, with its own ports and run directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claw_native.errors import ServerError
from claw_native.servers import free_port
from claw_native.settings import PORTS, Settings, port_setting, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 150
STOP_SECONDS = 90
DEMO_IS_UP = " services run after "


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running demo, apart from every other one: own ports, own run directory, shared programs.

    Attributes:
        settings: Its settings; `settings.url("prometheus")` is where Prometheus answers.
        environment: The variables that make `claw-native` speak of this demo.
        process: Its `claw-native demo`.
        output: What that prints.
    """

    settings: Settings
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    output: Path

    def url(self, service: str, path: str = "") -> str:
        """Returns where a service answers HTTP."""
        return self.settings.url(service, path)

    def run(self, *arguments: str, timeout_seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Runs `claw-native` beside it."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "claw_native.cli", *arguments],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    def printed(self) -> str:
        """Returns what the demo has printed so far."""
        return self.output.read_text(errors="replace")

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Ends it and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(STOP_SECONDS)


def stack_environment(run_dir: Path, tools_dir: Path) -> dict[str, str]:
    """Settings of one more demo: free ports, its own run directory."""
    ports = {port_setting(service): str(free_port()) for service in PORTS}
    return {"CLAW_NATIVE_RUN_DIR": str(run_dir), "CLAW_NATIVE_TOOLS_DIR": str(tools_dir), **ports}


def start_stack(
    environment: dict[str, str], output: Path, *, command: Sequence[str] = ("claw_native.cli", "demo")
) -> Stack:
    """Starts a demo and waits until everything in it is ready.

    Args:
        environment: Where it runs.
        output: What it prints is written there.
        command: The module that runs a demo, and its arguments.

    Raises:
        ServerError: It does not start; the message holds what it printed.
    """
    settings = read_settings(environment)
    with output.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", *command],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    stack = Stack(settings=settings, environment=environment, process=process, output=output)
    deadline = time.monotonic() + START_SECONDS
    while DEMO_IS_UP not in stack.printed():
        if process.poll() is not None or time.monotonic() > deadline:
            stack.stop()
            raise ServerError(f"the demo does not start:\n{stack.printed()}")
        time.sleep(0.1)
    return stack
