"""`make preflight`: every missing or wrong setting at once, before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from claw_compose import environment
from claw_compose.checks import files, machine, settings
from claw_compose.errors import CommandError, SettingsError
from claw_compose.finding import Finding, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claw_compose.engine import Stack

__all__ = ["findings", "preflight"]

CHECKS: Final = (*settings.CHECKS, *files.CHECKS, *machine.CHECKS)
# They read the compose file as Compose understands it, so they can only look when it accepts the file.
CHECKS_WITH_COMPOSE: Final = (*files.CHECKS_WITH_COMPOSE, *machine.CHECKS_WITH_COMPOSE)


def findings(stack: Stack) -> list[Finding]:
    """Returns everything that is wrong or worth knowing, errors first.

    Raises:
        SettingsError: There is no environment file.
    """
    # A missing file is told by itself: everything else would follow from it.
    environment.read(stack.env_file)
    found = [finding for check in CHECKS for finding in _run(check, stack)]
    if _is_accepted(stack):
        found += [finding for check in CHECKS_WITH_COMPOSE for finding in _run(check, stack)]
    return sorted(dict.fromkeys(found), key=lambda finding: not finding.is_error)


def _is_accepted(stack: Stack) -> bool:
    try:
        return bool(stack.active)
    except CommandError:
        return False  # told by machine.compose


def _run(check: Callable[[Stack], Iterator[Finding]], stack: Stack) -> Iterator[Finding]:
    try:
        yield from check(stack)
    except CommandError as failed:
        yield error(str(failed))


def preflight(stack: Stack, *, say: Callable[[str], None], quiet: bool = False) -> int:
    """Prints what it finds.

    Args:
        stack: The stack.
        say: Prints a line.
        quiet: Whether to say nothing more when nothing is wrong.

    Raises:
        SettingsError: Something is wrong; all of it was printed.
    """
    found = findings(stack)
    for finding in found:
        say(f"{'wrong' if finding.is_error else 'note'}  {finding.text}")
    errors = sum(finding.is_error for finding in found)
    if errors:
        things = "thing is" if errors == 1 else "things are"
        raise SettingsError(
            f"\n{errors} {things} wrong; nothing was started. Settings: {stack.env_file.name}"
        )
    if not quiet:
        say("Nothing is wrong. Next:  make up")
    return 0
