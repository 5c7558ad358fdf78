"""More users than the load generator sends, for a while: what a fault is seen by."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from claw_native.drills.means import Means, Site

API: Final = "/api/v1"
# Longer than the application waits for a model.
TIMEOUT_SECONDS: Final = 45.0

if TYPE_CHECKING:
    Step = Callable[[httpx.AsyncClient], Awaitable[None]]


@dataclass(frozen=True)
class Asking:
    """Somebody who begins a conversation, asks one question, and reads the answer as it comes.

    Args:
        question: What is asked.
        model: Who shall answer; the application's default where it is None.
        leaves: Whether the reader is gone after the first part.
    """

    question: str
    model: str | None = None
    leaves: bool = False

    async def __call__(self, client: httpx.AsyncClient) -> None:
        """Does it once."""
        begun = await client.post(f"{API}/conversations", json={"title": "drill"})
        begun.raise_for_status()
        path = f"{API}/conversations/{begun.json()['id']}/chat"
        body = {"content": self.question} | ({"model": self.model} if self.model else {})
        async with client.stream("POST", path, json=body) as answer:
            async for _ in answer.aiter_bytes():
                if self.leaves:
                    return


@dataclass(frozen=True)
class Visiting:
    """Somebody who opens a page.

    Args:
        path: Which.
    """

    path: str

    async def __call__(self, client: httpx.AsyncClient) -> None:
        """Does it once."""
        await client.get(API + self.path)


def crowd(step: Step, *, per_second: float) -> Means:
    """Users who all do the same, beside the usual ones."""

    @contextmanager
    def means(site: Site) -> Iterator[None]:
        stop = threading.Event()
        url = site.settings.url("claw-ai-backend")
        thread = threading.Thread(target=lambda: asyncio.run(_send(url, step, 1 / per_second, stop)))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    return means


async def _send(url: str, step: Step, pause_seconds: float, stop: threading.Event) -> None:
    limits = httpx.Limits(max_connections=300)
    async with httpx.AsyncClient(
        base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False, limits=limits
    ) as client:
        running: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            task = asyncio.create_task(_once(step, client))
            running.add(task)
            task.add_done_callback(running.discard)
            await asyncio.sleep(pause_seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _once(step: Step, client: httpx.AsyncClient) -> None:
    # What is broken may refuse them: that is what they are for.
    with suppress(httpx.HTTPError):
        await step(client)
