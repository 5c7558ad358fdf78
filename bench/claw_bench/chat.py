"""The example app with one variant in it, as a server: ``python -m claw_bench.chat VARIANT``.

Its settings are those of ``claw_chat``. Its decorators record in every variant: they are part of the app.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI

from claw_bench.variants import OURS, VARIANTS
from claw_chat import app as chat

if TYPE_CHECKING:
    from claw_chat.settings import Settings

__all__ = ["NONE", "main"]

NONE: Final = "none"


def main(variant: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    setattr(chat, "version", lambda _name: "0")  # noqa: B010  # it is not installed here, but read from its sources
    if variant != OURS:  # ours stays as the example has it: with /metrics, and log records counted
        setattr(chat, "measure", lambda _app: None)  # noqa: B010
    if variant not in (NONE, OURS):
        create = chat.create_app

        def install(settings: Settings) -> FastAPI:
            app: Any = VARIANTS[variant].install(partial(_make, create, settings))
            assert isinstance(app, FastAPI)
            return app

        setattr(chat, "create_app", install)  # noqa: B010
    chat.main()


def _make(create: Any, settings: Settings, **options: Any) -> FastAPI:  # noqa: ANN401  # FastAPI's own options
    setattr(chat, "FastAPI", partial(FastAPI, **options))  # noqa: B010
    app: FastAPI = create(settings)
    return app


if __name__ == "__main__":
    main(*sys.argv[1:])
