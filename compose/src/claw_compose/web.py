"""HTTP to the stack's own services on this machine."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from claw_compose.errors import ComposeError, RefusedError

__all__ = ["get_json", "get_text", "post", "post_json"]

TIMEOUT_SECONDS: Final = 10
# A proxy of the environment is for other machines.
OPENER: Final = build_opener(ProxyHandler({}))


def get_text(url: str) -> str:
    """Returns what a service answers.

    Raises:
        ComposeError: It does not answer, or refuses.
    """
    return _ask(Request(url))  # noqa: S310 - our own addresses


def get_json(url: str) -> Any:  # noqa: ANN401 - JSON
    """Returns what a service answers, as JSON.

    Raises:
        ComposeError: It does not answer, refuses, or answers something else.
    """
    return _parsed(url, get_text(url))


def post(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:  # noqa: ANN401 - JSON
    """Asks a service to do something; returns what it answers, as JSON.

    Raises:
        RefusedError: It answers with an error.
        ComposeError: It does not answer, or answers something else.
    """
    return _parsed(url, _ask(Request(url, method="POST"), timeout_seconds))  # noqa: S310 - our own addresses


def post_json(url: str, document: object) -> None:
    """Sends JSON to a service.

    Raises:
        ComposeError: It does not answer, or refuses.
    """
    body = json.dumps(document).encode()
    _ask(Request(url, data=body, headers={"Content-Type": "application/json"}))  # noqa: S310 - our own


def _ask(request: Request, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    try:
        with OPENER.open(request, timeout=timeout_seconds) as answer:
            text: str = answer.read().decode(errors="replace")
    except HTTPError as refused:
        with refused:
            said = refused.read().decode(errors="replace").strip()
        raise RefusedError(f"{request.full_url} answers {refused.code}: {said}", refused.code) from refused
    except (OSError, HTTPException) as failed:
        reason = getattr(failed, "reason", failed)
        raise ComposeError(f"{request.full_url} does not answer: {reason}") from failed
    return text


def _parsed(url: str, text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise ComposeError(f"{url} answers no JSON: {text[:80]}") from wrong
