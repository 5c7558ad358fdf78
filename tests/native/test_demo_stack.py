"""The whole demo, really running."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from claw_native.stack import SERVICES
from claw_native.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from claw_native.testing import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)


def processes_of(run_dir: Path) -> list[str]:
    """Command lines that name a run directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_text().replace("\0", " ")
            if str(run_dir) in words:
                found.append(words)
    return found


def test_every_scrape_job_is_up(stack: Stack) -> None:
    def down() -> list[str]:
        answer = httpx.get(stack.url("prometheus", "/api/v1/targets"), trust_env=False).json()
        targets = answer["data"]["activeTargets"]
        scraped = {target["labels"]["job"]: target["health"] for target in targets}
        return [service.name for service in SERVICES if service.metrics and scraped.get(service.name) != "up"]

    wait_for(lambda: not down())


def test_status_answers_from_another_terminal(stack: Stack) -> None:
    done = stack.run("status")
    assert done.returncode == 0, done.stdout
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert lines.keys() == {service.name for service in SERVICES}
    assert all("running" in line for line in lines.values())
    assert stack.url("prometheus") in lines["prometheus"]


def test_logs_of_one_service_come_without_its_name(stack: Stack) -> None:
    done = stack.run("logs", "receiver", "--no-follow", "--lines", "100")
    assert done.returncode == 0
    assert done.stdout.startswith("waiting for notifications")


def test_a_second_demo_beside_it_says_so(stack: Stack) -> None:
    done = stack.run("demo")
    assert done.returncode == 1
    assert f"a demo runs already in {stack.settings.run_dir} (process {stack.process.pid})" in done.stderr


def test_its_data_cannot_be_forgotten_while_it_runs(stack: Stack) -> None:
    done = stack.run("clean")
    assert done.returncode == 1
    assert "a demo runs already" in done.stderr
    assert (stack.settings.data_dir / "postgres" / "data").is_dir()


def test_a_process_that_dies_is_started_again(stack: Stack) -> None:
    supervisor = Supervisor(stack.settings)
    before = supervisor.states()["load"].pid
    os.kill(before, signal.SIGKILL)

    def again() -> bool:
        state = supervisor.states()["load"]
        return state.state == "RUNNING" and state.pid not in {0, before}

    wait_for(again)
    wait_for(lambda: "load died and was started again" in stack.printed())


def test_the_check_passes_beside_it(stack: Stack) -> None:
    done = stack.run("check", "--wait-seconds", "240")
    assert done.returncode == 0, done.stdout
    assert "All good" in done.stdout
    results = [line.split("  ")[0] for line in done.stdout.splitlines() if "  ok  " in line]
    assert {"services", "scrape jobs", "rules", "claw-ai-overview", "test alert"} <= set(results)


def test_the_receiver_prints_what_the_check_sent(stack: Stack) -> None:
    stack.run("check", "--wait-seconds", "240")
    printed = stack.run("logs", "receiver", "--no-follow", "--lines", "1000").stdout
    assert "FIRING    warning   NotificationTest  -> team" in printed
    assert "RESOLVED  warning   NotificationTest  -> team" in printed
    assert f"dashboard {stack.url('preview')}/d/" in printed
