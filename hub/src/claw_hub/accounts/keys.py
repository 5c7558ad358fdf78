"""API keys: random enough that a plain SHA-256 of them can be stored and looked up."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from claw_hub.errors import BadRequestError

__all__ = ["LENGTH", "PREFIX", "digest", "generate", "is_key", "prefix_of", "take"]

PREFIX: Final = "hc_"
LENGTH: Final = 64
SHOWN: Final = 11
_FORM: Final = re.compile(r"hc_[A-Za-z0-9_-]{17,125}", re.ASCII)


def generate() -> str:
    """Returns a new key: `hc_` and 61 characters that are safe in URLs."""
    return PREFIX + secrets.token_urlsafe(LENGTH)[: LENGTH - len(PREFIX)]


def is_key(text: str) -> bool:
    """Tells whether this has the form of a key, generated or imported: `hc_...`, 20 to 128 characters."""
    return _FORM.fullmatch(text) is not None


def take(value: str) -> str:
    """Returns a key that another system made.

    Raises:
        BadRequestError: It has not the form of a key; its characters are not repeated.
    """
    if not is_key(value):
        raise BadRequestError(
            f"the value of a key has {len(value)} characters and begins with {value[:3]!r}; it has to be hc_ "
            "and more, 20 to 128 characters of A-Z, a-z, 0-9, _ and -"
        )
    return value


def digest(key: str) -> bytes:
    """Returns what is stored of a key: 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def prefix_of(key: str) -> str:
    """Returns the characters that may be shown."""
    return key[:SHOWN]
