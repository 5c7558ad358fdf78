"""Who may read ``/metrics``: basic auth, a bearer token, or either of both, each secret in a file.

A file, so that no secret stands in code, in an environment or in a list of processes, and so that a new one
is in use as soon as it is written there.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from hmac import compare_digest
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from claw_exporter.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

__all__ = ["Auth"]

# However many ask, a file is looked at this often at the most.
_LOOK_SECONDS: Final = 1.0
_REALM: Final = "claw-exporter"

_log: Final = logging.getLogger("claw_exporter")


class Auth:
    """What a reader of ``/metrics`` has to know; for ``metrics.mount(app, auth=...)``.

    The schemes are those of RFC 7617 (``basic_auth`` in a scrape job of Prometheus) and RFC 6750
    (``authorization``). A secret is its file's text without the end of the line. A file that changes is read
    again within a second; while it cannot be read, the last secret stays.

    Args:
        username: Who reads, with basic auth; needs ``password_file``.
        password_file: File with the password.
        token_file: File with a bearer token. With both kinds, either opens.
        clock: Seconds that only grow.

    Raises:
        ArgumentError: Neither kind is given, or half of one; the user name has a colon; a file is missing,
            empty or no text.
    """

    def __init__(
        self,
        *,
        username: str | None = None,
        password_file: str | PathLike[str] | None = None,
        token_file: str | PathLike[str] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if (username is None) != (password_file is None):
            raise ArgumentError("auth has one of username and password_file: basic auth needs both")
        if password_file is None and token_file is None:
            raise ArgumentError("auth says nothing: give username and password_file, or token_file")
        if username is not None and (not username or ":" in username):
            raise ArgumentError(f"username is {username!r}: basic auth wants some text without a colon")
        self._username = username
        self._password = password_file and _SecretFile("password_file", Path(password_file), clock)
        self._token = token_file and _SecretFile("token_file", Path(token_file), clock)
        schemes = [scheme for scheme, known in (("Basic", self._password), ("Bearer", self._token)) if known]
        #: For the header ``WWW-Authenticate`` of a refusal.
        self.challenge: Final = ", ".join(f'{scheme} realm="{_REALM}"' for scheme in schemes)

    async def admits(self, authorization: str) -> bool:
        """Tell whether the value of an ``Authorization`` header opens; takes as long for any wrong secret."""
        scheme, _, credentials = authorization.partition(" ")
        credentials = credentials.strip()
        match scheme.lower():
            case "basic" if self._password:
                expected = f"{self._username}:{await self._password.current()}"
                return _same(_decoded(credentials), expected.encode())
            case "bearer" if self._token:
                return _same(_sent(credentials), (await self._token.current()).encode())
            case _:
                return False


class _SecretFile:
    """A secret, and the file that it is read from again when that changes."""

    def __init__(self, name: str, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._readable = True
        self._looked_at = clock()
        try:
            self._stamp = _stamp(path)
            self._secret = _read(path)
        except (OSError, ValueError) as error:
            raise ArgumentError(
                f"{name} {str(path)!r} cannot be used ({error}): write the secret into it, and let this user "
                "read it"
            ) from error

    async def current(self) -> str:
        """Return the secret; the file is looked at outside of the event loop, for it may be far away."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            await asyncio.to_thread(self._look)
        return self._secret

    def _look(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp or not self._readable:
                self._secret = _read(self._path)
                self._stamp = stamp
        except (OSError, ValueError) as error:
            if self._readable:
                _log.warning(
                    "the secret file %s cannot be read; the last secret stays: %s", self._path, error
                )
            self._readable = False
        else:
            self._readable = True


def _stamp(path: Path) -> tuple[int, int, int, int]:
    """Return what differs once a file is written anew, or another one takes its name."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> str:
    secret = path.read_text(encoding="utf-8").strip("\r\n")
    if not secret:
        raise ValueError("it is empty")
    return secret


def _decoded(credentials: str) -> bytes:
    try:
        return base64.b64decode(_sent(credentials), validate=True)
    except binascii.Error:
        return b""


def _sent(credentials: str) -> bytes:
    """Return the bytes of a header that ASGI applications read as Latin-1."""
    return credentials.encode("latin-1", "replace")


def _same(given: bytes, expected: bytes) -> bool:
    # Digests, so that not even the length of the secret shows in the time that this takes.
    return compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
