"""What can go wrong while operating the stack.

::

    ComposeError                said to the operator in one message, exit code 1
    ├── CommandError            a program that we started failed; the message carries what it said
    ├── RefusedError            a service of the stack answered with an error
    └── SettingsError           a setting, a secret or several are wrong, exit code 2
"""

__all__ = ["CommandError", "ComposeError", "RefusedError", "SettingsError"]


class ComposeError(Exception):
    """Something the operator can act on: the message says what happened and what to do."""

    exit_code = 1


class CommandError(ComposeError):
    """A program that we started failed, or is not there."""


class RefusedError(ComposeError):
    """A service of the stack answered with an error.

    Attributes:
        status: The HTTP status of its answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SettingsError(ComposeError):
    """Settings are wrong; the message lists every one of them."""

    exit_code = 2
