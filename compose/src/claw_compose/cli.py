"""The command line of the production stack: `python3 -m claw_compose`, which make calls."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from claw_compose import environment
from claw_compose.engine import Stack
from claw_compose.errors import ComposeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["COMMANDS", "main", "parser"]

REPOSITORY: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command, as argparse wants it."""

    names: tuple[str, ...]
    options: dict[str, Any]

    @property
    def is_option(self) -> bool:
        """Whether it is given by name, and may be left out."""
        return self.names[-1].startswith("-")

    @property
    def name(self) -> str:
        """What argparse and the command's function call it."""
        return self.names[-1].lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Command:
    """What can be typed.

    Attributes:
        target: Module and function that does it; `function(stack, *arguments, **options, say=...)` returns an
            exit code, or nothing when all is well.
        text: What the help says.
        arguments: What it takes; their values are handed over in this order, those with dashes by name.
    """

    target: str
    text: str
    arguments: tuple[Argument, ...] = ()


def _services(text: str) -> Argument:
    return Argument(("services",), {"nargs": "*", "metavar": "SERVICE", "help": text})


COMMANDS: Final[dict[str, Command]] = {
    "secrets": Command(
        "claw_compose.secret_files:make_secrets",
        "Make the passwords and the trial certificate that are missing; nothing is overwritten.",
    ),
    "preflight": Command(
        "claw_compose.preflight:preflight",
        "Name every missing or wrong setting, before anything starts.",
    ),
    "up": Command(
        "claw_compose.start:up",
        "Start, or bring up to date, and wait until all is healthy.",
        (_services("which ones; all of COMPOSE_PROFILES by default"),),
    ),
    "down": Command("claw_compose.start:down", "Stop; data stays."),
    "status": Command(
        "claw_compose.status:status",
        "What runs, how healthy, which targets are down, which alerts fire, how old the last backup is.",
    ),
    "logs": Command(
        "claw_compose.start:logs", "Follow the logs.", (_services("which ones; all by default"),)
    ),
    "backup": Command(
        "claw_compose.backup:backup", "Write a consistent, checksummed backup of everything that is kept."
    ),
    "restore": Command(
        "claw_compose.restore:restore",
        "Put a backup back; it replaces what is there.",
        (
            Argument(("folder",), {"type": Path, "metavar": "FOLDER", "help": "the folder of one backup"}),
            Argument(
                ("--only",),
                {
                    "action": "append",
                    "metavar": "PART",
                    "help": "put back this one and leave the others as they are; may be given several times",
                },
            ),
            Argument(("--yes",), {"action": "store_true", "help": "do not ask"}),
            Argument(
                ("--no-safety-backup",),
                {"action": "store_true", "help": "make no backup of what is replaced"},
            ),
        ),
    ),
    "notify-test": Command(
        "claw_compose.notify:notify_test",
        "Send a test notification through every receiver, and say which of them took it.",
    ),
    "upgrade-check": Command(
        "claw_compose.upgrade:upgrade_check",
        "What `up` with this version of the repository would change, and what to do first.",
    ),
}


def say(text: str) -> None:
    """Prints a line at once, also into a pipe."""
    try:
        print(text, flush=True)  # noqa: T201 - this is the program's own output
    except (OSError, ValueError):
        # Whoever read our output has gone. The work goes on, and what is buffered must not fail at the end.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end of the process


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="claw-compose",
        description="Operates the stack of docker-compose.prod.yml. Each command is a target of make, too.",
        epilog="Exit codes: 0 all is well, 1 something failed or needs attention, 2 settings are wrong.",
    )
    top.add_argument(
        "--env-file",
        type=Path,
        default=Path(".env.prod"),
        metavar="FILE",
        help="the settings, relative to the repository (.env.prod)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.text, description=command.text)
        for argument in command.arguments:
            one.add_argument(*argument.names, **argument.options)
    return top


def _function(target: str) -> Callable[..., int | None]:
    module, name = target.split(":")
    # Imported when it is needed: a command must not fail because of another.
    found: Callable[..., int | None] = getattr(importlib.import_module(module), name)
    return found


def main(argv: Sequence[str] | None = None, *, repository: Path = REPOSITORY) -> int:
    """Runs one command; returns the exit code."""
    options = parser().parse_args(argv)
    command = COMMANDS[options.command]
    values = [getattr(options, argument.names[0]) for argument in command.arguments if not argument.is_option]
    named = {
        argument.name: getattr(options, argument.name) for argument in command.arguments if argument.is_option
    }
    stack = Stack(repository, options.env_file, os.environ)
    try:
        environment.read(stack.env_file)  # a missing one is told in the same words by every command
        return _function(command.target)(stack, *values, **named, say=say) or 0
    except ComposeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
