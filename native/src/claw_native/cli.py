"""The command line `claw-native`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from claw_native.check import check
from claw_native.demo import clean, demo
from claw_native.drills.calm import calm
from claw_native.drills.command import FASTER, Options, drills, listing
from claw_native.errors import NativeError
from claw_native.settings import read_settings
from claw_native.status import logs, status
from claw_native.tools import ensure_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claw_native.settings import Settings


def say(text: str) -> None:
    """Prints a line at once, also into a pipe."""
    try:
        print(text, flush=True)  # noqa: T201 - this is the program's own output
    except (OSError, ValueError):
        # Whoever read our output has gone. The work goes on, and what is buffered must not fail at the end.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the end of the process


def _demo(settings: Settings, _: argparse.Namespace) -> int:
    return demo(settings, say=say)


def _clean(settings: Settings, _: argparse.Namespace) -> int:
    return clean(settings, say=say)


def _status(settings: Settings, _: argparse.Namespace) -> int:
    return status(settings, say=say)


def _logs(settings: Settings, options: argparse.Namespace) -> int:
    return logs(settings, options.services, lines=options.lines, follow=options.follow, say=say)


def _check(settings: Settings, options: argparse.Namespace) -> int:
    return check(settings, wait_seconds=options.wait_seconds, say=say)


def _drills(settings: Settings, options: argparse.Namespace) -> int:
    if options.list:
        say(listing())
        return 0
    chosen = Options(only=options.only, faster=options.faster, keep=options.keep, result=options.result)
    return drills(settings, chosen, say=say)


def _calm(settings: Settings, options: argparse.Namespace) -> int:
    return calm(settings, minutes=options.minutes, say=say)


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

    add("demo", _demo, "Run the whole stack until Ctrl-C.")
    add("clean", _clean, "Forget the demo's data; the fetched programs stay.")
    checks = add("check", _check, "Beside a running demo: is everything up, filled and delivered?")
    checks.add_argument(
        "--wait-seconds", type=float, default=180, help="how long to wait for data, all in all (180)"
    )
    _add_drills(add("drills", _drills, "Break a stack of its own for real; do the right alerts come?"))
    hour = add("calm", _calm, "Watch a demo of its own for an hour, in which nothing may fire.")
    hour.add_argument("--minutes", type=float, default=60, help="how long (60)")
    add("status", _status, "What runs in the demo.")
    logs = add("logs", _logs, "Follow the demo's logs.")
    logs.add_argument("services", nargs="*", metavar="SERVICE", help="which ones; all by default")
    logs.add_argument("--lines", type=int, default=20, help="how many of the last lines come first (20)")
    logs.add_argument("--no-follow", dest="follow", action="store_false", help="end after these lines")
    tools = add("tools", _tools, "Fetch Prometheus, Postgres and the others into .run/tools.")
    tools.add_argument("names", nargs="*", metavar="NAME", help="which ones; all by default")
    return top


def _add_drills(command: argparse.ArgumentParser) -> None:
    command.add_argument("--list", action="store_true", help="show the faults, and end")
    command.add_argument(
        "--only", action="append", default=[], metavar="FAULT", help="drill this one; may be repeated"
    )
    command.add_argument(
        "--faster", type=float, default=FASTER, help=f"divide every duration by this ({FASTER:g})"
    )
    command.add_argument("--keep", action="store_true", help="leave the stack running for the next run")
    command.add_argument("--result", type=Path, metavar="FILE", help="where the outcomes go as JSON")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = parser().parse_args(argv)
    try:
        code: int = options.run(read_settings(os.environ), options)
    except NativeError as error:
        sys.stderr.write(f"claw-native: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
