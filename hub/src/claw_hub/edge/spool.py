"""Entries on the local disk, for the time that the bus is away.

A folder of segments, each a row of frames: ``clw1``, the payload's length and CRC-32 (little-endian, 32 bits
each), and the payload: a line of JSON about the entry, then its body as it came. A frame that a crash tore is
passed over. No body can look like a frame: a length has a zero byte in it, which JSON has not.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from claw_hub.bus import Entry
from claw_hub.errors import SettingsError, UnavailableError
from claw_hub.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Spool", "read_frames"]

MAX_BYTES: Final = 1_000_000_000
SEGMENT_BYTES: Final = 4_000_000

_MAGIC: Final = b"clw1"
_HEADER: Final = struct.Struct("<4sII")
_MAX_PAYLOAD_BYTES: Final = 2**24 - 1
_SUFFIX: Final = ".spool"
_LOCK: Final = "lock"
_RETRY_FULL_SECONDS: Final = 5


class Spool:
    """A folder of entries, oldest first; one thread at a time uses it.

    Args:
        folder: Of this process alone; made where it is missing.
        max_bytes: What all segments hold at most.
        segment_bytes: When the next segment is begun.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = MAX_BYTES, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._sizes: dict[Path, int] = {}
        self._bytes = 0
        self._file: int | None = None
        self._lock: int | None = None
        self._number = 0

    @property
    def size_bytes(self) -> int:
        """What all segments hold; any thread may ask."""
        return self._bytes

    def open(self) -> None:
        """Finds what an earlier life has left.

        Raises:
            SettingsError: Another process uses the folder, or it cannot be written to.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise SettingsError(
                [f"{self._folder} cannot be a spool ({error}): each process needs a writable one of its own"]
            ) from None
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        self._sizes = {path: path.stat().st_size for path in paths}
        self._bytes = sum(self._sizes.values())
        self._number = int(paths[-1].stem) if paths else 0

    def write(self, entries: Sequence[Entry]) -> list[str]:
        """Makes entries durable, all of them or none; returns their names.

        Raises:
            UnavailableError: There is no room, or the disk fails.
        """
        frames = [_frame(entry) for entry in entries]
        data = b"".join(frames)
        if self.size_bytes + len(data) > self._max_bytes:
            raise UnavailableError(
                f"the bus is away, and the spool is full: {self.size_bytes} of {self._max_bytes} bytes",
                retry_after_seconds=_RETRY_FULL_SECONDS,
            )
        try:
            path = self._append(data)
        except OSError as error:
            raise UnavailableError(f"the bus is away, and the spool cannot be written: {error}") from error
        return [
            f"spool-{path.stem}-{self._sizes[path] - len(data)}-{number}" for number in range(len(frames))
        ]

    def _append(self, data: bytes) -> Path:
        file = self._begin() if self._file is None else self._file
        path = next(reversed(self._sizes))
        try:
            _write_all(file, data)
            os.fsync(file)
        except OSError:
            # Nobody was told that these are safe, and what comes next must not stand behind half a frame.
            with suppress(OSError):
                os.ftruncate(file, self._sizes[path])
            self._end()
            raise
        self._sizes[path] += len(data)
        self._bytes += len(data)
        if self._sizes[path] >= self._segment_bytes:
            self._end()
        return path

    def _begin(self) -> int:
        self._number += 1
        path = self._folder / f"{self._number:020d}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._sizes[path] = 0
        _sync_folder(self._folder)
        return self._file

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def oldest(self) -> Path | None:
        """Returns the segment that was begun first, and ends it; None where there is none."""
        path = next(iter(self._sizes), None)
        if self._file is not None and len(self._sizes) == 1:
            self._end()
        return path

    def remove(self, path: Path) -> None:
        """Forgets a segment: its entries are on the bus."""
        path.unlink(missing_ok=True)
        self._bytes -= self._sizes.pop(path)

    def close(self) -> None:
        """Leaves the folder to others; what is in it stays."""
        self._end()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def read_frames(path: Path) -> Iterator[Entry]:
    """Yields the entries of a segment, and passes over what is torn."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # somebody took it away
        return
    at = data.find(_MAGIC)
    while at >= 0:
        payload = _payload(data, at)
        if payload is not None:
            yield _entry(payload)
        at = data.find(_MAGIC, at + (1 if payload is None else _HEADER.size + len(payload)))


def _payload(data: bytes, at: int) -> bytes | None:
    if at + _HEADER.size > len(data):
        return None
    _, size, checksum = _HEADER.unpack_from(data, at)
    payload = data[at + _HEADER.size : at + _HEADER.size + size]
    return payload if len(payload) == size and zlib.crc32(payload) == checksum else None


def _entry(payload: bytes) -> Entry:
    head, _, body = payload.partition(b"\n")
    fields: dict[str, Any] = orjson.loads(head)
    return Entry(**{**fields, "kind": Kind(fields["kind"]), "body": body})


def _frame(entry: Entry) -> bytes:
    head = {
        "kind": entry.kind,
        "tenant_id": entry.tenant_id,
        "received_us": entry.received_us,
        "count": entry.count,
        "idempotency_key": entry.idempotency_key,
    }
    payload = orjson.dumps(head) + b"\n" + entry.body
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise UnavailableError(f"the bus is away, and {len(payload)} bytes are too many for the spool")
    return _HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_folder(folder: Path) -> None:
    """Makes the name of a new file durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
