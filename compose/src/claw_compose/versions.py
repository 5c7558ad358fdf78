"""Image references, what lies between two of them, and what to know about each step: mostly data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NOTES", "Image", "Note", "Step", "advice", "numbers", "step"]


def numbers(version: str) -> tuple[int, ...]:
    """Returns the numbers that a version begins with: v20.10.24+dfsg1 is (20, 10, 24)."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, found[1].split("."))) if found else ()


class Step(IntEnum):
    """How far apart two versions are."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3
    BACK = 4
    OTHER = 5


@dataclass(frozen=True, slots=True)
class Image:
    """An image reference, taken apart.

    Attributes:
        name: Everything before the tag.
        tag: The tag; empty where there is none.
    """

    name: str
    tag: str

    @classmethod
    def of(cls, reference: str) -> Image:
        """Takes a reference such as ghcr.io/google/cadvisor:v0.60.5 apart."""
        reference = reference.split("@", maxsplit=1)[0]
        name, colon, tag = reference.rpartition(":")
        # A colon may belong to the port of a registry.
        return cls(name, tag) if colon and "/" not in tag else cls(reference, "")

    @property
    def program(self) -> str:
        """What it is, whoever publishes it: cadvisor."""
        return self.name.split("/")[-1]

    @property
    def version(self) -> tuple[int, ...]:
        """The numbers that its tag begins with."""
        return numbers(self.tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What to know about a step of one program.

    Attributes:
        program: As in `Image.program`.
        text: What to know, or to do.
        steps: The steps it is about.
        to: The version from which on it is so; a step that does not reach it, or begins beyond, is not meant.
        first: It must be done before `up`.
    """

    program: str
    text: str
    steps: tuple[Step, ...] = (Step.PATCH, Step.MINOR, Step.MAJOR)
    to: tuple[int, ...] = ()
    first: bool = False


NOTES: Final = (
    Note(
        program="postgres",
        steps=(Step.MAJOR,),
        text="a new major version cannot read the data: dump and restore, see Upgrading in the documentation",
        first=True,
    ),
    Note(
        program="grafana",
        steps=(Step.MINOR, Step.MAJOR),
        text="changes its database; an older version cannot read it afterwards: only a backup leads back",
    ),
    Note(
        program="grafana",
        to=(13,),
        text="dashboards exported in the new format (v2) are refused as files: export them as classic",
    ),
    Note(program="prometheus", steps=(Step.MAJOR,), text="read its migration guide; its data goes one way"),
    Note(
        program="prometheus",
        to=(3, 14),
        text="3.13 is the version with long support; 3.14 and later are supported for weeks only",
    ),
    Note(
        program="loki",
        to=(4,),
        text="removes old stores, table_manager and several settings; this configuration uses none of them",
    ),
    Note(program="loki", to=(4,), text="loki_log_messages_total is loki_internal_log_messages_total then"),
    Note(program="alertmanager", to=(0, 34), text="failures have new reasons: authError, rateLimited"),
    Note(
        program="alertmanager",
        to=(0, 33),
        text="alertmanager_marked_alerts is gone, if a panel of yours uses it",
    ),
    Note(
        program="postgres-exporter",
        to=(0, 20),
        text="pg_replication_slot_* is pg_replication_slots_*; the queries here match both",
    ),
    Note(program="cadvisor", to=(0, 54), text="knows Docker 29, whose images are in containerd"),
    Note(program="redis", steps=(Step.MAJOR,), text="its data goes one way: an older version cannot read it"),
    Note(
        program="promtail",
        text="3.6.11 was the last; go to Alloy, see Promtail or Alloy in the documentation",
    ),
)
# Programs whose older versions may not read what newer ones wrote.
KEEPS_DATA: Final = frozenset({"alertmanager", "grafana", "loki", "postgres", "prometheus", "redis"})


def step(before: Image, after: Image) -> Step:
    """Returns how far apart two images are."""
    if before == after:
        return Step.NONE
    old, new = before.version, after.version
    if before.program != after.program or not old or not new:
        return Step.OTHER
    if old == new:
        return Step.PATCH
    if new < old:
        return Step.BACK
    level = next(i for i, (a, b) in enumerate(zip((*old, 0, 0), (*new, 0, 0), strict=False)) if a != b)
    return (Step.MAJOR, Step.MINOR)[level] if level < 2 else Step.PATCH  # noqa: PLR2004 - major and minor


def advice(before: Image, after: Image) -> Iterator[tuple[str, bool]]:
    """Yields what to know about a change of image, and whether it must be done first."""
    how = step(before, after)
    if how is Step.BACK and after.program in KEEPS_DATA:
        yield "an older version may not read the data of a newer one: restore a backup from before", True
    for note in NOTES:
        reached = not note.to or (before.version < note.to <= after.version)
        if note.program == after.program and how in note.steps and reached:
            yield note.text, note.first
