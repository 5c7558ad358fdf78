"""`make status`: what runs, and what needs attention."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from claw_compose import backup_folder, certificate, containers, drift, web
from claw_compose.checks.settings import door
from claw_compose.errors import ComposeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from claw_compose.containers import Container
    from claw_compose.engine import Stack

__all__ = ["age", "lined_up", "status"]

BACKUP_LATE: Final = timedelta(hours=26)
DISK_LEAST: Final = 0.1
# Docker's way to say: never.
NEVER: Final = "0001-"


def status(stack: Stack, *, say: Callable[[str], None]) -> int:
    """Prints what runs and what needs attention; 1 when anything does.

    Raises:
        ComposeError: Docker does not answer.
    """
    there = containers.find(stack)
    if not there:
        say("Nothing runs.  make up   starts everything.")
        return 1
    say(lined_up([("SERVICE", "STATE", "HEALTH", "RESTARTS", "SINCE", "IMAGE"), *_rows(stack, there)]))
    facts, attention = [], list(_of_containers(stack, there))
    for look in (_targets, _alerts, _backup, _certificate, _disk):
        try:
            fact, *wrong = look(stack, there)
        except ComposeError as failed:
            fact, wrong = "", [str(failed)]
        facts += [fact] if fact else []
        attention += wrong
    say("")
    for fact in facts:
        say(fact)
    if not attention:
        say("All is well.")
        return 0
    say("\nNeeds attention:")
    for line in dict.fromkeys(attention):
        say(f"  {line}")
    return 1


def lined_up(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of the same number of cells as text, every column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def age(length: timedelta) -> str:
    """Returns a length of time in one unit, such as 3 h."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _rows(stack: Stack, there: dict[str, Container]) -> Iterator[tuple[str, ...]]:
    for name in sorted({*stack.active, *there}):
        container = there.get(name)
        if container is None:
            yield name, "not there", "-", "-", "-", stack.active[name]["image"]
            continue
        yield (
            name,
            container.state,
            container.health or "-",
            str(container.restarts),
            _since(container),
            container.image,
        )


def _since(container: Container) -> str:
    if container.state != "running" or container.started.startswith(NEVER):
        return "-"
    return age(datetime.now(UTC) - datetime.fromtimestamp(container.started_seconds, UTC))


def _of_containers(stack: Stack, there: dict[str, Container]) -> Iterator[str]:
    missing = sorted(set(stack.active) - set(there))
    if missing:
        yield f"{len(missing)} not there ({', '.join(missing)}):  make up"
    for name in drift.changed(stack, there):
        yield f"{name} runs with files that have changed since:  make up"
    for name, container in sorted(there.items()):
        if name not in stack.active:
            yield f"{name} runs, but COMPOSE_PROFILES leaves it out:  make up   removes it"
            continue
        if not container.is_well:
            how = container.health if container.state == "running" else container.state
            yield f"{name} is {how}:  make logs SERVICES={name}"
        wanted = stack.active[name]["image"]
        if container.image != wanted:
            yield f"{name} runs {container.image}, the compose file says {wanted}:  make upgrade-check"


def _targets(stack: Stack, there: dict[str, Container]) -> Iterator[str]:
    if not _runs(there, "prometheus"):
        yield ""
        return
    answer = web.get_json(stack.url("prometheus", "/api/v1/targets?state=active"))
    targets = answer["data"]["activeTargets"]
    down = [target for target in targets if target["health"] == "down"]
    yield f"Targets: {len(targets) - len(down)} of {len(targets)} up"
    for target in down:
        name = urlsplit(target["scrapeUrl"]).hostname
        # What does not run is told already.
        if name in stack.active and name not in there:
            continue
        yield f"target {target['labels']['job']} ({target['scrapeUrl']}) is down: {target['lastError']}"


def _alerts(stack: Stack, there: dict[str, Container]) -> Iterator[str]:
    if not _runs(there, "prometheus"):
        yield ""
        return
    alerts = web.get_json(stack.url("prometheus", "/api/v1/alerts"))["data"]["alerts"]
    # The heartbeats always fire.
    firing = [
        alert
        for alert in alerts
        if alert["state"] == "firing" and alert["labels"].get("severity") not in {"none", "info"}
    ]
    yield f"Alerts: {len(firing)} firing"
    for alert in firing:
        labels, told = alert["labels"], alert["annotations"]
        yield f"{labels.get('severity')} {labels['alertname']}: {told.get('summary', '')}"


def _runs(there: dict[str, Container], name: str) -> bool:
    return name in there and there[name].state == "running"


def _backup(stack: Stack, _: dict[str, Container]) -> Iterator[str]:
    moment = backup_folder.last_success(stack)
    if moment is None:
        yield "Last backup: never"
        yield "there has never been a complete backup:  make backup"
        return
    passed = datetime.now(UTC) - moment
    yield f"Last backup: {age(passed)} ago"
    if passed > BACKUP_LATE:
        yield f"the last complete backup is {age(passed)} old:  make backup"


def _certificate(stack: Stack, _: dict[str, Container]) -> Iterator[str]:
    if door(stack) != "https":
        yield ""
        return
    ends = certificate.read(stack.repository / "secrets/tls/fullchain.pem", stack.environ).ends
    left = ends - datetime.now(UTC)
    yield f"Certificate: until {ends:%Y-%m-%d}"
    if left < certificate.SOON:
        yield f"the certificate of the public door ends on {ends:%Y-%m-%d}: put a new one into secrets/tls"


def _disk(stack: Stack, _: dict[str, Container]) -> Iterator[str]:
    folder = Path(stack.docker("info", "--format", "{{.DockerRootDir}}").stdout.strip())
    if not stack.is_local or not folder.is_dir():
        yield ""
        return
    usage = shutil.disk_usage(folder)
    yield f"Disk: {usage.free / 10**9:.0f} of {usage.total / 10**9:.0f} GB free in {folder}"
    if usage.free < DISK_LEAST * usage.total:
        yield f"less than a tenth of the disk is free in {folder}"
