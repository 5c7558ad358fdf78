"""A careless developer cannot fill the memory: label values without end, of any kind, through every door."""

from __future__ import annotations

import gc
import math
import tracemalloc
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from claw_exporter import Metrics, Price
from claw_exporter.testing import capture, fresh_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 100
MANY = 1_500
# Nothing that is kept for each value may be left: a thousand strings alone would be 60 kB.
FLAT_BYTES = 40_000


class Raising:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __float__(self) -> float:
        raise RuntimeError("no number")


class Unhashable:
    __hash__ = None  # type: ignore[assignment]  # on purpose

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")


class Liar(str):
    """Pretends to be another string than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return "lie"

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return True


class Number:
    """Runs code where it is added: another thread could come between."""

    def __float__(self) -> float:
        return 2.0

    def __radd__(self, other: object) -> object:
        raise AssertionError("it was added as it is")

    __add__ = __lt__ = __radd__


def answer(metrics: Metrics, model: Any, provider: Any = "p", error: Any = None) -> None:  # noqa: ANN401
    with metrics.track_ai_response(model=model, provider=provider) as response:
        response.chunk()
        response.usage(input_tokens=3, output_tokens=2)
        response.finish("stop")
        if error is not None:
            response.fail(error)


def finish(metrics: Metrics, reason: Any) -> None:  # noqa: ANN401
    with metrics.track_ai_response(model="m") as response:
        response.finish(reason)


def run(metrics: Metrics, agent: Any) -> None:  # noqa: ANN401
    with metrics.track_agent_run(agent) as measured:
        with metrics.track_agent_step(agent, "think"):
            pass
        measured.tool_call("search", {"q": 1})
        measured.tool_call("search", {"q": 1})


def around(tracker: Any) -> None:  # noqa: ANN401  # any tracker
    with tracker:
        pass


def failing(tracker: Any, kind: Any) -> None:  # noqa: ANN401  # any tracker
    with tracker as measured:
        measured.fail(kind)


DOORS: dict[str, Callable[[Metrics, Any], object]] = {
    "model": answer,
    "model of a function": lambda metrics, value: answer(metrics, lambda: value),
    "provider": lambda metrics, value: answer(metrics, "m", value),
    "error type": lambda metrics, value: answer(metrics, "m", "p", value),
    "finish reason": finish,
    "fallback from": lambda metrics, value: metrics.track_fallback(from_model=value, to_model="b"),
    "fallback to": lambda metrics, value: metrics.track_fallback(from_model="a", to_model=value),
    "fallback's reason": lambda metrics, value: metrics.track_fallback(
        from_model="a", to_model="b", reason=value
    ),
    "guard": lambda metrics, value: around(metrics.track_guardrail(value)),
    "guard's decision": lambda metrics, value: metrics.guardrail_decision("guard", value),
    "index": lambda metrics, value: metrics.track_retrieval(value, results=3),
    "agent": run,
    "step type": lambda metrics, value: around(metrics.track_agent_step("agent", value)),
    "tool": lambda metrics, value: around(metrics.track_tool(value)),
    "tool's error": lambda metrics, value: failing(metrics.track_tool("tool"), value),
    "vector store": lambda metrics, value: around(metrics.track_vector_db(value)),
    "redis": lambda metrics, value: around(metrics.track_redis(value)),
    "database": lambda metrics, value: around(metrics.track_db(value)),
    "queue": lambda metrics, value: around(metrics.track_task(value)),
    "conversation": lambda metrics, value: metrics.track_conversation(status=value),
    "message": lambda metrics, value: metrics.track_message(role=value),
    "application": lambda metrics, value: metrics.build_info(app=value, version="1"),
    "price table": lambda metrics, value: metrics.set_prices({"m": Price(1, 2)}, version=value),
    "budget": lambda metrics, value: metrics.set_budget(1.0, period="day", scope=value),
}  # fmt: skip
# Their values are few, or become few before they are a label.
FOLDED_BY_THEMSELVES = {
    "error type", "finish reason", "fallback's reason", "guard's decision", "tool's error", "application",
    "price table",
}  # fmt: skip
# Told at start, outside of measured code: what their arguments raise is for their caller.
SETTINGS = {"application", "price table", "budget"}
ODD: dict[str, Any] = {
    "bytes": b"\xff\x00",
    "huge": "x" * 1_000_000,
    "None": None,
    "lone surrogate": "a\ud800b",
    "newlines and quotes": 'a\nb\r"c"\\{}=,',
    "empty": "",
    "NaN": math.nan,
    "huge number": 10**5000,
    "raises": Raising(),
    "unhashable": Unhashable(),
    "a list": [["nested"]],
    "a liar": Liar("truth"),
    "NUL": "a\x00b",
}

NUMBERS: dict[str, Any] = {
    "NaN": math.nan,
    "infinite": math.inf,
    "negative": -1,
    "a word": "many",
    "huge": 10**5000,
    "a signalling NaN": Decimal("sNaN"),
    "raises": Raising(),
}


def spend(metrics: Metrics, door: Callable[[Metrics, Any], object], first: int) -> None:
    for number in range(first, first + MANY):
        door(metrics, f"value {number}")


@pytest.mark.parametrize("name", DOORS)
def test_no_door_lets_more_series_in_than_the_bound(name: str) -> None:
    metrics = fresh_metrics(max_series=MOST)
    spend(metrics, DOORS[name], 0)
    full = []
    for spec, series in metrics.store.snapshot():
        # Outcomes begin together, and each has an overflow row of its own.
        rows = math.prod(len(values) for values in spec.values.values())
        assert len(series) <= MOST + 2 * rows, spec.name
        if any("__overflow__" in labels for labels, _ in series):
            full.append(spec.name)
    assert bool(full) is (name not in FOLDED_BY_THEMSELVES), full
    seen = capture(metrics)
    for metric in full:
        assert seen.value("claw_ai_exporter_overflow_total", metric=metric) >= MANY - MOST, metric
    mistakes = [labels["where"] for labels in seen.series("claw_ai_exporter_internal_errors_total")]
    assert mistakes == (["guardrail_decision"] if name == "guard's decision" else [])


def test_memory_stays_where_it_is_once_everything_is_full() -> None:
    metrics = fresh_metrics(max_series=MOST)

    def everything(first: int) -> None:
        for door in DOORS.values():
            for number in range(first, first + 150):
                door(metrics, f"value {number}")
        gc.collect()

    everything(0)
    tracemalloc.start()
    try:
        everything(1_000)
        before, _ = tracemalloc.get_traced_memory()
        everything(2_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < FLAT_BYTES


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", DOORS)
def test_odd_values_break_neither_the_code_nor_the_page(name: str, odd: str) -> None:
    metrics = fresh_metrics(max_series=MOST)
    with suppress(*[Exception] if name in SETTINGS else []):
        DOORS[name](metrics, ODD[odd])
    page = metrics.render().decode("utf-8")
    assert max(map(len, page.splitlines()), default=0) < 2_000
    for family in text_string_to_metric_families(page):
        assert all(len(value) <= 256 for sample in family.samples for value in sample.labels.values())


@pytest.mark.parametrize("number", [Number(), Decimal(2), True, 2])
def test_numbers_of_other_types_are_coerced_before_they_are_added(number: Any) -> None:  # noqa: ANN401
    metrics = fresh_metrics()
    with metrics.track_ai_response(model="m") as response:
        response.usage(input_tokens=number)
    metrics.track_retrieval("index", results=number)
    value = capture(metrics).value("claw_ai_ai_tokens_total", type="input")
    assert value == float(number)
    assert all(
        type(child[0]) in (int, float) for _, series in metrics.store.snapshot() for _, child in series
    )


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_are_none_are_not_counted(name: str) -> None:
    number = NUMBERS[name]
    metrics = fresh_metrics()
    with metrics.track_ai_response(model="m") as response:
        response.usage(input_tokens=number)
    metrics.track_retrieval("index", results=number)
    with metrics.track_retrieval("index") as retrieval:
        retrieval.results(number)
    shown = capture(metrics)
    assert shown.value("claw_ai_ai_tokens_total") == 0
    assert all(math.isfinite(value) for series in shown._samples.values() for value in series.values())
