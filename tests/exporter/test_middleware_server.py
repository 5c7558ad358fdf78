"""The middleware under a real server and a real client."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse

from claw_exporter import Metrics, MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Server(uvicorn.Server):
    """Uvicorn in a thread, on a port of its own."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
        self.up = threading.Event()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def running(self) -> Iterator[int]:
        thread = threading.Thread(target=self.run, args=([self.socket],))
        thread.start()
        try:
            assert self.up.wait(20), "the server did not start"
            yield self.port
        finally:
            self.should_exit = True
            thread.join(20)


class Application:
    """A streaming application that tells what happened to it."""

    def __init__(self, metrics: Metrics) -> None:
        self.stopped = threading.Event()
        self.worked = threading.Event()
        self.app = FastAPI()
        self.app.add_middleware(MetricsMiddleware, metrics=metrics)
        self.app.add_api_route("/endless", self.endless)
        self.app.add_api_route("/items/{item_id}", self.item)
        metrics.mount(self.app)

    async def endless(self) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0.01)
            finally:
                self.stopped.set()

        return StreamingResponse(parts())

    async def item(self, item_id: int, tasks: BackgroundTasks) -> int:
        tasks.add_task(self.worked.set)
        return item_id


def request(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


@pytest.fixture
def application(metrics: Metrics) -> Application:
    return Application(metrics)


def requests_total(metrics: Metrics, endpoint: str, status: str) -> float | None:
    labels = {"method": "GET", "endpoint": endpoint, "status": status}
    return metrics.registry.get_sample_value("claw_ai_http_requests_total", labels)


def test_requests_are_measured_and_the_page_shows_them(metrics: Metrics, application: Application) -> None:
    with Server(application.app).running() as port:
        assert request(port, "/items/7") == (200, b"7")
        assert application.worked.wait(10)
        status, page = request(port, "/metrics")
    assert status == 200
    line = b'claw_ai_http_requests_total{endpoint="/items/{item_id}",method="GET",status="200"} 1.0\n'
    assert line in page
    assert requests_total(metrics, "/items/{item_id}", "200") == 1


def test_a_client_that_leaves_a_stream_is_499(metrics: Metrics, application: Application) -> None:
    with Server(application.app).running() as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000)
        assert application.stopped.wait(10)
    assert requests_total(metrics, "/endless", "499") == 1
    assert metrics.traffic.in_flight == [0.0]
