"""Servers of the chat example on free ports: uvicorn, Postgres, Redis, none of them pretended."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from claw_chat.app import create_app
from claw_chat.model_server.app import create_app as create_model_server
from claw_chat.model_server.behaviour import TABLE, Behaviour
from claw_chat.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from claw_native.servers import Postgres, Redis

# Fast and without luck: whatever a test needs otherwise, it sets.
QUICK = Behaviour(first_token_seconds=0, token_seconds=0, jitter_ratio=0, output_tokens=12)


class Server(uvicorn.Server):
    """Uvicorn in a thread of this process, on a port of its own."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        self.loop: asyncio.AbstractEventLoop | None = None
        self.up = threading.Event()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.up.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run, args=([self.socket],))
        thread.start()
        try:
            assert self.up.wait(20), "the server did not start"
            yield
        finally:
            self.should_exit = True
            thread.join(20)
            self.socket.close()
            assert not thread.is_alive(), "the server did not stop"

    def wait_until_idle(self) -> None:
        """Wait until the server has seen that its clients are gone and ended what it did for them."""
        eventually(lambda: not self.server_state.tasks)

    def wait(self, event: asyncio.Event) -> None:
        """Wait until an event of the server's own loop is set."""
        assert self.loop
        waiting = asyncio.wait_for(event.wait(), 20)
        asyncio.run_coroutine_threadsafe(waiting, self.loop).result(25)


@dataclass
class Models:
    """The model server of the tests."""

    url: str
    client: httpx2.Client

    def behave(self, model: str, **wanted: float) -> None:
        """Let a model behave otherwise, until the test ends."""
        response = self.client.put(f"/admin/behaviour/{model}", json=wanted)
        assert response.status_code == 200, response.text


@pytest.fixture(scope="session")
def _models() -> Iterator[Models]:
    server = Server(create_model_server(table=dict.fromkeys(TABLE, QUICK)))
    with server.running(), httpx2.Client(base_url=server.url, trust_env=False) as client:
        yield Models(server.url, client)


@pytest.fixture
def models(_models: Models) -> Iterator[Models]:
    """A model server whose models answer at once, until the test lets them behave otherwise."""
    yield _models
    for model in TABLE:
        _models.behave(model)


@dataclass
class Chat:
    """The chat app of a test."""

    url: str
    app: FastAPI
    server: Server
    client: httpx2.Client

    def begin(self, model: str = "glm-4") -> str:
        """Return a new conversation."""
        response = self.client.post("/api/v1/conversations", json={"title": "Test", "model": model})
        assert response.status_code == 201, response.text
        conversation: str = response.json()["id"]
        return conversation

    def ask(self, conversation: str, content: str = "Why is it slow?", **more: str) -> httpx2.Response:
        """Ask for a whole answer."""
        body = {"content": content, **more}
        return self.client.post(f"/api/v1/conversations/{conversation}/messages", json=body)

    def chat(self, conversation: str, content: str = "Why is it slow?", **more: str) -> httpx2.Response:
        """Ask for a streamed answer, and read it to its end."""
        body = {"content": content, **more}
        return self.client.post(f"/api/v1/conversations/{conversation}/chat", json=body)

    def samples(self) -> dict[str, float]:
        """Return what /metrics shows: ``name{label="value",...}`` with sorted labels, and the value."""
        text = self.client.get("/metrics").text
        return {
            _key(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    @contextmanager
    def borrowed_connection(self) -> Iterator[None]:
        """Keep one connection of the app's pool in use."""
        database, loop = self.app.state.services.database, self.server.loop
        assert loop
        lent = database.connection()
        asyncio.run_coroutine_threadsafe(lent.__aenter__(), loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(lent.__aexit__(None, None, None), loop).result(10)

    @contextmanager
    def counting(self) -> Iterator[Count]:
        """Count what happens inside the block: other tests have used the same process."""
        before = self.samples()
        count = Count({})
        yield count
        count.update({key: value - before.get(key, 0) for key, value in self.samples().items()})


class Count(dict[str, float]):
    """How much each sample grew."""

    def of(self, name: str, **labels: str) -> float:
        """Return the growth of one sample; 0 where it does not exist."""
        return self.get(_key(name, labels), 0)

    def where(self, name: str, **labels: str) -> float:
        """Return the summed growth of the samples that have these labels among others."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            value
            for key, value in self.items()
            if key.split("{")[0] == name and all(part in key for part in wanted)
        )


def _key(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    return f"{name}{{{pairs}}}"


@pytest.fixture
def settings(postgres: Postgres, redis_server: Redis, models: Models) -> Settings:
    return Settings(
        database_url=postgres.dsn,
        redis_url=redis_server.url,
        model_base_url=f"{models.url}/v1",
        database_timeout_seconds=3,
        model_timeout_seconds=2,
        model_max_retries=0,
    )


@contextmanager
def serve(settings: Settings) -> Iterator[Chat]:
    """Run a chat app with ``settings``; its tables need not be there yet."""
    app = create_app(settings)
    server = Server(app)
    with server.running(), httpx2.Client(base_url=server.url, timeout=20, trust_env=False) as client:
        yield Chat(server.url, app, server, client)


@pytest.fixture
def chat(settings: Settings) -> Iterator[Chat]:
    """A chat app whose tables and help pages are there."""
    with serve(settings) as running:
        running.server.wait(running.app.state.services.search.ready)
        yield running


def eventually(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until something in another program is true that sends no signal."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
