"""Docker, and what the machine has."""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from claw_compose.checks.settings import default
from claw_compose.errors import CommandError
from claw_compose.finding import Finding, error, warning
from claw_compose.versions import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_compose.engine import Stack

__all__ = ["CHECKS", "CHECKS_WITH_COMPOSE"]

# The oldest that tests/docker starts the whole file with.
ENGINE_LEAST: Final = (20, 10)
COMPOSE_LEAST: Final = (2, 30)
GIGABYTE: Final = 10**9
MEMORY_LEAST_GB: Final = 4
DISK_LEAST_GB: Final = 10
PATIENCE_SECONDS: Final = 30
MISSING_VARIABLE: Final = re.compile(r"required variable \w+ is missing a value")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def compose(stack: Stack) -> Iterator[Finding]:
    """Compose is there, is new enough, and accepts the file with these settings."""
    found = stack.compose_version
    if numbers(found) < COMPOSE_LEAST:
        yield error(f"Docker Compose is {found}; {_dotted(COMPOSE_LEAST)} or newer is needed")
        return
    done = stack.compose("config", "--quiet", check=False)
    for line in dict.fromkeys((done.stderr or done.stdout).splitlines()):
        if MISSING_VARIABLE.search(line):
            continue  # told by settings.required
        yield error(f"Compose: {line}") if done.returncode else warning(f"Compose: {line}")


def engine(stack: Stack) -> Iterator[Finding]:
    """Docker answers, is new enough, and can hold what is asked of it."""
    done = stack.docker("info", "--format", "{{json .}}", check=False, timeout_seconds=PATIENCE_SECONDS)
    info: dict[str, Any] = _object(done.stdout)
    told = [*info.get("ServerErrors", []), done.stderr.strip() if done.returncode else ""]
    if any(told) or not info.get("ServerVersion"):
        yield error(f"Docker does not answer: {' '.join(filter(None, told)) or 'no version'}")
        return
    if numbers(info["ServerVersion"]) < ENGINE_LEAST:
        least = _dotted(ENGINE_LEAST)
        yield error(f"Docker Engine is {info['ServerVersion']}; {least} or newer is needed")
    memory = info.get("MemTotal", 0) / GIGABYTE
    if 0 < memory < MEMORY_LEAST_GB:
        yield warning(f"Docker has {memory:.1f} GB of memory; {MEMORY_LEAST_GB} GB is little for everything")
    for flag, what in (("MemoryLimit", "memory"), ("PidsLimit", "processes"), ("CpuCfsQuota", "processors")):
        if info.get(flag) is False:
            yield warning(
                f"Docker cannot limit {what} here: the limits in docker-compose.prod.yml do nothing"
            )
    yield from _disk(stack, info.get("DockerRootDir", ""))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _disk(stack: Stack, folder: str) -> Iterator[Finding]:
    if not stack.is_local or not folder or not Path(folder).is_dir():
        return
    free = shutil.disk_usage(folder).free / GIGABYTE
    if free < DISK_LEAST_GB:
        yield warning(
            f"{free:.1f} GB are free in {folder}; data, logs and images want {DISK_LEAST_GB} or more"
        )


def docker_socket(stack: Stack) -> Iterator[Finding]:
    """The log shipper and cAdvisor find Docker."""
    path = Path(default(stack, "CLAW_DOCKER_SOCKET"))
    if not stack.is_local:
        return
    if not path.exists():
        yield error(f"CLAW_DOCKER_SOCKET is '{path}', which is not there (docker context inspect shows it)")
    elif not stat.S_ISSOCK(path.stat().st_mode):
        yield error(f"CLAW_DOCKER_SOCKET is '{path}', which is not a socket")


def free_ports(stack: Stack) -> Iterator[Finding]:
    """No other program has a port that we want."""
    if not stack.is_local:
        return
    ours: set[int] | None = None
    for name, service in stack.active.items():
        for port in service.get("ports", []):
            number, address = int(port["published"]), port.get("host_ip", "0.0.0.0")  # noqa: S104 - Compose's
            problem = _why_not(address, number)
            if problem is None:
                continue
            ours = _ports_of_ours(stack) if ours is None else ours
            if number not in ours:
                yield error(f"{name}: port {number} on {address}: {problem}")


def _why_not(address: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # A connection that has just ended does not hold a port; a program that listens does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as refused:
            # Docker may use low ports though we may not.
            reasons = {
                errno.EADDRINUSE: "another program has it; stop that, or move ours in the settings",
                errno.EADDRNOTAVAIL: "this machine does not have that address",
            }
            return reasons.get(refused.errno or 0)
    return None


def _ports_of_ours(stack: Stack) -> set[int]:
    label = f"label=com.docker.compose.project={stack.project}"
    try:
        shown = stack.docker("ps", "--filter", label, "--format", "{{.Ports}}").stdout
    except CommandError:
        return set()  # told by another check
    return {int(port) for port in re.findall(r":(\d+)->", shown)}


CHECKS: Final[tuple[Callable[[Stack], Iterator[Finding]], ...]] = (compose, engine, docker_socket)
CHECKS_WITH_COMPOSE: Final[tuple[Callable[[Stack], Iterator[Finding]], ...]] = (free_ports,)
