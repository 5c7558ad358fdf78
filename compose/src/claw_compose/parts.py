"""What is backed up, and how each service is kept still meanwhile: data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["CONFIGURATION", "CONFIGURATION_PATHS", "PARTS", "POSTGRES", "Part", "Still", "names"]


class Still(StrEnum):
    """What makes the files of a volume consistent while they are copied."""

    SNAPSHOT = "snapshot API, hard links"
    RESTART = "restart, then copy: it writes its files when it stops"
    PAUSE = "paused while its files are copied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One service whose volume is copied.

    Attributes:
        service: Its name in the compose file.
        path: Where the volume is mounted.
        still: How the copy becomes consistent.
        needs: Files without which a copy is worth nothing.
    """

    service: str
    path: str
    still: Still
    needs: tuple[str, ...] = ()


# Postgres is dumped, not copied: a dump can be read by a later version, and nobody waits for it.
POSTGRES: Final = "postgres"
# Files of the operator, none of any service.
CONFIGURATION: Final = "configuration"
# Beside the file with the settings. What is in git is not here.
CONFIGURATION_PATHS: Final = ("secrets", "prometheus/targets", "grafana/custom", "exporter/exporter.yml")

PARTS: Final = (
    # Its append-only file, written with every command. A dump would need the memory of a second Redis.
    Part(service="redis", path="/data", still=Still.PAUSE, needs=("appendonlydir/appendonly.aof.manifest",)),
    # SQLite: the database together with its journal is consistent at every moment, if nobody writes.
    Part(service="grafana", path="/var/lib/grafana", still=Still.PAUSE, needs=("grafana.db",)),
    # Silences and what was notified are written every 15 minutes and at the end.
    Part(service="alertmanager", path="/alertmanager", still=Still.RESTART, needs=("silences", "nflog")),
    # Chunks, index and write-ahead log belong together; after a restore it reads the log, as after a crash.
    Part(service="loki", path="/loki", still=Still.PAUSE),
    Part(service="prometheus", path="/prometheus", still=Still.SNAPSHOT),
)


def names() -> tuple[str, ...]:
    """Returns every part that a backup has when nothing is left out."""
    return (CONFIGURATION, POSTGRES, *(part.service for part in PARTS))
