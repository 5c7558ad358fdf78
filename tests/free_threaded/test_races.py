"""Threads that record at once lose nothing: under the global interpreter lock, and without it."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from claw_exporter import Metrics, MetricsMiddleware, Price
from claw_exporter.testing import capture, fresh_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

THREADS = 4
# Where threads really run at once a race is rare on a machine that is busy with other work.
TIMES = 2_000 if getattr(sys, "_is_gil_enabled", lambda: True)() else 10_000


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Under the lock threads take turns every 5 ms, which would hide a race."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=["as it is", "locked"])
def metrics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Metrics as this interpreter has them, and as one without the lock has them."""
    if request.param == "locked":
        monkeypatch.setattr("sys._is_gil_enabled", lambda: False, raising=False)
    return fresh_metrics()


def hammer(work: Callable[[int, int], object]) -> None:
    """Do it ``TIMES`` times in each of ``THREADS`` threads, which begin together; it gets thread and turn."""
    barrier = Barrier(THREADS)

    def run(thread: int) -> None:
        barrier.wait()
        for turn in range(TIMES):
            work(thread, turn)

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run, thread) for thread in range(THREADS)]:
            future.result()


def test_no_count_is_lost(metrics: Metrics) -> None:
    hammer(lambda *_: metrics.track_message(role="user"))
    assert capture(metrics).value("claw_ai_messages_total", role="user") == THREADS * TIMES


def test_no_observation_is_lost(metrics: Metrics) -> None:
    def work(*_: int) -> None:
        with metrics.track_redis("get"):
            pass

    hammer(work)
    found = capture(metrics).histogram(
        "claw_ai_redis_operation_duration_seconds", operation="get", status="ok"
    )
    assert found.count == found.buckets[float("inf")] == THREADS * TIMES


def test_decorated_functions_lose_nothing(metrics: Metrics) -> None:
    metrics.set_prices({"glm-4": Price(input=1.0, output=2.0)})

    @metrics.track_ai_response(model="glm-4")
    def generate(*_: int) -> None:
        metrics.current_response().usage(input_tokens=3, output_tokens=1)

    hammer(generate)
    seen = capture(metrics)
    assert seen.value("claw_ai_ai_response_duration_seconds_count", status="ok") == THREADS * TIMES
    assert seen.value("claw_ai_ai_tokens_total", type="input") == 3 * THREADS * TIMES
    assert seen.value("claw_ai_ai_cost_usd_total") == pytest.approx(5e-6 * THREADS * TIMES)
    assert seen.value("claw_ai_ai_in_flight") == 0


def test_scrapes_lose_no_answer(metrics: Metrics) -> None:
    @metrics.track_ai_response(model="glm-4")
    def work(_: int, turn: int) -> None:
        if turn % 50 == 0:
            metrics.render()

    hammer(work)
    seen = capture(metrics)
    assert seen.value("claw_ai_ai_response_duration_seconds_count", status="ok") == THREADS * TIMES
    assert seen.value("claw_ai_ai_usage_missing_total") == THREADS * TIMES
    assert seen.value("claw_ai_ai_in_flight") == 0


@pytest.mark.parametrize(
    ("door", "count"),
    [
        ("track_db", "claw_ai_db_operation_duration_seconds_count"),
        ("track_vector_db", "claw_ai_vector_db_operation_duration_seconds_count"),
        ("track_tool", "claw_ai_tool_calls_total"),
        ("track_task", "claw_ai_queue_tasks_total"),
        ("track_guardrail", "claw_ai_guardrail_decisions_total"),
        ("track_retrieval", "claw_ai_retrieval_results_count"),
        ("track_agent_run", "claw_ai_agent_runs_total"),
    ],
)  # fmt: skip
def test_no_decorator_loses_a_call(metrics: Metrics, door: str, count: str) -> None:
    measured = getattr(metrics, door)("name")(lambda *_: [])
    hammer(measured)
    assert capture(metrics).value(count) == THREADS * TIMES


def test_series_that_several_threads_begin_are_one(metrics: Metrics) -> None:
    hammer(lambda _, turn: metrics.track_conversation(status=f"status {turn % 50}"))
    seen = capture(metrics)
    assert len(seen.series("claw_ai_conversations_total")) == 50
    assert seen.value("claw_ai_conversations_total") == THREADS * TIMES


def test_reading_meanwhile_disturbs_nobody(metrics: Metrics) -> None:
    def work(thread: int, turn: int) -> None:
        if thread:
            metrics.track_message(role=f"role {turn % 500}")
        elif turn % 40 == 0:
            metrics.render()

    hammer(work)
    assert capture(metrics).value("claw_ai_messages_total") == (THREADS - 1) * TIMES


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"12345"})


def test_the_middleware_loses_no_request(metrics: Metrics) -> None:
    app = MetricsMiddleware(answer, metrics=metrics)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: object) -> None:
        pass

    async def requests() -> None:
        for _ in range(TIMES):
            await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)

    barrier = Barrier(THREADS)

    def loop(_: int) -> None:
        barrier.wait()
        asyncio.run(requests())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(loop, range(THREADS)))
    seen = capture(metrics)
    assert seen.value("claw_ai_http_requests_total") == THREADS * TIMES
    assert seen.value("claw_ai_http_request_duration_seconds_count") == THREADS * TIMES
    assert seen.value("claw_ai_http_response_size_bytes_sum") == 5 * THREADS * TIMES
    assert seen.value("claw_ai_http_active_connections") == 0
