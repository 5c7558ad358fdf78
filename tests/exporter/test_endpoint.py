from __future__ import annotations

import asyncio
import gzip
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Gauge, generate_latest, make_asgi_app
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette

from claw_exporter import Metrics, MetricsMiddleware
from claw_exporter.endpoint import Exposition, accepts_gzip, accepts_openmetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from prometheus_client.core import Metric
    from starlette.types import Message

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; version=1.0.0", True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text; q=0", False),
        ("application/openmetrics-text; q=0.1, text/plain; q=0.9", False),
        ("application/openmetrics-text; q=nonsense", False),
    ],
)
def test_openmetrics_is_sent_where_it_is_preferred(accept: str, openmetrics: bool) -> None:  # noqa: FBT001  # a parameter
    assert accepts_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept", "compressed"),
    [("", False), ("gzip", True), ("br, GZip;q=0.5", True), ("gzip;q=0", False), ("deflate", False)],
)
def test_gzip_is_sent_where_it_is_accepted(accept: str, compressed: bool) -> None:  # noqa: FBT001  # a parameter
    assert accepts_gzip(accept) is compressed


async def test_the_page_shows_ours_and_the_rest_of_the_registry(metrics: Metrics, drive: Drive) -> None:
    Gauge("shop_open", "Is it?", registry=metrics.registry).set(1)
    metrics.track_message(role="user")
    app = FastAPI()
    metrics.mount(app)
    start, body = await drive(app, "/metrics")
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert body["body"] == generate_latest(metrics.registry)
    assert b"shop_open 1.0" in body["body"]


async def test_the_stock_page_shows_ours_too(metrics: Metrics, drive: Drive) -> None:
    metrics.track_message(role="user")
    _, body = await drive(make_asgi_app(metrics.registry), "/metrics")
    assert b'claw_ai_messages_total{role="user"} 1.0' in body["body"]


async def test_openmetrics_ends_once_and_parses(metrics: Metrics, drive: Drive) -> None:
    Gauge("shop_open", "Is it?", registry=metrics.registry).set(1)
    metrics.track_message(role="user")
    start, body = await drive(metrics.asgi_app(), headers={"Accept": PROMETHEUS})
    text = body["body"].decode()
    assert dict(start["headers"])[b"content-type"].startswith(b"application/openmetrics-text; version=1.0.0")
    assert text.count("# EOF\n") == 1
    families = {f.name for f in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]  # it has no types
    assert families == {"claw_ai_messages", "shop_open"}


async def test_gzip_carries_the_same_page(metrics: Metrics, drive: Drive) -> None:
    metrics.track_message(role="user")
    app = metrics.asgi_app()
    plain = await drive(app)
    start, body = await drive(app, headers={"Accept-Encoding": "gzip"})
    assert dict(start["headers"])[b"content-encoding"] == b"gzip"
    assert gzip.decompress(body["body"]) == plain[1]["body"]


async def test_head_has_the_headers_of_get_and_no_body(metrics: Metrics, drive: Drive) -> None:
    app = Starlette()
    metrics.mount(app, path="/internal/metrics")
    get = await drive(app, "/internal/metrics")
    head = await drive(app, "/internal/metrics", method="HEAD")
    assert head[0] == get[0]
    assert head[1]["body"] == b""


async def test_other_methods_are_refused(metrics: Metrics, drive: Drive) -> None:
    start, _ = await drive(metrics.asgi_app(), method="POST")
    assert start["status"] == 405
    assert dict(start["headers"])[b"allow"] == b"GET, HEAD"


async def test_a_collector_that_breaks_hides_none_of_ours(metrics: Metrics, drive: Drive) -> None:
    class Broken:
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            raise RuntimeError("not today")

    metrics.registry.register(Broken())
    metrics.track_message(role="user")
    app = metrics.asgi_app()
    start, body = await drive(app)
    assert start["status"] == 200
    assert b'claw_ai_messages_total{role="user"} 1.0' in body["body"]
    _, again = await drive(app)
    assert b'claw_ai_exporter_internal_errors_total{where="registry"} 1.0' in again["body"]


class _Gate:
    """A collector that waits, to hold a rendering open."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.threads: list[threading.Thread] = []

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        self.threads.append(threading.current_thread())
        self.entered.set()
        assert self.leave.wait(10)
        return []


async def test_requests_at_the_same_time_share_one_rendering_outside_of_the_event_loop(
    metrics: Metrics, drive: Drive
) -> None:
    gate = _Gate()
    metrics.registry.register(gate)
    app = metrics.asgi_app()
    requests = [asyncio.create_task(drive(app)) for _ in range(3)]
    await asyncio.to_thread(gate.entered.wait, 10)
    gate.leave.set()
    answers = await asyncio.gather(*requests)
    assert len(gate.threads) == 1
    assert gate.threads[0] is not threading.current_thread()
    assert all(answer == answers[0] for answer in answers)
    await drive(app)
    assert len(gate.threads) == 2


async def test_a_client_that_leaves_costs_the_others_nothing(metrics: Metrics, drive: Drive) -> None:
    gate = _Gate()
    metrics.registry.register(gate)
    app = metrics.asgi_app()
    leaver, stayer = asyncio.create_task(drive(app)), asyncio.create_task(drive(app))
    await asyncio.to_thread(gate.entered.wait, 10)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    gate.leave.set()
    assert (await stayer)[0]["status"] == 200
    assert len(gate.threads) == 1


async def test_the_page_itself_is_neither_measured_nor_in_flight(metrics: Metrics, drive: Drive) -> None:
    app = FastAPI()
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    metrics.mount(app)
    await drive(app, "/metrics")
    _, body = await drive(app, "/metrics")
    assert b"claw_ai_http_active_connections 0.0" in body["body"]
    assert b"claw_ai_http_requests_total" not in body["body"]
    assert metrics.traffic.in_flight == [0.0]


async def test_it_can_be_served_without_a_store_of_requests(drive: Drive) -> None:
    metrics = Metrics(registry=CollectorRegistry())
    app = Exposition(metrics.registry, metrics.register(), metrics.store)
    assert (await drive(app))[0]["status"] == 200
