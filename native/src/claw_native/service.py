"""What a service of the native run is."""

from __future__ import annotations

from dataclasses import dataclass
from signal import SIGTERM, Signals
from typing import TYPE_CHECKING

import httpx

from claw_native.servers import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from claw_native.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process of the stack.

    Attributes:
        name: Service name; also its log and its scrape job.
        about: What a newcomer is told it is.
        command: Its command line.
        ready: Tells whether it can be used; running is enough where it is left out.
        after: Services that must be ready before it starts.
        environment: Variables it reads.
        prepare: Runs before it starts, such as making a database cluster.
        provide: Runs once it is ready, such as making roles.
        directory: Where it runs.
        stop_signal: What ends it in good order.
        page: Path of the page to open, when there is something to see.
        metrics: It is scraped.
        job: Its scrape job, when that has another name.
        metrics_path: Where, when that is not /metrics.
    """

    name: str
    about: str
    command: Callable[[Settings], list[str]]
    ready: Callable[[Settings], bool] | None = None
    after: tuple[str, ...] = ()
    environment: Callable[[Settings], Mapping[str, str]] = lambda _: {}
    prepare: Callable[[Settings], None] = lambda _: None
    provide: Callable[[Settings], None] = lambda _: None
    directory: Callable[[Settings], Path] = lambda settings: settings.run_dir
    stop_signal: Signals = SIGTERM
    page: str | None = None
    metrics: bool = False
    job: str | None = None
    metrics_path: str | None = None


def answers(service: str, path: str) -> Callable[[Settings], bool]:
    """Returns a check: does this service answer this path with success?"""

    def check(settings: Settings) -> bool:
        try:
            # A proxy of the environment is for other machines.
            with httpx.Client(trust_env=False, timeout=2) as client:
                return client.get(settings.url(service, path)).is_success
        except httpx.HTTPError:
            return False

    return check


def where(settings: Settings, service: Service) -> str:
    """Returns what to open, or where it listens; empty for what does not listen."""
    if service.page:
        return settings.url(service.name, service.page)
    port = settings.ports.get(service.name)
    return f"{HOST}:{port}" if port else ""
