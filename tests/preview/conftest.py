"""A fake Prometheus for the server's tests; a real one, a real preview and a browser for the page's."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from claw_preview.app import create_app
from claw_preview.prometheus import Prometheus
from claw_preview.screenshots import browser
from claw_preview.settings import Settings, read_settings

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from playwright.sync_api import BrowserContext
    from starlette.requests import Request

DASHBOARDS = Path(__file__).parent / "fixtures" / "dashboards"
SCRAPES_FOR_A_RATE = 12
START_SECONDS = 60


@dataclass
class FakePrometheus:
    """Answers every request with `answer`, and remembers what it was asked."""

    answer: Response = field(default_factory=lambda: JSONResponse({"status": "success", "data": ["b", "a"]}))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def app(self) -> Starlette:
        async def endpoint(request: Request) -> Response:
            form = parse_qsl((await request.body()).decode())
            self.asked.append((request.url.path, dict(request.query_params) | dict(form)))
            return self.answer

        return Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])

    def client(self, *, max_answer_bytes: int = 10_000) -> Prometheus:
        transport = httpx.ASGITransport(self.app())
        url = "http://prometheus:9090"
        return Prometheus(url, timeout_seconds=5, transport=transport, max_answer_bytes=max_answer_bytes)


@pytest.fixture
def fake() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
def dashboards(tmp_path: Path) -> Path:
    """An empty directory of dashboards."""
    path = tmp_path / "dashboards"
    path.mkdir()
    return path


@pytest.fixture
def settings(dashboards: Path) -> Settings:
    return read_settings(["--dashboards", str(dashboards)], {})


@pytest.fixture
async def client(settings: Settings, fake: FakePrometheus) -> AsyncIterator[httpx.AsyncClient]:
    """The application without a socket, over the fake Prometheus."""
    prometheus = fake.client()
    transport = httpx.ASGITransport(create_app(settings, prometheus=prometheus))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
        yield http
    await prometheus.aclose()


class Preview:
    """A preview on a free port, served from a thread."""

    def __init__(self, prometheus_url: str, dashboards: Path, *, loki_url: str = "none") -> None:
        arguments = ["--port", "0", "--dashboards", str(dashboards), "--prometheus", prometheus_url]
        arguments += ["--loki", loki_url]
        self._settings = read_settings([*arguments, "--scrape-interval", "1", "--timeout", "30"], {})
        config = uvicorn.Config(
            create_app(self._settings), host="127.0.0.1", port=0, ws="none", log_level="warning"
        )
        self._started = threading.Event()
        self._server = _AnnouncingServer(config, self._started)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> str:
        """Serve; gives the address."""
        self._thread.start()
        assert self._started.wait(START_SECONDS)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce.set()


@pytest.fixture(scope="session")
def prometheus_url(
    tools: Path, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real Prometheus that scrapes itself every second and knows enough for rates."""
    directory, port = tmp_path_factory.mktemp("prometheus"), free_port()
    address = f"127.0.0.1:{port}"
    config = directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"- {{job_name: prometheus, static_configs: [{{targets: ['{address}']}}]}}\n"
    )
    command = [str(tools / "prometheus"), f"--config.file={config}", f"--web.listen-address={address}"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--storage.tsdb.path={directory / 'data'}"], stdout=log, stderr=log
        )
    try:
        _wait_for_scrapes(f"http://{address}", process)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_for_scrapes(url: str, process: subprocess.Popen[bytes]) -> None:
    """Poll until there are enough samples: Prometheus has no event to wait for."""
    retrying = httpx.HTTPTransport(retries=10)
    query = f"min(count_over_time(up[1m])) >= {SCRAPES_FOR_A_RATE}"
    with httpx.Client(base_url=url, transport=retrying) as http:
        for _attempt in range(START_SECONDS * 4):
            assert process.poll() is None, "Prometheus ended"
            if _result(http, query):
                return
            threading.Event().wait(0.25)
    raise AssertionError("Prometheus scraped nothing")


def _result(http: httpx.Client, query: str) -> list[Any]:
    try:
        answer: list[Any] = http.get("/api/v1/query", params={"query": query}).json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError):  # still starting
        return []
    return answer


@pytest.fixture(scope="session")
def preview_url(prometheus_url: str) -> Iterator[str]:
    """A preview of the fixture dashboards over the real Prometheus."""
    with Preview(prometheus_url, DASHBOARDS) as url:
        yield url


@pytest.fixture
def serve() -> type[Preview]:
    """Serve other dashboards, or from elsewhere: `with serve(prometheus_url, directory) as url`."""
    return Preview


# One browser for each test module, not for the session: while it lives, no other event loop can run.
@pytest.fixture(scope="module")
def chromium(tools: Path) -> Iterator[BrowserContext]:
    with browser(str(tools / "chromium")) as context:
        yield context
