"""The files in which one worker process of several keeps its numbers, in prometheus_client's own format.

A file is ``[used: int32][padding]{[length: int32][JSON key][padding][value: double][timestamp: double]}``,
named by the type of its metrics (``counter_...db``, ``gauge_livesum_...db``), so that an unmodified
``prometheus_client.multiprocess.MultiProcessCollector`` reads it. Two things are ours:

* All keys of one child are padded to one length, so that its numbers lie at one distance from each other, and
  a strided ``memoryview`` of the mapped file is used exactly as the list is that stands there in memory.
* A set of files belongs to whoever holds the lock of its ``claw-<token>.lock``. The kernel releases the lock
  of a process that ends, however it ends, and whatever its process id means elsewhere. A worker that starts
  takes over the set of a dead one, and goes on counting where that one stopped. So nothing is ever copied
  from file to file: no moment exists at which a number is lost or counted twice, whoever is killed when, and
  there are never more sets than there were workers at a time.

Where the whole application starts anew (nobody holds a lock, and the last holders were of another process
group), what is left is removed: counters begin at 0, as those of any program that starts.
"""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from claw_exporter.errors import DirectoryError
from claw_exporter.spec import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from claw_exporter.spec import Metric, Slot

__all__ = [
    "FORGOTTEN",
    "HEADER_BYTES",
    "LOCK_NAME",
    "Holder",
    "WorkerFiles",
    "check_directory",
    "entries",
    "living",
]

# In place of a timestamp, which only stock gauges of the "mostrecent" modes use: a series that is no more.
FORGOTTEN: Final = -1.0
HEADER_BYTES: Final = 8
LOCK_NAME: Final = re.compile(r"claw-([0-9a-f]+)\.lock")

_FIRST_BYTES: Final = 1 << 16
_DOUBLE: Final = 8
_SIGNATURE_BYTES: Final = 200
_MODES: Final = {"sum": "livesum", "max": "livemax", "each": "liveall"}
_INTEGER: Final = Struct("i")
_DIRECTORY_LOCK: Final = "claw.lock"
# Reserved, not only extended: writing to a mapped page that has no room on the disk is a SIGBUS.
_reserve: Final[Callable[[int, int, int], None]] = getattr(
    os, "posix_fallocate", lambda number, _, size: os.ftruncate(number, size)
)
_log: Final = logging.getLogger("claw_exporter")
_PATIENCE_SECONDS: Final = 2.0
_GLANCES_SECONDS: Final = 0.2  # in which whoever only looked at a lock has let go of it
_POLL_SECONDS: Final = 0.002


class Holder(NamedTuple):
    """Who holds, or held last, a set of files.

    Attributes:
        pid: Its process id.
        parent: Its parent's.
        run: What all workers of one run of the application have in common.
        serving: Whether it has been seen to serve: what starts workers does not.
    """

    pid: int
    parent: int
    run: str
    serving: bool


def check_directory(directory: str) -> None:
    """Raise where a directory cannot hold workers' files.

    Raises:
        DirectoryError: It is missing, or not writable.
    """
    if not Path(directory).is_dir():
        raise DirectoryError(
            f"PROMETHEUS_MULTIPROC_DIR is {directory!r}, which is not a directory: create it before the "
            f"server starts (mkdir -p {directory})"
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise DirectoryError(
            f"PROMETHEUS_MULTIPROC_DIR is {directory!r}, where this process may not write: give it to the "
            f"user that runs the server (chown {os.getuid()} {directory})"
        )


class WorkerFiles:
    """One set of files, held by this process.

    Args:
        directory: Where.

    Raises:
        OSError: The directory does not let itself be written.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._files: dict[str, _File] = {}
        self._lock = RLock()
        self._serving = False
        self._released = True  # as long as there is nothing to release
        self._run = _run()
        self._token, self._held = _claim(self._directory, self._run)
        self._released = False
        self._sign()

    def child(self, slots: Sequence[Slot]) -> memoryview[float]:
        """Return the numbers of a child: those of the set's last holder if it had it, else new zeros.

        Args:
            slots: What the numbers are, all of one type of metric.

        Raises:
            OSError: The disk is full, or the file cannot be created.
        """
        with self._lock:
            return self._file(slots[0].spec).child(slots)

    def forget(self, child: memoryview[float], slots: Sequence[Slot]) -> None:
        """Let a child be 0 for stock readers, and nothing at all for ours."""
        with self._lock:
            self._file(slots[0].spec).forget(child, _keys(slots))

    def serve(self) -> None:
        """Note that this process serves: it is no mere parent of those that do."""
        if not self._serving:
            self._serving = True
            self._sign()

    def release(self) -> None:
        """Let go of the set without unlocking what a parent process holds through the same description."""
        if not self._released:
            self._released = True
            os.close(self._held)
            for file in self._files.values():
                file.close()

    def __del__(self) -> None:
        """Let somebody else go on with the set."""
        self.release()

    def _sign(self) -> None:
        text = json.dumps(Holder(os.getpid(), os.getppid(), self._run, self._serving)).encode()
        # One write over the old signature; the trailing spaces of a shorter one are no matter for JSON.
        os.pwrite(self._held, text.ljust(_SIGNATURE_BYTES), 0)

    def _file(self, spec: Metric) -> _File:
        kind = f"gauge_{_MODES[spec.workers]}" if isinstance(spec, Gauge) else spec.type
        file = self._files.get(kind)
        if file is None:
            # What stands between the second "_" and the first three characters before the next one is a
            # process id to stock code; what follows keeps the name apart from that of a stock file.
            owner = f"_{os.getpid()}.db" if isinstance(spec, Gauge) else ""
            path = self._directory / f"{kind}{owner}_claw-{self._token}.db"
            file = self._files[kind] = _opened(path)
        return file


class _File:
    """One mapped file."""

    def __init__(self, path: Path) -> None:
        # Children that are known but not in use: those of the last holder by their first key (with the number
        # of the entry), those that were forgotten by all their keys (with the place of the first number).
        self._left: dict[str, list[int]] = {}
        self._entries: list[tuple[str, int]] = []
        self._forgotten: dict[tuple[str, ...], memoryview[float]] = {}
        self._places: dict[int, int] = {}
        self._described: set[str] = set()
        if not path.exists():
            _create(path)
        self._number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map(os.fstat(self._number).st_size)
            self._used = self._integers[0]
            self._take_over()
        except BaseException:
            os.close(self._number)
            raise

    def close(self) -> None:
        os.close(self._number)

    def child(self, slots: Sequence[Slot]) -> memoryview[float]:
        keys = _keys(slots)
        child = self._forgotten.pop(keys, None)
        if child is None:
            first, distance = self._found(keys) or self._append(slots, keys)
            child = self._doubles[first : first + (len(keys) - 1) * distance + 1 : distance]
            self._places[id(child)] = first
        self._flag(child, 0.0)
        return child

    def forget(self, child: memoryview[float], keys: tuple[str, ...]) -> None:
        for index in range(len(child)):
            child[index] = 0.0
        self._flag(child, FORGOTTEN)
        self._forgotten[keys] = child

    def _flag(self, child: memoryview[float], flag: float) -> None:
        distance = (child.strides or (_DOUBLE,))[0] // _DOUBLE
        first = self._places[id(child)] + 1
        for place in range(first, first + len(child) * distance, distance):
            self._doubles[place] = flag

    def _take_over(self) -> None:
        for family, sample, labels, help_text, place in entries(self._mapped, HEADER_BYTES, self._used):
            key = _key(family, sample, labels)
            self._left.setdefault(key, []).append(len(self._entries))
            self._entries.append((key, place))
            if help_text:
                self._described.add(family)

    def _found(self, keys: tuple[str, ...]) -> tuple[int, int] | None:
        """Return where a child of the last holder begins, and the distance of its numbers; only once."""
        candidates = self._left.get(keys[0], [])
        for number in candidates:
            names, places = zip(*self._entries[number : number + len(keys)], strict=True)
            distance = places[1] - places[0] if len(places) > 1 else 1
            if names == keys and places == tuple(range(places[0], places[-1] + 1, distance)):
                candidates.remove(number)
                return places[0], distance
        return None

    def _append(self, slots: Sequence[Slot], keys: Sequence[str]) -> tuple[int, int]:
        described = self._described.copy()
        texts = [_text(slot, key, described) for slot, key in zip(slots, keys, strict=True)]
        length = max(map(len, texts))
        # Stock code pads by 1 to 8 bytes, until length and text together are a multiple of 8: by 1 here.
        length += (3 - length) % _DOUBLE
        head, tail = _INTEGER.pack(length), b" " + bytes(2 * _DOUBLE)
        block = b"".join([head + text.ljust(length) + tail for text in texts])
        start, end = self._used, self._used + len(block)
        if end > len(self._mapped):
            self._map(1 << (end - 1).bit_length())
        self._mapped[start:end] = block
        self._used = self._integers[0] = end  # last: from now on, others read it
        self._described = described
        distance = len(block) // len(keys) // _DOUBLE
        return start // _DOUBLE + distance - 2, distance

    def _map(self, size: int) -> None:
        _reserve(self._number, 0, size)
        # Older mappings stay valid, and show the same file: children keep theirs.
        self._mapped = mmap.mmap(self._number, size)
        self._doubles = memoryview(self._mapped).cast("d")
        self._integers = memoryview(self._mapped).cast("i")


def _opened(path: Path) -> _File:
    try:
        return _File(path)
    except ValueError:
        aside = path.with_suffix(".damaged")
        _log.warning("%s is damaged: it is set aside as %s", path, aside.name)
        path.rename(aside)
        return _File(path)


def _text(slot: Slot, key: str, described: set[str]) -> bytes:
    """Return a key as stock code wants it; only the first of a metric in a file carries the help."""
    family = _family(slot)
    help_text = "" if family in described else slot.spec.help
    described.add(family)
    return f"{key[:-1]},{json.dumps(help_text)}]".encode()


def _create(path: Path) -> None:
    """Make an empty file, unseen before it can be read: stock code stumbles over one of 0 bytes."""
    unfinished = path.with_suffix(".new")
    number = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _reserve(number, 0, _FIRST_BYTES)
        os.pwrite(number, _INTEGER.pack(HEADER_BYTES), 0)
        unfinished.rename(path)
    finally:
        os.close(number)


def entries(data: Any, start: int, end: int) -> Iterator[tuple[str, str, dict[str, str], str, int]]:  # noqa: ANN401  # a buffer
    """Yield what a file has: family, sample, labels, help, and at which double of the file its value stands.

    Raises:
        ValueError: The file is damaged.
    """
    while start < end:
        length = _INTEGER.unpack_from(data, start)[0]
        if length <= 0 or start + length > end:
            raise ValueError(f"a worker's file is damaged at byte {start}: an entry of {length} bytes")
        family, sample, labels, help_text = json.loads(data[start + 4 : start + 4 + length])
        start += 4 + length + _DOUBLE - (length + 4) % _DOUBLE + 2 * _DOUBLE
        yield family, sample, labels, help_text, start // _DOUBLE - 2


def _family(slot: Slot) -> str:
    return slot.spec.name.removesuffix("_total") if slot.spec.type == "counter" else slot.spec.name


def _keys(slots: Sequence[Slot]) -> tuple[str, ...]:
    return tuple([_key(_family(slot), slot.sample, dict(slot.labels)) for slot in slots])


def _key(family: str, sample: str, labels: dict[str, str]) -> str:
    return json.dumps([family, sample, labels], separators=(",", ":"))


# -- Who holds what ------------------------------------------------------------------------------------------


def living(path: PathLike[str]) -> Holder | None:
    """Return the living process that holds the lock of a set, once it has signed; a dead one's gauges go."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared: two that look at the same time do not take each other for the holder.
        if not _flocked(number, fcntl.LOCK_SH):
            return _holder(number)
        _remove(Path(path), "gauge_*")
        return None
    finally:
        os.close(number)


def _holder(number: int) -> Holder | None:
    """Return who signed a lock file last; None where nobody did yet."""
    try:
        return Holder(*json.loads(os.pread(number, _SIGNATURE_BYTES, 0)))
    except (ValueError, TypeError):
        return None


def _claim(directory: Path, run: str) -> tuple[str, int]:
    """Take over a dead worker's set, or begin a new one; return its token and the descriptor of its lock."""
    with _alone(directory) as alone:
        if alone:
            for unfinished in directory.glob("claw-*.new"):
                unfinished.unlink(missing_ok=True)
            dead, anyone_lives = _dead(directory)
            if not anyone_lives:
                dead = [entry for entry in dead if not _removed(*entry, run)]
            for _, unused in dead[1:]:
                os.close(unused)
            for path, number in dead[:1]:
                _remove(path, "gauge_*")
                return path.stem.removeprefix("claw-"), number
        return _begin(directory)


def _begin(directory: Path) -> tuple[str, int]:
    token = secrets.token_hex(6)
    path = directory / f"claw-{token}.new"
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    fcntl.flock(number, fcntl.LOCK_EX)
    path.rename(path.with_suffix(".lock"))  # it is never seen without its lock
    return token, number


def _dead(directory: Path) -> tuple[list[tuple[Path, int]], bool]:
    """Lock every set that nobody holds; return those, and whether there are others."""
    dead, anyone_lives = [], False
    for path in sorted(directory.glob("claw-*.lock")):
        with suppress(FileNotFoundError):
            number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if _locked(number, _GLANCES_SECONDS, while_alive=False):
                dead.append((path, number))
            else:
                os.close(number)
                anyone_lives = True
    return dead, anyone_lives


def _removed(path: Path, number: int, run: str) -> bool:
    """Remove a dead set of another run of the application."""
    last = _holder(number)
    if last is not None and last.run == run:
        return False
    _remove(path, "*")
    path.unlink()
    os.close(number)
    return True


def _remove(lock: Path, what: str) -> None:
    for path in lock.parent.glob(f"{what}_{lock.stem}.*"):
        path.unlink(missing_ok=True)


@contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Let one worker start at a time; False after two seconds, where one was stopped in the middle."""
    number = os.open(directory / _DIRECTORY_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield _locked(number, _PATIENCE_SECONDS)
    finally:
        os.close(number)


def _locked(number: int, patience: float, *, while_alive: bool = True) -> bool:
    """Take a lock, within some seconds; only if nobody but those who look holds it unless ``while_alive``."""
    until = time.monotonic() + patience
    while not _flocked(number, fcntl.LOCK_EX):
        if time.monotonic() > until or not (while_alive or _flocked(number, fcntl.LOCK_SH)):
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _flocked(number: int, how: int) -> bool:
    try:
        fcntl.flock(number, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run() -> str:
    """Name this run of the application by its process group, and when the leader of that one started."""
    group = os.getpgrp()
    try:
        # The text after the command, which may contain anything, is plain: field 22 is the start time.
        started = Path(f"/proc/{group}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:  # the leader is gone, or the system has no /proc
        started = "?"
    return f"{group}@{started}"
