"""What can go wrong in the hub, and what its clients are told about it.

An answer with an error is ``{"error": <id>, "message": <what is wrong, and the remedy>}``; ids never change.

Tree::

    HubError                      err-claw-hub-internal (500): nothing answers with it on purpose
    ├── SettingsError             the program does not start (exit code 2)
    ├── BadRequestError           err-claw-hub-bad-request (400)
    │   ├── BodyError             err-claw-hub-bad-body (400): not the JSON of this endpoint
    │   ├── DepthError            err-claw-hub-body-too-deep (400)
    │   ├── RecordError           err-claw-hub-bad-record (400): says which record and field
    │   ├── QueryError            err-claw-hub-bad-query (400): a parameter of a query
    │   └── CursorError           err-claw-hub-bad-cursor (400)
    ├── TooLargeError             err-claw-hub-body-too-large (413)
    ├── MediaTypeError            err-claw-hub-unsupported-media-type (415): content type or encoding
    ├── CredentialsError          err-claw-hub-credentials (401): missing, wrong, expired or revoked
    ├── ForbiddenError            err-claw-hub-forbidden (403): the role, or the key, does not allow it
    ├── NotFoundError             err-claw-hub-not-found (404)
    ├── ConflictError             err-claw-hub-conflict (409)
    ├── QuotaError                err-claw-hub-quota-exceeded (429): tokens of the month, or projects
    ├── RateError                 err-claw-hub-rate-limited (429)
    ├── UnavailableError          err-claw-hub-unavailable (503): try again, nothing was accepted
    └── QueryTimeoutError         err-claw-hub-query-timeout (503): the warehouse took too long
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BadRequestError",
    "BodyError",
    "ConflictError",
    "CredentialsError",
    "CursorError",
    "DepthError",
    "ForbiddenError",
    "HubError",
    "MediaTypeError",
    "NotFoundError",
    "QueryError",
    "QueryTimeoutError",
    "QuotaError",
    "RateError",
    "RecordError",
    "SettingsError",
    "TooLargeError",
    "UnavailableError",
]


class HubError(Exception):
    """Root of this package's errors.

    Attributes:
        error_id: What programs compare; never changes.
        status: HTTP status of the answer.
    """

    error_id: ClassVar[str] = "err-claw-hub-internal"
    status: ClassVar[int] = 500

    @property
    def headers(self) -> dict[str, str]:
        """Further headers of the answer."""
        return {}


class SettingsError(HubError):
    """Settings are wrong; the message has a line for each mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class BadRequestError(HubError):
    """What was asked makes no sense."""

    error_id = "err-claw-hub-bad-request"
    status = 400


class BodyError(BadRequestError):
    """The body is not the JSON that this endpoint takes."""

    error_id = "err-claw-hub-bad-body"


class DepthError(BadRequestError):
    """The body nests deeper than any record does."""

    error_id = "err-claw-hub-body-too-deep"


class RecordError(BadRequestError):
    """A record is not one; the message says which of the request's, which field, and what it should be."""

    error_id = "err-claw-hub-bad-record"


class QueryError(BadRequestError):
    """A parameter of a query is wrong."""

    error_id = "err-claw-hub-bad-query"


class CursorError(BadRequestError):
    """A cursor is not one that the hub gave for this query."""

    error_id = "err-claw-hub-bad-cursor"


class TooLargeError(HubError):
    """The body, or what it inflates to, is larger than allowed."""

    error_id = "err-claw-hub-body-too-large"
    status = 413


class MediaTypeError(HubError):
    """The content type or encoding is not one that is read here."""

    error_id = "err-claw-hub-unsupported-media-type"
    status = 415


class CredentialsError(HubError):
    """There is no valid API key or token: none was sent, or it is unknown, expired or revoked."""

    error_id = "err-claw-hub-credentials"
    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """Further headers of the answer."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(HubError):
    """Who asks is known, and not allowed to."""

    error_id = "err-claw-hub-forbidden"
    status = 403


class NotFoundError(HubError):
    """There is no such thing, or it belongs to another tenant."""

    error_id = "err-claw-hub-not-found"
    status = 404


class ConflictError(HubError):
    """There is such a thing already, or it is in use."""

    error_id = "err-claw-hub-conflict"
    status = 409


class _LaterError(HubError):
    """To be tried again.

    Args:
        message: What is wrong.
        retry_after_seconds: When; clients of OpenTelemetry ignore more than 8.
    """

    def __init__(self, message: str, *, retry_after_seconds: int = 2) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> dict[str, str]:
        """Further headers of the answer."""
        return {"Retry-After": str(self.retry_after_seconds)}


class QuotaError(_LaterError):
    """The tenant has used what it may use."""

    error_id = "err-claw-hub-quota-exceeded"
    status = 429


class RateError(_LaterError):
    """The tenant, or the key, sends faster than it may."""

    error_id = "err-claw-hub-rate-limited"
    status = 429


class UnavailableError(_LaterError):
    """What is needed to answer is away, or overloaded; nothing was accepted."""

    error_id = "err-claw-hub-unavailable"
    status = 503


class QueryTimeoutError(_LaterError):
    """The warehouse would take longer than a query may."""

    error_id = "err-claw-hub-query-timeout"
    status = 503
