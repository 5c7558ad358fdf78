"""The kinds of records."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Kind"]


class Kind(StrEnum):
    """Kinds of records, as the paths of requirement document 1 name them."""

    USAGE = "usage"
    EXECUTION = "execution"
    TIMELINE = "timeline"
