"""``python -m claw_chat.load``: sends traffic to the chat app for ``--duration-seconds`` or until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from claw_chat.load.generator import Generator
from claw_chat.load.options import Options, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Run until the duration is over, SIGINT or SIGTERM."""
    asyncio.run(run(parse(arguments, environment)))


async def run(options: Options) -> None:
    """Send traffic as ``options`` say; signals end it in good order."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    say(f"load: {options.rate:g} requests/s at the busiest to {options.url}")
    await Generator(options, say).run(stop)


def say(line: str) -> None:
    """Print ``line`` at once, also into a pipe."""
    print(line, flush=True)  # noqa: T201 - the summary is this program's output


if __name__ == "__main__":
    main()
