"""Operations of stores: decorated ones make no measurement, but count the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import Metrics, Operation
from claw_exporter.catalog import INTERNAL_ERRORS, OVERFLOW, VECTOR_DB_DURATION
from claw_exporter.tracking import innermost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def ends(metrics: Metrics, operation: str = "search") -> dict[str, int]:
    """How often an operation ended in which way."""
    series = metrics.store.histogram(VECTOR_DB_DURATION).series()
    return {
        status: int(sum(child[:-1])) for (name, status), child in series if name == operation and any(child)
    }


def faults(metrics: Metrics) -> dict[Any, float]:
    return {labels: child[0] for labels, child in metrics.store.counter(INTERNAL_ERRORS).series()}


def test_a_function_is_counted_by_how_it_ends(metrics: Metrics) -> None:
    @metrics.track_vector_db("search")
    def find(error: type[BaseException] | None = None) -> str:
        assert innermost(Operation) is None
        if error:
            raise error
        return "found"

    assert [find(), find()] == ["found", "found"]
    for error in (KeyError, asyncio.CancelledError):
        with pytest.raises(error):
            find(error)
    assert ends(metrics) == {"ok": 2, "error": 1, "cancelled": 1}


async def test_a_coroutine_function_is_counted_by_how_it_ends(metrics: Metrics) -> None:
    @metrics.track_vector_db("search")
    async def find(seconds: float = 0) -> str:
        await asyncio.sleep(seconds)
        if seconds < 0:
            raise KeyError
        return "found"

    assert [await find(), await find(0.03)] == ["found", "found"]
    with pytest.raises(KeyError):
        await find(-1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(find(10), 0.01)
    assert ends(metrics) == {"ok": 2, "error": 1, "cancelled": 1}
    total = metrics.registry.get_sample_value(
        "claw_ai_vector_db_operation_duration_seconds_sum", {"operation": "search", "status": "ok"}
    )
    assert total == pytest.approx(0.03, abs=0.02)


def test_blocks_and_generators_are_counted_as_ever(metrics: Metrics) -> None:
    track = metrics.track_vector_db("search")

    @track
    def find() -> Iterator[int]:
        yield 1

    assert list(find()) == [1]
    with track as operation:
        operation.fail()
    assert ends(metrics) == {"ok": 1, "error": 1}


def test_a_million_operations_make_a_bounded_number_of_series() -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=30)
    for number in range(1_000):
        metrics.track_vector_db(f"search-{number}")(lambda: None)()
    series = metrics.store.histogram(VECTOR_DB_DURATION).series()
    assert len(series) <= 30 + 3
    assert sum(sum(child[:-1]) for _, child in series) == 1_000
    folded = dict(metrics.store.counter(OVERFLOW).series())
    assert folded["claw_ai_vector_db_operation_duration_seconds",] == [990]
    assert len(metrics._vector_db._named) == 30


def test_an_operation_that_cannot_be_named_is_counted_and_kept_away(metrics: Metrics) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    operation: Any = Broken()
    with metrics.track_vector_db(operation):
        pass
    assert ends(metrics, "unknown") == {"ok": 1}
    assert faults(metrics) == {("track_vector_db",): 1}


async def test_where_there_is_no_gil_every_end_takes_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claw_exporter.store._free_threaded", lambda: True)
    metrics = Metrics(registry=CollectorRegistry())

    @metrics.track_vector_db("search")
    @metrics.track_ai_response(model="m")
    def find() -> None:
        pass

    find()
    find()
    assert ends(metrics) == {"ok": 2}
    assert metrics._vector_db._named["search"].ok is None
    assert metrics._answers._pairs["m", "unknown"].ends is None

    @metrics.track_ai_response(model="m", each_chunk=True)
    async def stream() -> AsyncIterator[int]:
        for number in range(4):
            yield number

    assert [number async for number in stream()] == [0, 1, 2, 3]
    metrics.register()
    name, labels = "claw_ai_ai_response_duration_seconds_count", {"model": "m", "provider": "unknown"}
    assert metrics.registry.get_sample_value(name, {**labels, "status": "ok"}) == 3
    name = "claw_ai_ai_time_between_chunks_seconds_count"
    assert metrics.registry.get_sample_value(name, labels) == 3


def test_an_end_that_cannot_be_counted_is_kept_away(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(metrics._vector_db._family, "observe", broken)
    with metrics.track_vector_db("search"):
        pass
    assert faults(metrics) == {("track_vector_db",): 1}
