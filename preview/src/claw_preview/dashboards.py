"""The directory of generated dashboards: what is in it, by uid, and which files are broken."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claw_preview.errors import DashboardNotFoundError

__all__ = ["Broken", "Contents", "Dashboard", "Directory"]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A readable dashboard file. `panels` counts all of them, also those in collapsed rows, but no rows."""

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    panels: int
    file: str
    body: bytes = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """The fields of the list of dashboards."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "panels": self.panels,
            "file": self.file,
        }


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that cannot be shown, and why."""

    file: str
    reason: str

    def summary(self) -> dict[str, str]:
        """The fields of the list of broken files."""
        return {"file": self.file, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Contents:
    """One look at the directory."""

    dashboards: dict[str, Dashboard]
    broken: tuple[Broken, ...]


class Directory:
    """Reads dashboards from a directory and its subdirectories; an unchanged file is parsed once.

    A dashboard is found by the uid inside its file, never by a path a client sent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[Path, tuple[tuple[int, int], Dashboard | Broken]] = {}

    def contents(self) -> Contents:
        """All dashboards by title, and the broken files; an empty directory is not an error."""
        dashboards: dict[str, Dashboard] = {}
        broken: list[Broken] = []
        for item in self._items():
            if isinstance(item, Broken):
                broken.append(item)
            elif item.uid in dashboards:
                broken.append(
                    Broken(item.file, f"its uid {item.uid!r} is also that of {dashboards[item.uid].file}")
                )
            else:
                dashboards[item.uid] = item
        ordered = sorted(dashboards.values(), key=lambda dashboard: dashboard.title)
        return Contents({dashboard.uid: dashboard for dashboard in ordered}, tuple(broken))

    def find(self, uid: str) -> Dashboard:
        """The dashboard with this uid.

        Raises:
            DashboardNotFoundError: naming what there is, and the broken file where one has this name.
        """
        contents = self.contents()
        if uid in contents.dashboards:
            return contents.dashboards[uid]
        for broken in contents.broken:
            if Path(broken.file).stem == uid:
                raise DashboardNotFoundError(f"{broken.file} cannot be shown: {broken.reason}")
        known = ", ".join(contents.dashboards) or "none; `make generate` writes them"
        raise DashboardNotFoundError(f"no dashboard has the uid {uid!r}; there are: {known}")

    def _items(self) -> Iterator[Dashboard | Broken]:
        for path in sorted(self._path.rglob("*.json")):
            name = path.relative_to(self._path).as_posix()
            try:
                state = path.stat()
                stamp = (state.st_mtime_ns, state.st_size)
                if path not in self._read or self._read[path][0] != stamp:
                    self._read[path] = (stamp, _parse(name, path.read_bytes()))
                yield self._read[path][1]
            except OSError as error:
                yield Broken(name, f"cannot be read: {error.strerror}")


def _parse(name: str, body: bytes) -> Dashboard | Broken:
    try:
        document = json.loads(body)
    except ValueError as error:
        return Broken(name, f"is not JSON: {error}")
    if not isinstance(document, dict) or not isinstance(document.get("panels"), list):
        return Broken(
            name, "is not a dashboard: it has no list `panels` (a Grafana export in the classic form has)"
        )
    uid = document.get("uid")
    if not isinstance(uid, str) or not uid:
        return Broken(name, "has no `uid`; give it its file's name")
    return Dashboard(
        uid=uid,
        title=str(document.get("title") or uid),
        description=str(document.get("description") or ""),
        tags=tuple(str(tag) for tag in document.get("tags") or ()),
        panels=_count(document["panels"]),
        file=name,
        body=body,
    )


def _count(panels: list[Any]) -> int:
    shown = [panel for panel in panels if isinstance(panel, dict)]
    return sum(_count(panel.get("panels") or []) if panel.get("type") == "row" else 1 for panel in shown)
