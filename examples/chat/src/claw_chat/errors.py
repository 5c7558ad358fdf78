"""What can go wrong: in what users ask, and between the app and the servers it needs.

::

    QuestionRefusedError           a guardrail does not let a question pass           -> 422
    UnavailableError
    ├── DatabaseUnavailableError   Postgres cannot be reached, or not in time      -> 503
    └── ModelUnavailableError      no model gave an answer, the fallback neither   -> 502
"""

from __future__ import annotations


class QuestionRefusedError(Exception):
    """A guardrail does not let a question pass."""


class UnavailableError(Exception):
    """A server that this app needs did not do its part."""


class DatabaseUnavailableError(UnavailableError):
    """Postgres cannot be reached, or did not answer in time."""


class ModelUnavailableError(UnavailableError):
    """No model gave an answer.

    Attributes:
        error_type: What went wrong with the last one asked, as counted in ``claw_ai_ai_errors_total``.
    """

    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type
