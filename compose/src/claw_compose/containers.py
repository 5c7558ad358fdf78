"""What runs of the stack, as Docker tells it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from claw_compose.engine import Stack

__all__ = ["Container", "find", "unix_time"]

LABEL: Final = "com.docker.compose"


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """One container of the stack.

    Attributes:
        service: The service it belongs to.
        id: Docker's name for it.
        state: created, running, paused, restarting, exited, dead.
        health: starting, healthy, unhealthy; empty where nothing checks it.
        exit_code: What it ended with, where it ended.
        restarts: How often Docker started it again.
        started: When, as Docker writes it.
        image: The tag it was made of.
        image_id: The very image.
        config_hash: Which settings Compose made it with.
        volumes: Name of each volume, by the folder it is at.
    """

    service: str
    id: str
    state: str
    health: str
    exit_code: int
    restarts: int
    started: str
    image: str
    image_id: str
    config_hash: str
    volumes: dict[str, str]

    @property
    def started_seconds(self) -> float:
        """When it started, as a Unix time."""
        return unix_time(self.started)

    @property
    def is_well(self) -> bool:
        """Whether it runs, and is healthy where that is checked."""
        return self.state == "running" and self.health in {"", "healthy"}


def unix_time(text: str) -> float:
    """Returns a time as Docker writes it, in nanoseconds, as a Unix time; Python reads microseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()


def find(stack: Stack) -> dict[str, Container]:
    """Returns the containers of the stack by service, running or not.

    Raises:
        CommandError: Docker does not answer.
    """
    shown = stack.docker(
        "ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}.project={stack.project}"
    ).stdout
    ids = shown.split()
    if not ids:
        return {}
    # One may vanish between the two questions; what is told of the others still counts.
    documents = json.loads(stack.docker("inspect", *ids, check=False).stdout or "[]")
    containers = (_container(document) for document in documents if not _is_passing(document))
    return {container.service: container for container in containers}


def _is_passing(document: dict[str, Any]) -> bool:
    """Tells a container of `docker compose run` from one of a service."""
    return str(document["Config"]["Labels"].get(f"{LABEL}.oneoff")) == "True"


def _container(document: dict[str, Any]) -> Container:
    labels, state = document["Config"]["Labels"], document["State"]
    mounts = document.get("Mounts") or []
    return Container(
        service=labels.get(f"{LABEL}.service", ""),
        id=document["Id"],
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=state.get("ExitCode", 0),
        restarts=document.get("RestartCount", 0),
        started=state.get("StartedAt", ""),
        image=document["Config"]["Image"],
        image_id=document["Image"],
        config_hash=labels.get(f"{LABEL}.config-hash", ""),
        volumes={mount["Destination"]: mount["Name"] for mount in mounts if mount.get("Type") == "volume"},
    )
