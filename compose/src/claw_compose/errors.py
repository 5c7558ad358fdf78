"""What can go wrong while operating the stack.

::

    ComposeError                said to the operator in one message, exit code 1
    ├── CommandError            a program that we started failed; the message carries what it said
    └── SettingsError           a setting, a secret or several are wrong, exit code 2
"""

__all__ = ["CommandError", "ComposeError", "SettingsError"]


class ComposeError(Exception):
    """Something the operator can act on: the message says what happened and what to do."""

    exit_code = 1


class CommandError(ComposeError):
    """A program that we started failed, or is not there."""


class SettingsError(ComposeError):
    """Settings are wrong; the message lists every one of them."""

    exit_code = 2
