"""What can go wrong while running the stack natively.

::

    NativeError                 said to the user in one message, exit code 1
    ├── SettingsError           a setting or several are wrong, exit code 2
    ├── ToolError               a program cannot be had
    ├── ServerError             a program does not start, or stops
    └── BusyError               a port is taken, or a demo runs already
"""


class NativeError(Exception):
    """Something the user can act on: the message says what happened and what to do."""

    exit_code = 1


class SettingsError(NativeError):
    """Settings are wrong; the message lists every one of them."""

    exit_code = 2


class ToolError(NativeError):
    """A program could not be found, fetched or run."""


class ServerError(NativeError):
    """A server did not become ready, or ended by itself."""


class BusyError(NativeError):
    """A port is taken, or another demo uses the same run directory."""
