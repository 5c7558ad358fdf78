"""What can go wrong here, and what Alertmanager is told about it.

Tree::

    RelayError
    ├── SettingsError          the program does not start (exit code 2)
    ├── BodyError              err-claw-relay-bad-body (400), err-claw-relay-body-too-large (413)
    ├── UnknownError           err-claw-relay-unknown (404): no such channel or heartbeat
    ├── ForbiddenError         err-claw-relay-forbidden (401)
    └── RejectedError          a chat service did not take the message; the reason decides the status
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from claw_exporter.document import Mistake

__all__ = [
    "BodyError",
    "ForbiddenError",
    "Reason",
    "RejectedError",
    "RelayError",
    "SettingsError",
    "UnknownError",
]


class Reason(StrEnum):
    """Why a message was not taken; the value of the label ``reason``."""

    ANSWER = "answer"
    """The answer is not one of the service's."""
    CONNECTION = "connection"
    CREDENTIALS = "credentials"
    """Token, signature, keyword or address are not accepted."""
    MESSAGE = "message"
    """The service does not want this message."""
    RATE_LIMITED = "rate_limited"
    SECRET = "secret"  # noqa: S105 - a word
    """A file with a secret cannot be read."""
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"


# Alertmanager tries again after 5xx, and after nothing else: so what may pass is 5xx, rate limits too.
STATUSES: Final[dict[Reason, int]] = {
    Reason.ANSWER: 502,
    Reason.CONNECTION: 502,
    Reason.CREDENTIALS: 403,
    Reason.MESSAGE: 422,
    Reason.RATE_LIMITED: 503,
    Reason.SECRET: 500,
    Reason.TIMEOUT: 504,
    Reason.UNAVAILABLE: 503,
}


class RelayError(Exception):
    """Root of this package's errors: `error_id` never changes, `status` is the HTTP status of the answer."""

    error_id = "err-claw-relay-internal"
    status = 500


class SettingsError(RelayError):
    """The configuration, or a file that it names, is wrong.

    Attributes:
        mistakes: All of them, in the order of the file.
    """

    def __init__(self, source: Path, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        super().__init__("\n".join(mistake.describe(str(source)) for mistake in self.mistakes))


class BodyError(RelayError):
    """What was posted is not a notification of Alertmanager."""

    error_id = "err-claw-relay-bad-body"
    status = 400


class TooLargeError(BodyError):
    """What was posted is larger than any notification."""

    error_id = "err-claw-relay-body-too-large"
    status = 413


class UnknownError(RelayError):
    """The configuration has no channel, or heartbeat, of this name."""

    error_id = "err-claw-relay-unknown"
    status = 404


class ForbiddenError(RelayError):
    """The password of a heartbeat is missing or wrong."""

    error_id = "err-claw-relay-forbidden"
    status = 401


class RejectedError(RelayError):
    """A chat service did not take a message.

    Attributes:
        reason: Why.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.error_id = f"err-claw-relay-{reason.replace('_', '-')}"
        self.status = STATUSES[reason]
