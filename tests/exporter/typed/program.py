"""A user's program with every form of every decorator: its types are those of the undecorated functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from prometheus_client import CollectorRegistry

from claw_exporter import AIResponse, Metrics, MetricsMiddleware, Operation, Price, app_core_metrics
from claw_exporter.testing import Changes, Distribution, Snapshot, capture, changes, fresh_metrics

metrics = Metrics(registry=CollectorRegistry(), max_series=100)
metrics.set_prices({"m": Price(input=1.0, output=2.0)})


@metrics.track_ai_response(model="m", provider="p", result=lambda answer: None if answer else "empty")
def plain(prompt: str, *, times: int = 1) -> list[str]:
    return [prompt] * times


@metrics.track_ai_response(model=lambda prompt: prompt)
async def coroutine(prompt: str) -> bytes:
    return prompt.encode()


@metrics.track_tool("search")
def generator(number: int) -> Iterator[int]:
    yield number


@metrics.track_agent_run("agent", max_steps=3)
async def stream(number: int) -> AsyncIterator[float]:
    yield number / 2


@metrics.track_vector_db("search")
@metrics.track_redis("get")
@metrics.track_db("read")
@metrics.track_agent_step("agent", "think")
@metrics.track_task("mail")
@metrics.track_guardrail("guard")
@metrics.track_retrieval("index")
def stacked(pair: tuple[int, str]) -> tuple[int, str]:
    return pair


@app_core_metrics.track_ai_response(model="m")
@app_core_metrics.track_vector_db_operation()
@app_core_metrics.track_redis_operation(operation="set")
async def older(number: int) -> int:
    return number


class Service:
    @metrics.track_db("method")
    def method(self, number: int) -> str:
        return str(number)

    @staticmethod
    @metrics.track_db("static")
    def static(number: int) -> str:
        return str(number)


async def main() -> None:
    assert_type(plain("a", times=2), list[str])
    assert_type(await coroutine("a"), bytes)
    assert_type(generator(1), Iterator[int])
    assert_type(stream(1), AsyncIterator[float])
    assert_type([part async for part in stream(1)], list[float])
    assert_type(stacked((1, "a")), tuple[int, str])
    assert_type(await older(1), int)
    assert_type(Service().method(1), str)
    assert_type(Service.static(1), str)
    call: Callable[[str], Coroutine[Any, Any, bytes]] = coroutine
    assert_type(await call("a"), bytes)

    with metrics.track_ai_response(model="m") as response:
        assert_type(response, AIResponse)
    async with metrics.track_redis("get") as operation:
        assert_type(operation, Operation)

    with changes(metrics) as seen:
        metrics.track_message(role="user")
    assert_type(seen, Changes)
    assert_type(seen.value("claw_ai_messages_total", role="user"), float)
    assert_type(capture(metrics), Snapshot)
    histogram = capture(metrics).histogram("claw_ai_redis_operation_duration_seconds", operation="get")
    assert_type(histogram, Distribution)
    assert_type(fresh_metrics(), Metrics)
    MetricsMiddleware(lambda _scope, _receive, _send: asyncio.sleep(0), metrics=metrics)


if __name__ == "__main__":
    asyncio.run(main())
