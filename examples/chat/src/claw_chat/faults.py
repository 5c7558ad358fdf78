"""Faults of this app itself, to be tried on its monitoring: absent unless ``CLAW_CHAT_FAULTS`` is ``on``.

Whoever reaches the app may then break it, so this is for a machine of your own, never for users.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from claw_chat.logs import log
from claw_exporter import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE: Final = 1 << 20
MOST_LEAKED_MEGABYTES: Final = 32_768


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Wanted:
    """What goes wrong; nothing by default.

    Attributes:
        failing_endpoint: Requests to paths that begin so are answered with 500.
        slow_endpoint: Requests to paths that begin so wait for ``slow_seconds`` first.
        slow_seconds: How long.
        block_loop_seconds: Once a second nothing else runs for so long, as with a client that is not async.
        leak_megabytes: Memory that is taken every second and not given back, until it is 32 GiB.
        error_lines: Log lines of level error a second.
        new_labels: Tools of new names that run every second, as where a user's text becomes a label.
        repeated_calls: How often the assistant makes the same tool call before it is stopped.
    """

    failing_endpoint: str = ""
    slow_endpoint: str = ""
    slow_seconds: Annotated[float, Field(ge=0, le=60)] = 0
    block_loop_seconds: Annotated[float, Field(ge=0, le=30)] = 0
    leak_megabytes: Annotated[int, Field(ge=0, le=1000)] = 0
    error_lines: Annotated[int, Field(ge=0, le=1000)] = 0
    new_labels: Annotated[int, Field(ge=0, le=1000)] = 0
    repeated_calls: Annotated[int, Field(ge=0, le=100)] = 0


class Faults:
    """The faults in force.

    Args:
        tick_seconds: How long a second of ``Wanted`` takes.
    """

    def __init__(self, *, tick_seconds: float = 1.0) -> None:
        self._tick_seconds = tick_seconds
        self.wanted = Wanted()
        self._leaked: list[bytearray] = []
        self._names = self._new_names()
        self._ticking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin with what happens by itself, every second."""
        self._ticking = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        """End it."""
        if self._ticking:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking

    async def meet(self, request: Request) -> None:
        """Make a request slow or fail, where that is wanted: a dependency of every endpoint.

        Raises:
            HTTPException: 500.
        """
        wanted, path = self.wanted, request.url.path
        if wanted.slow_endpoint and path.startswith(wanted.slow_endpoint):
            await asyncio.sleep(wanted.slow_seconds)
        if wanted.failing_endpoint and path.startswith(wanted.failing_endpoint):
            raise HTTPException(500, "a fault was asked for")

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._tick_seconds)
            self.tick()

    def tick(self) -> None:
        """Do what happens by itself every second."""
        wanted = self.wanted
        if wanted.block_loop_seconds:
            time.sleep(wanted.block_loop_seconds)  # it is what shall be seen
        self._leak(wanted.leak_megabytes)
        for _ in range(wanted.error_lines):
            log.error("a fault was asked for")
        for _ in range(wanted.new_labels):
            with metrics.track_tool(next(self._names)):
                pass

    def _leak(self, megabytes: int) -> None:
        if not megabytes:
            self._leaked.clear()
        more = min(megabytes, MOST_LEAKED_MEGABYTES - len(self._leaked))
        # Written to, or the kernel would not give the memory.
        self._leaked += [bytearray(b"x") * MEGABYTE for _ in range(more)]

    @staticmethod
    def _new_names() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"tool {number}"


def faults_of(request: Request) -> Faults:
    """Return the faults of the app that a request belongs to."""
    faults: Faults = request.app.state.services.faults
    return faults


async def meet(request: Request) -> None:
    """Let a request meet the faults of its app."""
    await faults_of(request).meet(request)


router = APIRouter(tags=["faults"])


@router.get("/faults")
async def show(faults: Annotated[Faults, Depends(faults_of)]) -> dict[str, float | str]:
    """Show what goes wrong."""
    return asdict(faults.wanted)


@router.put("/faults")
async def change(wanted: Wanted, faults: Annotated[Faults, Depends(faults_of)]) -> dict[str, float | str]:
    """Let this go wrong, and nothing else: an empty object mends everything."""
    faults.wanted = wanted
    return asdict(faults.wanted)
