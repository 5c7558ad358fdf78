"""``python -m claw_chat.model_server``: runs the model server until SIGTERM."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

import uvicorn

from claw_chat.model_server.app import create_app

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_PORT: Final = 65535


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Serve until SIGINT or SIGTERM."""
    options = parse(arguments, environment)
    app = create_app(seed=options.seed)
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", timeout_graceful_shutdown=2)


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """Return the options ``host``, ``port`` and ``seed``; a wrong one ends the program with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m claw_chat.model_server", description=__doc__)
    # Whoever reaches it may change how it behaves.
    host = environment.get("CLAW_MODEL_SERVER_HOST", "127.0.0.1")
    parser.add_argument(
        "--host", default=host, help="also CLAW_MODEL_SERVER_HOST; this machine only by default"
    )
    default = environment.get("CLAW_MODEL_SERVER_PORT", "8001")
    parser.add_argument("--port", type=_port, default=default, help="also CLAW_MODEL_SERVER_PORT")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same outcomes")
    return parser.parse_args(arguments)


def _port(value: str) -> int:
    port = int(value) if value.isdecimal() else 0
    if not 1 <= port <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{value!r} is not a port; give a whole number from 1 to 65535")
    return port


if __name__ == "__main__":
    main()
