"""Runs the embedded warehouse: within a program (`serving`), or as a process of its own.

The latter is ``python -m claw_hub.warehouse.serve DIRECTORY``.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn

from claw_hub.errors import HubError, SettingsError
from claw_hub.warehouse.embedded import Embedded, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from starlette.applications import Starlette

__all__ = ["main", "serve", "serving"]

# Longer than clients keep a connection that they do not use.
_KEEP_ALIVE_SECONDS: Final = 75
# Of the ten that containers are given.
_GRACE_SECONDS: Final = 8
_POLL_SECONDS: Final = 0.01


class _Server(uvicorn.Server):
    """A server within a program whose signals are its own affair."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Starlette, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Answers while the context lasts, in this event loop; gives the address.

    Args:
        app: Of `create_app`.
        host: Where to listen.
        port: The same; 0 for a free one.

    Raises:
        SettingsError: Nothing can listen there.
    """
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise SettingsError([f"the warehouse cannot listen on {host}:{port}: {error}"]) from error
    server = _Server(_config(app))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(_POLL_SECONDS)
        yield f"http://{host}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def serve(embedded: Embedded, *, host: str, port: int, password_file: Path | None = None) -> None:
    """Opens the warehouse and answers until the process is told to end.

    Raises:
        SettingsError: Nothing can listen there.
        HubError: As `Embedded.open`.
    """
    embedded.open()
    try:
        asyncio.run(_until_told(create_app(embedded, password_file=password_file), host, port))
    finally:
        embedded.close()


async def _until_told(app: Starlette, host: str, port: int) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving(app, host=host, port=port):
        await told.wait()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m claw_hub.warehouse.serve", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--password-file", type=Path)
    given = parser.parse_args(arguments)
    try:
        serve(Embedded(given.directory), host=given.host, port=given.port, password_file=given.password_file)
    except HubError as error:
        print(error, file=sys.stderr)  # noqa: T201 - what a program says when it cannot start
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
