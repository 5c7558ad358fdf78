"""The warehouse inside this process: chDB, the engine of ClickHouse as a library, and who may open it.

One process owns the directory, and in it one `Embedded`. Everybody else asks over HTTP (`create_app`), as
they would ask a ClickHouse server.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final

import orjson

from claw_hub.errors import ConflictError, HubError, SettingsError
from claw_hub.warehouse.guard import Prepared, prepare
from claw_hub.warehouse.http_api import create_app
from claw_hub.warehouse.protocol import Answer, Ask, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

__all__ = ["Embedded", "create_app"]

_CODE: Final = re.compile(r"Code: (\d+)\. ")
_SETTING: Final = re.compile(r"[a-z][a-z0-9_]*")
_UNKNOWN_EXCEPTION: Final = 1002
_TOO_MANY_QUERIES: Final = 202
_UNKNOWN_SETTING: Final = 115


@dataclass(slots=True)
class Embedded:
    """The owner of a chDB directory.

    Each request has a Session of its own, in the thread that runs it: it costs a seventh of a millisecond,
    and no setting, database or parameter of one request reaches another.

    Attributes:
        path: The directory; it is made where it is missing.
        readers: Threads for statements that read, or that define something.
        writers: Threads for inserts, so that readers never keep data out.
        max_waiting: Statements that may wait for a thread; one more is refused.
        max_execution_seconds: For a statement that says nothing else.
        max_memory_bytes: The same.
        max_result_bytes: The same: an answer is held in memory whole.
    """

    path: Path
    readers: int = 4
    writers: int = 2
    max_waiting: int = 256
    max_execution_seconds: float = 60.0
    max_memory_bytes: int = 2_000_000_000
    max_result_bytes: int = 128_000_000
    _session: Any = field(default=None, init=False, repr=False)
    _keeper: Any = field(default=None, init=False, repr=False)
    _lock: Any = field(default=None, init=False, repr=False)
    _owner: int = field(default=0, init=False, repr=False)
    _waiting: int = field(default=0, init=False, repr=False)
    _pools: tuple[ThreadPoolExecutor, ...] = field(default=(), init=False, repr=False)

    def open(self) -> None:
        """Takes the directory.

        Raises:
            SettingsError: chDB is not installed.
            ConflictError: Another process has the directory, or this one has another directory.
            HubError: The directory cannot be opened; the message has the engine's words.
        """
        self._session = _session_class()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path)
        except OSError as error:
            raise HubError(f"the warehouse {self.path} cannot be opened: {error}") from error
        try:
            self._keeper = self._session(str(self.path))
        except RuntimeError as error:
            self._lock.close()
            raise _unopened(self.path, error) from error
        self._owner = os.getpid()
        self._pools = (
            ThreadPoolExecutor(self.readers, "warehouse-reader"),
            ThreadPoolExecutor(self.writers, "warehouse-writer"),
        )

    def close(self) -> None:
        """Waits for what runs, and gives the directory back; may be called twice."""
        for pool in self._pools:
            pool.shutdown()
        if self._keeper is not None:
            self._keeper.close()
            self._lock.close()
        self._keeper, self._pools = None, ()

    async def run(self, ask: Ask) -> Answer:
        """Runs one statement.

        Raises:
            EngineError: What the engine, or this class in its place, refuses.
        """
        prepared = prepare(ask)
        if self._waiting >= self.max_waiting:
            raise EngineError(_TOO_MANY_QUERIES, f"{self._waiting} statements wait already; try again later")
        self._waiting += 1
        try:
            # Where who asked goes away, what waits does not run; what runs, runs to its end.
            return await asyncio.wrap_future(self._submit(ask, prepared))
        finally:
            self._waiting -= 1

    async def execute(
        self,
        sql: str,
        *,
        database: str = "",
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Runs one statement; returns its rows as JSON has them (times are text).

        Raises:
            EngineError: As `run`.
        """
        quoting = {"output_format_json_quote_64bit_integers": "0", **(settings or {})}
        ask = Ask(sql.encode(), "JSONEachRow", database, parameters or {}, quoting)
        answer = await self.run(ask)
        return [orjson.loads(line) for line in answer.body.splitlines()]

    def _submit(self, ask: Ask, prepared: Prepared) -> Future[Answer]:
        if self._keeper is None:
            raise EngineError(_UNKNOWN_EXCEPTION, "the warehouse is closed")
        if os.getpid() != self._owner:
            # The engine's threads are not in a fork; a statement would wait for them for ever.
            raise EngineError(_UNKNOWN_EXCEPTION, "this process is a fork of the one that owns the warehouse")
        return self._pools[prepared.is_insert].submit(self._run, ask, prepared)

    def _run(self, ask: Ask, prepared: Prepared) -> Answer:
        session = self._session(str(self.path))
        try:
            for statement in self._preamble(ask):
                session.query(statement)
            return (
                _inserted(session, prepared)
                if prepared.data is not None
                else _answered(session, ask, prepared)
            )
        except RuntimeError as error:
            raise _engine_error(error) from error
        finally:
            session.close()

    def _preamble(self, ask: Ask) -> list[str]:
        limits = {
            "max_execution_time": str(self.max_execution_seconds),
            "max_memory_usage": str(self.max_memory_bytes),
            "max_result_bytes": str(self.max_result_bytes),
        }
        settings = {**limits, **ask.settings}
        # Last of all: once it is set, nothing else can be.
        settings |= {"readonly": settings.pop("readonly")} if "readonly" in settings else {}
        use = [f"USE `{_escaped(ask.database)}`"] if ask.database else []
        return use + [f"SET {_checked(name)} = '{_escaped(value)}'" for name, value in settings.items()]


def _session_class() -> Any:  # noqa: ANN401 - chDB ships no types for it
    try:
        from chdb.session import Session  # noqa: PLC0415 - an extra, of 250 MiB in memory
    except ImportError as error:
        raise SettingsError(
            ["the embedded warehouse needs chDB, which is not installed; pip install 'claw-hub[embedded]'"]
        ) from error
    return Session


def _locked(path: Path) -> Any:  # noqa: ANN401 - a file that is kept open
    file = path.with_name(f"{path.name}.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise ConflictError(
            f"the warehouse {path} is open in another process (pid {holder}); only one process may have it: "
            "stop that one, or ask it over HTTP"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _unopened(path: Path, error: RuntimeError) -> HubError:
    words = str(error)
    if "already initialized with path" in words:
        return ConflictError(f"this process has another warehouse open; {path} needs a process of its own")
    return HubError(
        f"the warehouse {path} cannot be opened: {words}; its files may be open elsewhere, or damaged: "
        "the engine's own message stands above this one"
    )


def _answered(session: Any, ask: Ask, prepared: Prepared) -> Answer:  # noqa: ANN401 - chDB's Session
    result = session.query(prepared.sql, ask.format, params=dict(ask.parameters) or None)
    return Answer(
        body=result.bytes() or b"",
        format=prepared.format,
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
        elapsed_seconds=result.elapsed(),
    )


def _inserted(session: Any, prepared: Prepared) -> Answer:  # noqa: ANN401 - chDB's Session
    # Not chDB's send_insert: it is silent where the table, not the format, refuses rows: they are lost.
    with _file(prepared.data or b"") as path:
        source = f"FROM INFILE '{path}' {prepared.clause} FORMAT {prepared.format}"
        done = session.query(f"{prepared.sql} {source}")
    return Answer(
        body=b"",
        format=prepared.format,
        read_rows=done.rows_written(),
        read_bytes=len(prepared.data or b""),
        written_rows=done.rows_written(),
        written_bytes=done.bytes_written(),
        result_rows=done.rows_written(),
        elapsed_seconds=done.elapsed(),
    )


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """Lends the path of a file with these data; in memory, where the system has such files."""
    if not hasattr(os, "memfd_create"):
        with NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name
        return
    with os.fdopen(os.memfd_create("insert"), "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _engine_error(error: RuntimeError) -> EngineError:
    words = str(error)
    found = _CODE.search(words)
    if found is None:
        return EngineError(_UNKNOWN_EXCEPTION, words)
    return EngineError(int(found.group(1)), words[found.start() :].split("DB::Exception: ", 1)[-1])


def _checked(name: str) -> str:
    if not _SETTING.fullmatch(name):
        raise EngineError(_UNKNOWN_SETTING, f"Unknown setting {name!r}")
    return name


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("`", "\\`")
