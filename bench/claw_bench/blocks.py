"""Blocks of Prometheus' store: made from text by promtool, and repeated at other times.

promtool reads some 400,000 samples a second, so a month of a hundred million would take it long. The same day
may come again, though: a block is copied, and the moments in its chunks and index are moved, with their
checksums.
Format: https://github.com/prometheus/prometheus/tree/main/tsdb/docs/format (chunks, index of version 2).
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BlockError", "copies", "make", "repeat"]

MOMENT_BYTES: Final = 6
"""Length of every moment between 2004 and 2039, in milliseconds, as a signed variable-length number."""
CHUNK_HEADER_BYTES: Final = 8
SAMPLES_BYTES: Final = 2
CHECKSUM_BYTES: Final = 4
XOR: Final = 1
CASTAGNOLI: Final = 0x82F63B78
CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class BlockError(Exception):
    """A block is not what this module can move; the message says what was found."""


def make(promtool: Path, text: Path, folder: Path, *, hours: int) -> Path:
    """Return the block that promtool makes from an OpenMetrics file.

    Raises:
        BlockError: The file does not fit into one block (Prometheus has them of 2, 6, 18, 54 and 162 hours).
    """
    before = set(folder.glob("*/meta.json"))
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    subprocess.run([*command, f"--max-block-duration={hours}h", str(text), str(folder)], check=True)
    made = set(folder.glob("*/meta.json")) - before
    if len(made) != 1:
        raise BlockError(f"{text} became {len(made)} blocks, not one: align it to {hours} hours")
    return made.pop().parent


def copies(block: Path, *, milliseconds: int, times: int) -> None:
    """Put copies of a block before it: each is `milliseconds` earlier than the one after it."""
    for number in range(1, times + 1):
        repeat(block, -number * milliseconds)


def repeat(block: Path, shift: int) -> Path:
    """Copy a block to a time that is `shift` milliseconds later, and return the copy."""
    meta = json.loads((block / "meta.json").read_text())
    meta["minTime"] += shift
    meta["maxTime"] += shift
    meta["ulid"] = _ulid(meta["minTime"], meta["ulid"])
    meta["compaction"] |= {"sources": [meta["ulid"]]}
    copy = block.parent / str(meta["ulid"])
    (copy / "chunks").mkdir(parents=True)
    for file in sorted((block / "chunks").iterdir()):
        (copy / "chunks" / file.name).write_bytes(_moved(file.read_bytes(), _of_chunks, shift))
    (copy / "index").write_bytes(_moved((block / "index").read_bytes(), _of_index, shift))
    if (block / "tombstones").exists():
        shutil.copy(block / "tombstones", copy)
    (copy / "meta.json").write_text(json.dumps(meta))
    return copy


def _moved(content: bytes, moments: Any, shift: int) -> bytes:  # noqa: ANN401  # one of the two functions below
    """Return a file with every moment moved, and the checksum of what it stands in corrected."""
    moved = bytearray(content)
    for place, checksum in moments(content):
        old = content[place : place + MOMENT_BYTES]
        new, change = _later(old, shift)
        moved[place : place + MOMENT_BYTES] = new
        known = int.from_bytes(content[checksum : checksum + CHECKSUM_BYTES], "big")
        after = checksum - place - MOMENT_BYTES
        moved[checksum : checksum + CHECKSUM_BYTES] = (known ^ _effect(change, after)).to_bytes(4, "big")
    return bytes(moved)


def _of_chunks(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each chunk's first moment and checksum are."""
    at = CHUNK_HEADER_BYTES
    while at < len(content):
        length, at = _unsigned(content, at)
        if content[at] != XOR:
            raise BlockError(
                f"a chunk has encoding {content[at]}, not {XOR}: only plain numbers can be moved"
            )
        checksum = at + 1 + length
        yield at + 1 + SAMPLES_BYTES, checksum
        at = checksum + CHECKSUM_BYTES


def _of_index(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each series' first moment and checksum are."""
    # The table of contents ends the file: six offsets and a checksum. Series begin at the second of them.
    _symbols, at, end, *_ = struct.unpack(">6Q", content[-52:-4])
    while at < end:
        at += -at % 16  # every series begins at a multiple of 16
        if at >= end or not content[at]:
            return
        length, at = _unsigned(content, at)
        place = at
        labels, place = _unsigned(content, place)
        for _ in range(2 * labels):
            _, place = _unsigned(content, place)
        chunks, place = _unsigned(content, place)
        if chunks:
            yield place, at + length
        at += length + CHECKSUM_BYTES


def _unsigned(content: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length number, and where what follows it begins."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the bit that says that more follow
            return value, at
        shift += 7


@cache
def _later(old: bytes, shift: int) -> tuple[bytes, bytes]:
    """Return a moment later, and the bits that differ."""
    number, length = _unsigned(old, 0)
    if length != MOMENT_BYTES:
        raise BlockError(f"a moment has {length} bytes, not {MOMENT_BYTES}")
    number += 2 * shift  # zigzag: a positive number is stored as its double
    new = bytes((number >> 7 * index & 0x7F) | (0x80 if index < length - 1 else 0) for index in range(length))
    return new, bytes(one ^ other for one, other in zip(old, new, strict=True))


@cache
def _effect(change: bytes, after: int) -> int:
    """Return what changed bits do to the checksum of what they stand in, `after` bytes before its end."""
    checksum = 0
    for byte in change + bytes(after):
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    return checksum


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ CASTAGNOLI * (value & 1)
        table.append(value)
    return table


_TABLE: Final = _table()


def _ulid(milliseconds: int, other: str) -> str:
    """Return a name as blocks have it: the moment, and the rest of another one."""
    first = "".join(CROCKFORD[milliseconds >> 5 * (9 - index) & 31] for index in range(10))
    return first + other[10:]
