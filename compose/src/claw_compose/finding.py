"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "error", "nearest", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or worth knowing before a start.

    Attributes:
        text: What it is, with the value, and what to do.
        is_error: The stack would not start, or would not work.
    """

    text: str
    is_error: bool


def error(text: str) -> Finding:
    """Returns what keeps the stack from starting or from working."""
    return Finding(text, is_error=True)


def warning(text: str) -> Finding:
    """Returns what the operator should know."""
    return Finding(text, is_error=False)


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a suggestion in words, or nothing."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
