"""``claw-hub``: run the hub or a part of it, and manage who may use it."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import uvicorn

from claw_exporter import logs
from claw_hub.accounts import Accounts, commands
from claw_hub.accounts.database import connect
from claw_hub.accounts.migrate import upgrade
from claw_hub.app import create_app
from claw_hub.errors import HubError, SettingsError
from claw_hub.running import Part
from claw_hub.settings import VARIABLES, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claw_hub.settings import Settings

__all__ = ["main"]

FAILED: Final = 1
MISUSED: Final = 2
_ABOUTS: Final = {
    "all": "everything in one process: accept, store, answer",
    "edge": "accept records, and put them on the bus",
    "worker": "carry records from the bus to the warehouse; one process owns an embedded warehouse",
    "api": "answer questions, log people in, manage accounts",
}


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Without the program's name; those of the process where left out.
        environment: Variables; those of the process where left out.

    Returns:
        The exit code.
    """
    environment = os.environ if environment is None else environment
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(environment)
        if options.command == "check":
            sys.stdout.write("no mistakes\n")
            return 0
        if options.command in _ABOUTS:
            return _serve(settings, tuple(Part) if options.command == "all" else (Part(options.command),))
        sys.stdout.write(asyncio.run(_manage(settings, options)))
    except SettingsError as error:
        _complain(f"the settings have {len(error.mistakes) or 1} mistakes:\n{error}")
        return MISUSED
    except HubError as error:
        _complain(str(error))
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:<36}{about}" for name, about in VARIABLES.items()]
    parser = argparse.ArgumentParser(
        prog="claw-hub",
        description="Takes the telemetry of AI agents from many tenants, stores what it acknowledged, and "
        "answers questions about it.",
        epilog="\n".join(
            [
                "environment:",
                *lines,
                "",
                "exit codes: 0 done, 1 could not, 2 settings or command line are wrong",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("claw-hub"))
    made = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    for name, about in _ABOUTS.items():
        made.add_parser(name, help=about, description=about)
    made.add_parser("check", help="report every mistake of the settings at once")
    commands.commands(made)
    return parser


def _serve(settings: Settings, parts: tuple[Part, ...]) -> int:
    logs.configure(sys.stderr, level=settings.log_level, secrets=set(settings.secrets()))
    app = create_app(settings, parts)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
    # uvicorn raises the signal again after it stopped: a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    running = app.state.running
    if running.failed:
        _complain(running.failed)
    return 0 if server.started and not running.failed else FAILED


async def _manage(settings: Settings, options: argparse.Namespace) -> str:
    """Does what is asked of the accounts, which are brought up to date first."""
    await upgrade(settings.database_url)
    engine = connect(settings.database_url)
    accounts = Accounts(engine, token_secret=settings.token_secret, clock=time.time)
    try:
        return await commands.run(accounts, options)
    finally:
        await accounts.close()
        await engine.dispose()


def _complain(message: str) -> None:
    sys.stderr.write(f"claw-hub: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
