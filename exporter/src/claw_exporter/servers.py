"""What the server that runs an application knows about it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["expected_workers"]


def expected_workers() -> int:
    """Return with how many workers the server runs that loads this application, as far as it can be told.

    uvicorn and gunicorn know; they are asked where their code is on the stack, as it is while they import the
    application. Elsewhere it is what ``WEB_CONCURRENCY``, which both obey, says.
    """
    configured = os.environ.get("WEB_CONCURRENCY", "")
    found = int(configured) if configured.isdecimal() else 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # inspect.stack() reads source files
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("gunicorn", "uvicorn"):
            server: Any = frame.f_locals.get("self")
            workers = getattr(getattr(server, "cfg", server), "workers", None)
            found = max(found, workers) if isinstance(workers, int) else found
        frame = frame.f_back
    return found
