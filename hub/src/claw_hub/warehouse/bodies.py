"""Bodies of requests: what they are compressed with, and the forms that long parameters come in."""

from __future__ import annotations

import zlib
from email import message_from_bytes
from email.policy import HTTP
from typing import Final
from urllib.parse import parse_qsl

import pyarrow as pa

from claw_hub.errors import MediaTypeError, TooLargeError

__all__ = ["form_fields", "inflate"]

_CODECS: Final = {"br": "brotli", "gzip": "gzip", "lz4": "lz4", "zstd": "zstd"}
_CHUNK_BYTES: Final = 1_048_576


def inflate(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """Returns what a body holds; several compressed pieces in a row are one body.

    Args:
        body: As it came.
        encoding: Of the header Content-Encoding.
        max_bytes: What it inflates to must not be larger.

    Raises:
        MediaTypeError: The encoding is unknown, or the body is not in it, or ends early.
        TooLargeError: It holds more than `max_bytes`.
    """
    if encoding == "identity":
        return body
    if encoding == "deflate":
        return _deflated(body, max_bytes)
    if encoding not in _CODECS:
        raise MediaTypeError(
            f"Content-Encoding {encoding!r} is not read here; send {', '.join(_CODECS)} or none"
        )
    parts, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), _CODECS[encoding]) as stream:
            while part := stream.read(_CHUNK_BYTES):
                size += len(part)
                _check(size, max_bytes)
                parts.append(part)
    except OSError as error:
        raise MediaTypeError(f"the body is not {encoding}: {error}") from error
    return b"".join(parts)


def form_fields(body: bytes, media_type: str) -> dict[str, str]:
    """Returns the fields of a form, multipart or urlencoded.

    Raises:
        MediaTypeError: A part is a file, or no text, or has no name: external tables are not taken here.
    """
    try:
        if not media_type.startswith("multipart/"):
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        message = message_from_bytes(f"Content-Type: {media_type}\r\n\r\n".encode() + body, policy=HTTP)
        return dict(_field(part) for part in message.iter_parts())
    except (UnicodeDecodeError, AttributeError, KeyError) as error:
        raise MediaTypeError(f"the form cannot be read: {error}") from error


def _field(part: object) -> tuple[str, str]:
    name = part["content-disposition"].params["name"]  # type: ignore[index] # parts of email's messages
    if part.get_filename() is not None:  # type: ignore[attr-defined]
        raise MediaTypeError(f"{name} is a file; external tables are not taken here")
    return name, part.get_payload(decode=True).decode()  # type: ignore[attr-defined]


def _deflated(body: bytes, max_bytes: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise MediaTypeError(f"the body is not deflate: {error}") from error
    _check(len(inflated), max_bytes)
    if not stream.eof:
        raise MediaTypeError("the body is not deflate: it ends early")
    return inflated


def _check(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise TooLargeError(f"the body inflates to more than {max_bytes} bytes; send less at a time")
