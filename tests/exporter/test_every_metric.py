"""Every metric that the catalogue gives to the library has an instrument, and is filled by it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
import sqlalchemy
from prometheus_client import CollectorRegistry
from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from claw_exporter import Metrics, MetricsMiddleware, Price
from claw_exporter.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket


CHAT = {"usage": {"prompt_tokens": 5, "completion_tokens": 3}, "choices": [{"finish_reason": "stop"}]}


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    found = Metrics(registry=CollectorRegistry(), max_series=20)
    found.register()
    yield found
    found.unwatch_logs()


async def http(metrics: Metrics, _: Path) -> None:
    """Requests, one of them streamed, and a WebSocket."""

    async def whole(_: Request) -> Response:
        return PlainTextResponse("done")

    async def parts() -> AsyncIterator[str]:
        for part in "ab":
            yield part
            await asyncio.sleep(0)

    async def stream(_: Request) -> Response:
        return StreamingResponse(parts())

    async def socket(found: WebSocket) -> None:
        await found.accept()
        await found.close()

    app = Starlette(routes=[Route("/a", whole), Route("/b", stream), WebSocketRoute("/ws", socket)])
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/a", "/b"):
            assert (await client.get(path)).status_code == 200
    incoming = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:  # noqa: ANN401  # a message
        return next(incoming)

    async def send(_: object) -> None:
        pass

    scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"", "scheme": "ws"}
    await app(scope, receive, send)


async def answers(metrics: Metrics, _: Path) -> None:
    """Answers: priced, unpriced, without usage, failed."""
    metrics.set_prices({"glm-4": Price(input=1, output=2)}, version="1")
    metrics.set_context_windows({"glm-4": 1000})
    metrics.set_budget(20, period="day")
    with metrics.track_ai_response(model="glm-4", provider="zhipu", each_chunk=True) as response:
        for _part in range(3):
            response.chunk()
        response.report(CHAT)
    with metrics.track_ai_response(model="lab") as response:
        response.usage(input_tokens=3)
    with metrics.track_ai_response(model="lab"):
        pass
    with metrics.track_ai_response(model="lab") as response:
        response.fail("timeout")
    metrics.track_fallback(from_model="lab", to_model="glm-4", reason="timeout")


async def provider(metrics: Metrics, _: Path) -> None:
    """Attempts, of which the first is refused and repeated."""
    statuses = iter((500, 200))
    limits = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "9"}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "glm-4", "choices": [choice]}

    def serve(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(next(statuses), json=body, headers=limits)

    # A transport that answers by itself: tests/exporter/test_attempts.py has real servers.
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(serve))
    asking = openai.AsyncOpenAI(api_key="x", base_url="http://test", http_client=client, max_retries=1)
    metrics.watch_provider(asking, provider="zhipu")
    await asking.chat.completions.create(model="glm-4", messages=[{"role": "user", "content": "Hi?"}])


async def agents(metrics: Metrics, _: Path) -> None:
    """A run with a step, a tool, guards and a retrieval."""
    with metrics.track_agent_run("planner") as run, metrics.track_agent_step("planner", "act"):
        for _call in range(2):
            run.tool_call("search", "x")
        with metrics.track_tool("search"):
            metrics.track_retrieval("help", results=3)
    with metrics.track_guardrail("pii"):
        pass


async def stores(metrics: Metrics, directory: Path) -> None:
    """Operations, and a pool that is used up."""
    for track in (metrics.track_vector_db, metrics.track_redis, metrics.track_db):
        with track("get"):
            pass
    address = f"sqlite:///{directory / 'x.db'}"
    engine = sqlalchemy.create_engine(
        address, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    metrics.watch_sqlalchemy(engine, name="orm")
    with engine.connect(), pytest.raises(sqlalchemy.exc.TimeoutError):
        engine.connect()


async def rest(metrics: Metrics, _: Path) -> None:
    """Business, tasks, the loop, logs, and what the library says of itself."""
    metrics.track_conversation()
    metrics.track_message(role="user")
    with metrics.track_task("mail"):
        pass
    metrics.watch_event_loop()
    await asyncio.sleep(0.3)
    metrics.watch_logs()
    logging.getLogger("app").debug("not counted: its level is too low")
    logging.getLogger("app").warning("counted")
    metrics.build_info(app="chat", version="1.0.0")
    for number in range(40):
        metrics.track_message(role=f"role {number}")
    metrics.guardrail_decision("pii", "perhaps")


DRIVES = (http, answers, provider, agents, stores, rest)
# Filled, but what they tell may rightly be 0.
AT_REST = {
    "claw_ai_http_active_connections",
    "claw_ai_websocket_connections",
    "claw_ai_ai_in_flight",
    "claw_ai_ai_silence_seconds",
}
ELSEWHERE = {
    "claw_ai_exporter_workers": "only several workers have it: tests/exporter/test_multiprocess.py",
}


async def test_every_metric_of_the_library_is_filled_by_an_instrument(
    metrics: Metrics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for drive in DRIVES:
        await drive(metrics, tmp_path)
    shown = {
        spec.name: sum(sum(map(abs, child)) for _, child in series)
        for spec, series in metrics.store.snapshot()
    }
    names = {metric.name for metric in CATALOG if metric.home == "library"}
    assert names - set(shown) == set(ELSEWHERE)
    assert set(shown) <= names
    assert {name for name, number in shown.items() if not number} <= AT_REST | {
        "claw_ai_event_loop_lag_seconds"
    }


@pytest.mark.parametrize("drive", DRIVES, ids=lambda drive: drive.__name__)
async def test_each_instrument_alone_breaks_nothing(
    metrics: Metrics, tmp_path: Path, drive: Callable[[Metrics, Path], Any]
) -> None:
    await drive(metrics, tmp_path)
    where = "claw_ai_exporter_internal_errors_total"
    wrong = {
        labels[0] for spec, series in metrics.store.snapshot() if spec.name == where for labels, _ in series
    }
    assert wrong <= {"guardrail_decision"}  # which rest() provokes
