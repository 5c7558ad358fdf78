"""Reads the body of a request, however it was sent, and never more of it than allowed."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from claw_hub.errors import BodyError, MediaTypeError, TooLargeError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["drain", "read_body"]

READ_SECONDS: Final = 30.0
# What is refused is still read for so long, and so far: a client that is sending does not hear us before.
DRAIN_SECONDS: Final = 5.0
DRAIN_BYTES: Final = 256_000_000
# gzip allows many streams one after the other; nobody needs more than a few.
MAX_GZIP_MEMBERS: Final = 16

_GZIP_WINDOW: Final = 31
_JSON: Final = "application/json"


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """Returns what was sent, inflated.

    Raises:
        BodyError: It did not arrive in time, or is not the gzip that it says it is.
        ClientDisconnect: The client has gone.
        MediaTypeError: It is not JSON, or is compressed in a way that is not read here.
        TooLargeError: It is larger, or inflates to more.
    """
    headers = request.headers
    media_type = headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if media_type not in (_JSON, ""):
        raise MediaTypeError(f"the content type is {media_type[:80]!r}: send {_JSON}")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity", ""):
        raise MediaTypeError(f"the content encoding is {encoding[:80]!r}: send gzip, or none")
    body = await _receive(request, max_bytes)
    return _inflated(body, max_bytes) if encoding == "gzip" else body


async def _receive(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise BodyError(f"the body has not arrived within {READ_SECONDS:g} seconds") from None
    return b"".join(parts)


def _inflated(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    for _ in range(MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            parts.append(member.decompress(body, max_bytes + 1 - size))
        except zlib.error as error:
            raise BodyError(f"the body is not gzip: {error}") from None
        size += len(parts[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not member.eof:
            raise BodyError("the body is not gzip: it ends too early")
        body = member.unused_data
        if not body:
            return b"".join(parts)
    raise BodyError(f"the body is more than {MAX_GZIP_MEMBERS} gzip streams in a row; send one")


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"the body is larger than {max_bytes} bytes, or inflates to more; send fewer records"
    )


async def drain(request: Request) -> None:
    """Reads what the client still sends, and forgets it; gives up on one that sends too slowly or much."""
    if "expect" in request.headers:  # it waits for our word, and hears it
        return
    size = 0
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # the last one: all of it was read before
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > DRAIN_BYTES:
                    return
