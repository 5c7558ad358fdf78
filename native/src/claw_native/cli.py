"""The command line `claw-native`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from claw_native.errors import NativeError
from claw_native.settings import read_settings
from claw_native.tools import ensure_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claw_native.settings import Settings


def say(text: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(text, flush=True)  # noqa: T201 - this is the program's own output


def _tools(settings: Settings, options: argparse.Namespace) -> int:
    say(f"Programs in {settings.bin_dir}")
    ensure_tools(settings, options.names, say=say)
    return 0


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `claw-native`; every command stores what runs it in `run`."""
    top = argparse.ArgumentParser(prog="claw-native", description="Runs the whole stack as plain processes.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[Settings, argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    tools = add("tools", _tools, "Fetch Prometheus, Postgres and the others into .run/tools.")
    tools.add_argument("names", nargs="*", metavar="NAME", help="which ones; all by default")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = parser().parse_args(argv)
    try:
        code: int = options.run(read_settings(os.environ), options)
    except NativeError as error:
        sys.stderr.write(f"claw-native: {error}\n")
        return error.exit_code
    return code
