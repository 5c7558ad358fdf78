"""The process whose instructions are counted: ``python -m claw_bench.counted APP VARIANT REQUESTS``.

It prepares both applications and forks before it sends anything that counts: each child sends some requests
to one of them, so that all children start from the same state; start, import and warm-up are counted in none
of the differences. A line of JSON tells the child's process id.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Final

from claw_bench.requests import RequestError, pair, run

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["main"]

# Rounds of all routes: the interpreter has specialised its code by then.
_WARM_UP: Final = 100


def _in_child(app: ASGIApp, requests: int) -> int:
    child = os.fork()
    if not child:
        asyncio.run(run(app, requests))
        os._exit(0)
    os.waitpid(child, 0)
    return child


def main(app_name: str, variant_name: str, requests: int) -> None:
    """Send ``requests`` and three times as many, without and with the variant."""
    try:
        apps = asyncio.run(pair(app_name, variant_name))
    except RequestError as error:
        print(json.dumps({"error": str(error)}))
        return
    for app in apps:
        asyncio.run(run(app, _WARM_UP))
    gc.collect()
    gc.freeze()
    for app in apps:  # a worker process clears up after the one before it: the first one has none
        _in_child(app, requests)
    children = {
        name: [_in_child(app, number) for number in (requests, 3 * requests)]
        for name, app in zip(("bare", "measured"), apps, strict=True)
    }
    print(json.dumps(children))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
