"""What the edge answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claw_hub.errors import HubError

__all__ = ["answer", "refusal"]


def answer(content: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:  # noqa: ANN401 - JSON
    """Returns an answer of JSON."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def refusal(error: HubError) -> Response:
    """Returns the answer that an error is: ``{"error": <id>, "message": ...}``."""
    return answer({"error": error.error_id, "message": str(error)}, error.status, error.headers)
