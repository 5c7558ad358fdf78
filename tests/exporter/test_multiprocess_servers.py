"""Several worker processes under real servers, with a real client."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APPLICATION = """
import os, time
from prometheus_client import Counter, REGISTRY
from prometheus_client.core import GaugeMetricFamily
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from claw_exporter import MetricsMiddleware, metrics

ORDERS = Counter("shop_orders_total", "Orders.")

class Shop:
    def describe(self):
        return []
    def collect(self):
        yield GaugeMetricFamily("shop_open", "Is it?", value=1)

class Pool:
    def get_size(self): return 3
    def get_idle_size(self): return 1
    def get_max_size(self): return 10
    def is_closing(self): return False

async def order(request):
    metrics.track_message(role="user")
    with metrics.track_vector_db("search"):
        ORDERS.inc()
    return PlainTextResponse(str(os.getpid()))

REGISTRY.register(Shop())
POOL = Pool()
metrics.watch_pool("primary", POOL)
app = Starlette(routes=[Route("/order", order)])
app.add_middleware(MetricsMiddleware)
metrics.mount(app)
"""

CLIENTS = 4
PAGE = Path(__file__).parents[2] / "docs" / "MULTIPROCESS.md"
COMMANDS = re.findall(r"^((?:uvicorn|gunicorn) app:app .*)$", PAGE.read_text(), re.MULTILINE)
UVICORN, GUNICORN, PRELOAD = (command.replace("--workers 4", "--workers 2") for command in COMMANDS)


class Server:
    """A server with several workers, in a process group of its own."""

    def __init__(self, folder: Path, directory: Path, command: str) -> None:
        (folder / "app.py").write_text(APPLICATION)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        address = {
            "uvicorn": ["--port", str(self.port), "--no-access-log"],
            "gunicorn": ["--bind", f"127.0.0.1:{self.port}"],
        }
        self.orders: Counter[str] = Counter()
        self.failures = 0
        self._lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(command), *address[command.split(maxsplit=1)[0]]],
            cwd=folder,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def order(self) -> None:
        """Order once, and note which worker answered."""
        try:
            pid = self.get("/order")
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.failures += 1
        else:
            with self._lock:
                self.orders[pid] += 1

    def stop(self) -> str:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.communicate(timeout=20)[1]

    def number(self, series: str) -> float:
        return number(self.get("/metrics"), series)


def number(page: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


@contextmanager
def running(folder: Path, directory: Path, command: str) -> Iterator[Server]:
    server = Server(folder, directory, command)
    try:
        eventually(lambda: server.number("claw_ai_exporter_workers") == 2, server)
        assert server.process.poll() is None
        server.failures = 0
        yield server
    finally:
        server.stop()


def eventually(condition: Callable[[], bool], server: Server) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and server.process.poll() is None:
        try:
            server.order()  # a worker counts as one from its first request on
            if condition():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.02)  # other processes: there is no event to wait for
    raise AssertionError(server.stop())


def quiet(server: Server) -> str:
    """Return the page once no request runs any more: one may be answered, and not be counted yet."""
    until = time.monotonic() + 20
    while number(page := server.get("/metrics"), "claw_ai_http_active_connections") > 0:
        assert time.monotonic() < until
    return page


def stock(directory: Path) -> str:
    """Read the files as an application without our library would."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]  # it has no types
    return generate_latest(registry).decode()


@contextmanager
def load(server: Server) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            server.order()

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


MESSAGES = 'claw_ai_messages_total{role="user"}'
SEARCHES = 'claw_ai_vector_db_operation_duration_seconds_count{operation="search",status="ok"}'


REQUESTS = 'claw_ai_http_requests_total{endpoint="/order",method="GET",status="200"}'
DURATIONS = 'claw_ai_http_request_duration_seconds_count{endpoint="/order",method="GET",status_class="2xx"}'
SIZES = 'claw_ai_http_response_size_bytes_count{endpoint="/order",method="GET"}'
POOLS = r'claw_ai_db_pool_connections\{pid="(\d+)",pool="primary",state="active"\} (\S+)'


def pools(page: str) -> set[str]:
    return {pid for pid, active in re.findall(POOLS, page) if active == "2.0"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    return path


@pytest.mark.parametrize("command", [UVICORN, GUNICORN, PRELOAD], ids=["uvicorn", "gunicorn", "preload"])
def test_any_worker_shows_what_all_counted_and_nothing_is_lost_with_those_that_are_killed(
    tmp_path: Path, directory: Path, command: str
) -> None:
    with running(tmp_path, directory, command) as server:
        with load(server):
            eventually(lambda: len(server.orders) == 2 and server.orders.total() > 200, server)
            # What is read at a scrape each worker writes every few seconds.
            eventually(lambda: pools(stock(directory)) == set(server.orders), server)
        page, foreign, orders = quiet(server), stock(directory), server.orders.total()
        assert server.failures == 0
        for text in (page, foreign):
            for series in (MESSAGES, SEARCHES, REQUESTS, DURATIONS, SIZES, "shop_orders_total"):
                assert number(text, series) == orders
            assert pools(text) == set(server.orders)
        assert number(page, "shop_open") == 1
        assert "process_open_fds" not in page

        victims = killed(server)
        page, foreign, orders = quiet(server), stock(directory), server.orders.total()
        for text in (page, foreign):
            for series in (MESSAGES, "shop_orders_total"):
                assert orders <= number(text, series) <= orders + server.failures
            for series in (REQUESTS, DURATIONS, SIZES):
                # A request counts when it is over: one may be answered, and in flight for this last moment.
                assert orders - len(victims) * CLIENTS <= number(text, series) <= orders + server.failures
            assert len(pools(text)) == 2
            assert not pools(text) & victims
        assert number(page, MESSAGES) == number(foreign, MESSAGES)
        assert number(page, "claw_ai_exporter_workers") == 2
        # One set of files for each worker, and for gunicorn's parent where it has loaded the application.
        assert len(list(directory.glob("counter_claw-*.db"))) == (3 if "--preload" in command else 2)


def killed(server: Server) -> set[str]:
    """Kill a worker three times under load; return their process ids once others have taken their places."""
    victims: set[str] = set()
    with load(server):
        for _ in range(3):
            victim = next(pid for pid in server.orders if pid not in victims)
            victims.add(victim)
            os.kill(int(victim), signal.SIGKILL)
            eventually(lambda: len(pools(server.get("/metrics")) - victims) == 2, server)
            eventually(lambda: len(set(server.orders) - victims) == 2, server)
    return victims


def test_an_application_that_starts_again_begins_at_zero(tmp_path: Path, directory: Path) -> None:
    for _ in range(2):
        with running(tmp_path, directory, UVICORN) as server:
            assert server.number(MESSAGES) == server.orders.total()
