"""The process that measures one variant on one application: ``python -m claw_bench.worker APP VARIANT``.

For each number of requests on its standard input it sends twice that many to the application without and with
the variant, and answers with a line of JSON: processor time per request in microseconds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from itertools import count
from typing import TYPE_CHECKING, Final

from claw_bench.requests import RequestError, pair, run

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["main"]

_WARM_UP: Final = 400
_COLD: Final = 20


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)


def main(app_name: str, variant_name: str) -> None:
    """Measure until the standard input ends."""
    with asyncio.Runner() as runner:
        try:
            bare, measured = runner.run(pair(app_name, variant_name))
        except RequestError as error:
            _say(error=str(error))
            return
        for app in (bare, measured):
            runner.run(run(app, _WARM_UP))
        gc.collect()
        gc.freeze()  # what is there by now is no request's
        _say(ready=True)
        for repetition, line in zip(count(), sys.stdin, strict=False):
            first, second = (bare, measured) if repetition % 2 else (measured, bare)
            times = runner.run(_turn(first, second, int(line)))
            _say(bare=times[bare], measured=times[measured])


async def _turn(first: ASGIApp, second: ASGIApp, requests: int) -> dict[ASGIApp, float]:
    for app in (first, second):  # the processor's caches hold another process: not counted
        await run(app, _COLD)
    # In this order a drift of the machine's speed cancels.
    order = (first, second, second, first)
    parts = [(app, await run(app, requests)) for app in order]
    return {each: sum(time for app, time in parts if app is each) / 2 for each in (first, second)}


if __name__ == "__main__":
    main(*sys.argv[1:])
