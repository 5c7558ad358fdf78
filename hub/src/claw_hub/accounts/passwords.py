"""Passwords, as argon2id hashes; the work is done in threads, two at a time: each takes 64 MiB."""

from __future__ import annotations

import asyncio
from typing import Final

import argon2

from claw_hub.errors import BadRequestError, UnavailableError

__all__ = ["Passwords"]

SHORTEST: Final = 12
LONGEST: Final = 256


class Passwords:
    """Hashes passwords and compares them.

    Args:
        hasher: How; by default as argon2-cffi proposes (RFC 9106, low memory).
        max_running: Hashes that are worked out at once.
        max_waiting: Hashes that wait beyond these; more are refused.
    """

    def __init__(
        self, hasher: argon2.PasswordHasher | None = None, *, max_running: int = 2, max_waiting: int = 32
    ) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._turn = asyncio.Semaphore(max_running)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Returns what is stored of a password.

        Raises:
            BadRequestError: It is too short, too long, or no text.
            UnavailableError: Too many wait.
        """
        _check(password)
        return await self._run(password, "")

    async def verify(self, stored: str, password: str) -> bool:
        """Tells whether this is the password; takes as long where nothing is stored.

        Raises:
            UnavailableError: Too many wait.
        """
        if not _is_text(password) or len(password) > LONGEST:
            return False
        if not stored and not self._nobody:
            self._nobody = await self._run("of nobody at all", "")
        return bool(await self._run(password, stored or self._nobody)) and bool(stored)

    def is_outdated(self, stored: str) -> bool:
        """Tells whether a hash was made with other parameters than one would be now."""
        return self._hasher.check_needs_rehash(stored)

    async def _run(self, password: str, stored: str) -> str:
        """Hashes, or verifies where a hash is given: then returns it, or nothing."""
        if self._waiting >= self._max_waiting:
            raise UnavailableError("too many people log in at this moment; try again")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._work, password, stored)
        finally:
            self._waiting -= 1

    def _work(self, password: str, stored: str) -> str:
        if not stored:
            return self._hasher.hash(password)
        try:
            self._hasher.verify(stored, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return ""
        return stored


def _check(password: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST or not _is_text(password):
        raise BadRequestError(
            f"a password has {SHORTEST} to {LONGEST} characters; this one has {len(password)}"
        )


def _is_text(password: str) -> bool:
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return True
