"""Which services run with files that have changed since they started.

Compose restarts a container when its settings change, not when a file that it mounts does: after `git pull`
it would go on with what it read before. A file that git replaced cannot even be seen from inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from claw_compose import backup_folder
from claw_compose.checks.settings import default

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from claw_compose.containers import Container
    from claw_compose.engine import Stack

__all__ = ["changed", "newest"]

# Mounted folders whose changes are noticed without a restart.
NOTICED: Final = ("prometheus", "grafana/dashboards", "grafana/custom", "nginx/acme")


def changed(stack: Stack, there: dict[str, Container]) -> list[str]:
    """Returns the running services that must be restarted to read their files."""
    if not stack.is_local:
        return []
    return [
        name
        for name, container in sorted(there.items())
        if name in stack.active and container.state == "running" and _is_behind(stack, name, container)
    ]


def newest(paths: Iterable[Path]) -> float:
    """Returns when files, or any file in folders, were last changed; 0 where there is none."""
    times = [found.stat().st_mtime for path in paths for found in _files(path)]
    return max(times, default=0)


def _files(path: Path) -> Iterator[Path]:
    for found in path.rglob("*") if path.is_dir() else (path,):
        if found.is_file() and "__pycache__" not in found.parts:
            yield found


def _is_behind(stack: Stack, name: str, container: Container) -> bool:
    return newest(_read(stack, stack.active[name])) > container.started_seconds


def _read(stack: Stack, service: dict[str, Any]) -> Iterator[Path]:
    """Files of the repository that a service reads when it starts, its secrets among them."""
    apart = [stack.repository / name for name in NOTICED]
    apart += [backup_folder.directory(stack), stack.repository / default(stack, "CLAW_APP_LOGS_DIR")]
    yield from (path for path in stack.mounted(service) if not any(path.is_relative_to(one) for one in apart))
    for secret in service.get("secrets", []):
        yield Path(stack.whole["secrets"][secret["source"]]["file"])
