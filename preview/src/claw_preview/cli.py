"""The command `claw-preview`."""

import os
import sys
from collections.abc import Sequence

import uvicorn

from claw_preview.app import create_app
from claw_preview.errors import SettingsError
from claw_preview.settings import read_settings

__all__ = ["main"]

USAGE_EXIT_CODE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 2 when the settings are wrong."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, os.environ)
        app = create_app(settings)
    except SettingsError as error:
        sys.stderr.write(f"claw-preview: {error}\n".replace("\n", "\n  ").rstrip() + "\n")
        return USAGE_EXIT_CODE
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="none",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run()
    return 0
