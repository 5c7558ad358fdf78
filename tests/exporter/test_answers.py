"""What answers of AI models tell beyond their duration: stalls, silence, finish reasons, context, money."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import ArgumentError, Metrics, Price
from claw_exporter.catalog import (
    AI_FINISH,
    AI_IN_FLIGHT,
    AI_SILENCE,
    FINISH_REASONS,
    INTERNAL_ERRORS,
    OVERFLOW,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

GLM: Any = {"model": "glm-4", "provider": "zhipu"}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"claw_ai_ai_{name}", labels)


def gap(metrics: Metrics) -> float | None:
    """The longest gap of the one stream there was."""
    assert value(metrics, "stream_gap_seconds_count", **GLM) == 1
    return value(metrics, "stream_gap_seconds_sum", **GLM)


def faults(metrics: Metrics) -> dict[Any, float]:
    return {labels: child[0] for labels, child in metrics.store.counter(INTERNAL_ERRORS).series()}


# -- The longest gap -----------------------------------------------------------------------------------------
async def test_the_longest_gap_of_a_stream_is_counted_once(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    async def generate() -> AsyncIterator[str]:
        await asyncio.sleep(0.3)  # until the first part: no gap
        yield "a"
        for _ in range(3):
            await asyncio.sleep(0.01)
            yield "b"
        await asyncio.sleep(0.15)
        yield "c"

    assert [part async for part in generate()] == ["a", "b", "b", "b", "c"]
    assert gap(metrics) == pytest.approx(0.15, abs=0.06)


async def test_a_slow_reader_is_no_stall(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    async def generate() -> AsyncIterator[int]:
        for number in range(4):
            yield number

    async for number in generate():
        await asyncio.sleep(0.1)
        if number == 2:
            time.sleep(0.1)  # noqa: ASYNC251  # a reader that blocks the event loop
    assert gap(metrics) == pytest.approx(0, abs=0.05)


async def test_a_generator_that_blocks_the_event_loop_stalls(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    async def generate() -> AsyncIterator[int]:
        for number in range(3):
            if number == 2:
                time.sleep(0.2)  # noqa: ASYNC251  # as a synchronous client does
            yield number

    assert [number async for number in generate()] == [0, 1, 2]
    assert gap(metrics) == pytest.approx(0.2, abs=0.06)


async def test_a_stream_that_is_given_up_while_it_stalls_has_that_gap(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    async def generate() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    async def read() -> list[int]:
        async with asyncio.timeout(0.2):
            return [number async for number in generate()]

    with pytest.raises(TimeoutError):
        await read()
    assert gap(metrics) == pytest.approx(0.2, abs=0.06)
    assert value(metrics, "response_duration_seconds_count", **GLM, status="cancelled") == 1


def test_a_synchronous_stream_has_its_gap_too(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    def generate() -> Iterator[int]:
        yield 1
        time.sleep(0.1)
        yield 2

    for _ in generate():
        time.sleep(0.15)
    longest = gap(metrics)
    assert longest is not None
    assert 0.1 <= longest < 0.15


def test_a_synchronous_stream_that_breaks_while_it_stalls_has_that_gap(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    def generate() -> Iterator[int]:
        yield 1
        time.sleep(0.1)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        list(generate())
    longest = gap(metrics)
    assert longest is not None
    assert longest >= 0.1


def test_parts_that_a_block_tells_of_have_gaps(metrics: Metrics) -> None:
    with metrics.track_ai_response(**GLM) as response:
        response.chunk()
        time.sleep(0.05)
        response.chunk()
        time.sleep(0.1)  # after the last part: what else is done in the block
    longest = gap(metrics)
    assert longest is not None
    assert 0.05 <= longest < 0.1


async def test_the_wait_for_each_part_is_counted_where_it_is_asked_for(metrics: Metrics) -> None:
    track = metrics.track_ai_response(**GLM, each_chunk=True)

    @track
    async def stream() -> AsyncIterator[int]:
        for number in range(4):
            await asyncio.sleep(0.01 * (number == 3))
            yield number

    @track
    def parts() -> Iterator[int]:
        yield from range(3)

    assert [number async for number in stream()] == [0, 1, 2, 3]
    assert value(metrics, "time_between_chunks_seconds_count", **GLM) == 3
    assert list(parts()) == [0, 1, 2]
    with track as response:
        response.chunk()
        response.chunk()
    assert value(metrics, "time_between_chunks_seconds_count", **GLM) == 6
    assert value(metrics, "time_between_chunks_seconds_sum", **GLM) == pytest.approx(0.01, abs=0.02)
    assert value(metrics, "stream_gap_seconds_count", **GLM) == 3


async def test_waits_for_parts_are_not_counted_otherwise(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    async def stream() -> AsyncIterator[int]:
        yield 1
        yield 2

    assert [number async for number in stream()] == [1, 2]
    assert value(metrics, "time_between_chunks_seconds_count", **GLM) is None


async def test_what_the_generator_says_about_its_first_token_goes_before_its_first_part(
    metrics: Metrics,
) -> None:
    @metrics.track_ai_response(**GLM)
    async def stream() -> AsyncIterator[int]:
        metrics.current_response().chunk()
        await asyncio.sleep(0.05)
        yield 1
        metrics.current_response().chunk()
        yield 2

    assert [number async for number in stream()] == [1, 2]
    first = value(metrics, "time_to_first_token_seconds_sum", **GLM)
    assert first is not None
    assert first < 0.04
    assert value(metrics, "stream_gap_seconds_count", **GLM) == 1


async def test_a_stream_that_breaks_before_its_first_part_has_neither_first_token_nor_gap(
    metrics: Metrics,
) -> None:
    @metrics.track_ai_response(**GLM)
    async def stream(parts: tuple[int, ...]) -> AsyncIterator[int]:
        if not parts:
            raise TimeoutError
        yield parts[0]

    with pytest.raises(TimeoutError):
        await anext(stream(()))
    assert value(metrics, "stream_gap_seconds_count", **GLM) is None
    assert value(metrics, "time_to_first_token_seconds_count", **GLM) is None
    assert value(metrics, "response_duration_seconds_count", **GLM, status="error") == 1


# -- Decorated functions -------------------------------------------------------------------------------------
@pytest.mark.parametrize("shared", [False, True], ids=["in memory", "in files"])
async def test_open_calls_of_functions_and_coroutines_are_in_flight(tmp_path: Path, *, shared: bool) -> None:
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path) if shared else "")
    metrics.register()
    track, seen = metrics.track_ai_response(**GLM), list[float | None]()

    def look() -> None:
        seen.append(value(metrics, "in_flight", **GLM))

    @track
    def inner() -> None:
        look()

    @track
    async def outer() -> None:
        look()
        inner()
        with track:
            look()
        look()

    for _ in range(2):
        await outer()
        look()
    assert seen == [1, 2, 2, 1, 0] * 2
    assert value(metrics, "response_duration_seconds_count", **GLM, status="ok") == 6
    assert value(metrics, "usage_missing_total", model="glm-4") == 6


async def test_calls_in_flight_are_in_the_files_before_anything_is_scraped(tmp_path: Path) -> None:
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path))
    in_flight, seen = metrics.store.gauge(AI_IN_FLIGHT).child("glm-4", "zhipu"), list[float]()

    @metrics.track_ai_response(**GLM)
    async def call() -> None:
        seen.append(in_flight[0])

    await call()
    await call()
    assert [*seen, in_flight[0]] == [1, 1, 0]


def test_an_answer_that_ends_during_a_scrape_is_in_the_next_one(metrics: Metrics) -> None:
    class Ending(list[float]):
        def copy(self) -> list[float]:
            numbers = super().copy()
            self[0] += 1.0
            return numbers

    metrics.track_ai_response(**GLM)(len)("the first makes the series")
    metrics._answers._pairs["glm-4", "zhipu"].fresh = Ending([0.0] * 16)
    seen = [value(metrics, "response_duration_seconds_count", **GLM, status="ok") for _ in range(3)]
    assert seen == [0, 1, 2]


def test_errors_are_told_from_good_answers_also_after_the_first_call(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM, result=lambda answer: answer or None)
    def call(answer: str) -> str:
        if answer == "raise":
            raise LookupError
        return answer

    for answer in ("", "", "rate_limited"):
        call(answer)
    with pytest.raises(LookupError):
        call("raise")
    counts = {
        status: value(metrics, "response_duration_seconds_count", **GLM, status=status)
        for status in ("ok", "error", "cancelled")
    }
    assert counts == {"ok": 2, "error": 2, "cancelled": 0}
    for error_type in ("rate_limited", "LookupError"):
        assert value(metrics, "errors_total", **GLM, error_type=error_type) == 1
    assert value(metrics, "in_flight", **GLM) == 0


# -- Silence -------------------------------------------------------------------------------------------------
async def test_a_call_that_hangs_is_seen_while_it_hangs(metrics: Metrics) -> None:
    go = asyncio.Event()

    @metrics.track_ai_response(**GLM)
    async def call() -> None:
        await go.wait()

    assert value(metrics, "silence_seconds", **GLM) is None
    task = asyncio.create_task(call())
    await asyncio.sleep(0.05)
    silence = value(metrics, "silence_seconds", **GLM)
    assert silence is not None
    assert 0.04 < silence < 1
    go.set()
    await task
    assert value(metrics, "silence_seconds", **GLM) == 0
    assert value(metrics, "silence_seconds", **GLM) == 0


async def test_the_silence_is_that_of_the_call_that_waits_longest_and_ends_with_a_part(
    metrics: Metrics,
) -> None:
    go = asyncio.Event()

    @metrics.track_ai_response(**GLM)
    async def stream() -> AsyncIterator[int]:
        yield 1
        yield 2
        await go.wait()
        yield 3

    numbers = stream()
    assert [await anext(numbers), await anext(numbers)] == [1, 2]
    await asyncio.sleep(0.06)
    assert value(metrics, "silence_seconds", **GLM) == 0  # it is the reader who takes the time
    waiting: asyncio.Task[int] = asyncio.create_task(numbers.__anext__())  # type: ignore[arg-type]  # a coroutine
    await asyncio.sleep(0.1)
    silence = value(metrics, "silence_seconds", **GLM)
    assert silence is not None
    assert 0.05 < silence < 0.15
    with metrics.track_ai_response(**GLM):
        assert value(metrics, "silence_seconds", **GLM) == pytest.approx(silence, abs=0.05)
    go.set()
    assert await waiting == 3
    assert value(metrics, "silence_seconds", **GLM) == 0


def test_a_block_is_silent_since_its_last_part(metrics: Metrics) -> None:
    with metrics.track_ai_response(**GLM) as response:
        assert (response.model, response.provider) == ("glm-4", "zhipu")
        time.sleep(0.03)
        response.chunk()
        silence = value(metrics, "silence_seconds", **GLM)
        assert silence is not None
        assert silence < 0.03


# -- What was said about an answer ---------------------------------------------------------------------------
def test_a_finish_reason_is_counted_in_one_language(metrics: Metrics) -> None:
    for reason in ("end_turn", "stop", "max_tokens", "tool_use", "sensitive", "refusal", "novel"):
        with metrics.track_ai_response(**GLM) as response:
            response.finish("length")  # a later one takes its place
            response.finish(reason)
            response.finish("")  # says nothing
    counted = {
        reason: value(metrics, "finish_total", model="glm-4", reason=reason) for reason in FINISH_REASONS
    }
    assert counted == {
        "stop": 2,
        "length": 1,
        "tool_calls": 1,
        "content_filter": 1,
        "refusal": 1,
        "other": 1,
    }


def test_an_answer_without_a_finish_reason_counts_none(metrics: Metrics) -> None:
    with metrics.track_ai_response(**GLM):
        pass
    assert metrics.store.counter(AI_FINISH).series() == []


def test_what_an_sdk_hands_out_is_read(metrics: Metrics) -> None:
    with metrics.track_ai_response(**GLM) as response:
        response.report({"choices": [{"delta": {"content": "a"}, "finish_reason": None}], "usage": None})
        assert response.tokens() == {}
        response.report({"choices": [{"finish_reason": "length"}]})
        response.report({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    assert response.tokens() == {
        "input": 7, "output": 3, "cache_read": 0, "cache_write": 0, "reasoning": 0,
    }  # fmt: skip
    assert value(metrics, "tokens_total", model="glm-4", type="input") == 7
    assert value(metrics, "finish_total", model="glm-4", reason="length") == 1
    assert value(metrics, "usage_missing_total", model="glm-4") == 0


@pytest.mark.parametrize("answer", [None, 7, "text", b"bytes", [], {}, object(), {"usage": 7}])
def test_of_what_is_no_answer_nothing_is_taken(metrics: Metrics, answer: object) -> None:
    with metrics.track_ai_response(**GLM) as response:
        response.report(answer)
    assert response.tokens() == {}
    assert value(metrics, "usage_missing_total", model="glm-4") == 1
    assert faults(metrics) == {}


def test_an_answer_that_breaks_when_it_is_read_is_counted_and_kept_away(metrics: Metrics) -> None:
    class Nameless:
        def __str__(self) -> str:
            raise RuntimeError

    class Broken:
        @property
        def usage(self) -> object:
            raise RuntimeError

    with metrics.track_ai_response(**GLM) as response:
        response.report(Broken())
        response.report({"usage": {"prompt_tokens": "many"}})
        response.finish(Nameless())  # type: ignore[arg-type]  # wrong on purpose
    assert faults(metrics) == {("report",): 2, ("finish",): 1}
    assert value(metrics, "response_duration_seconds_count", **GLM, status="ok") == 1


async def test_a_cancelled_answer_keeps_what_was_used_so_far(metrics: Metrics) -> None:
    metrics.set_prices({"glm-4": {"input": 1, "output": 2}})

    @metrics.track_ai_response(**GLM)
    async def call() -> None:
        metrics.current_response().usage(input_tokens=1_000_000)
        await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert value(metrics, "tokens_total", model="glm-4", type="input") == 1_000_000
    assert value(metrics, "cost_usd_total", model="glm-4") == 1


# -- Context windows, prices, budgets ------------------------------------------------------------------------
def test_the_share_of_the_context_window_is_shown_where_the_window_is_known(metrics: Metrics) -> None:
    metrics.set_context_windows({"glm-4": 1000})
    for model in ("glm-4", "other"):
        with metrics.track_ai_response(model=model) as response:
            response.usage(input_tokens=600, cache_read_tokens=200, output_tokens=50)
    assert value(metrics, "context_used_ratio_sum", model="glm-4") == pytest.approx(0.85)
    assert value(metrics, "context_used_ratio_bucket", model="glm-4", le="0.9") == 1
    assert value(metrics, "context_used_ratio_count", model="other") is None


@pytest.mark.parametrize("window", [0, -1, float("nan"), "big", True, None])
def test_a_context_window_is_a_number_of_tokens(metrics: Metrics, window: Any) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError, match=r"context window of 'm' is .*: pass a number of tokens"):
        metrics.set_context_windows({"m": window})


def test_prices_may_come_from_a_file_and_are_replaced_at_run_time(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"glm-4": {"input": 2, "output": 8, "cache_read": 0.5}}')
    metrics.set_prices(path, version="2026-11")
    assert value(metrics, "price_table_info", version="2026-11") == 1
    with metrics.track_ai_response(**GLM) as response:
        response.usage(input_tokens=500_000, cache_read_tokens=2_000_000)
        metrics.set_prices({"glm-4": Price(4, 8)})  # the table at the end of the answer counts
    assert value(metrics, "cost_usd_total", model="glm-4") == 2 + 8
    assert value(metrics, "price_table_info", version="2026-11") is None


def test_a_table_without_a_version_has_one_by_its_content(metrics: Metrics) -> None:
    def version(table: dict[str, Price]) -> str:
        metrics.set_prices(table)
        page = metrics.render().decode()
        return page.split('claw_ai_ai_price_table_info{version="')[1].split('"')[0]

    one = version({"a": Price(1, 2), "b": Price(3, 4)})
    assert len(one) == 12
    assert version({"b": Price(3, 4), "a": Price(1, 2)}) == one
    assert version({"a": Price(1, 2), "b": Price(3, 5)}) != one


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"m": {"input": 1}}, "the price of 'm' is {'input': 1}: name the prices input, output, cache_read"),
        ({"m": {"input": 1, "output": 2, "cached": 3}}, "name the prices"),
        ({"m": 3}, "the price of 'm' is 3: name the prices"),
        ({"m": {"input": 1, "output": -2}}, "the price of 'm': output is -2: not a price"),
        ({"m": {"input": None, "output": 2}}, "input is None: not a price"),
        ({"m": {"input": True, "output": 2}}, "input is True: not a price"),
    ],
)
def test_a_wrong_price_is_refused_and_the_old_table_stays(
    metrics: Metrics, table: dict[str, Any], words: str
) -> None:
    metrics.set_prices({"glm-4": Price(1, 2)}, version="old")
    with pytest.raises(ArgumentError) as caught:
        metrics.set_prices(table, version="new")
    assert words in str(caught.value)
    assert value(metrics, "price_table_info", version="old") == 1
    with metrics.track_ai_response(**GLM) as response:
        response.usage(input_tokens=1)
    assert value(metrics, "unpriced_tokens_total", model="glm-4") == 0


@pytest.mark.parametrize("content", [None, "{", "[]", b"\xff"])
def test_a_file_that_holds_no_prices_is_refused_by_name(
    metrics: Metrics, tmp_path: Path, content: str | bytes | None
) -> None:
    path = tmp_path / "prices.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ArgumentError, match=r"prices\.json is no price table"):
        metrics.set_prices(str(path))


def test_a_budget_stands_beside_what_is_spent(metrics: Metrics) -> None:
    metrics.set_budget(100, period="day")
    metrics.set_budget(50.5, period="month", scope="research")
    metrics.set_budget(60, period="month", scope="research")
    assert value(metrics, "budget_usd", period="day", scope="all") == 100
    assert value(metrics, "budget_usd", period="month", scope="research") == 60


@pytest.mark.parametrize(
    ("usd", "period", "words"),
    [
        (1, "week", "period is 'week': it must be one of hour, day, month"),
        (-1, "day", "usd is -1: pass what may be spent in a day"),
        (float("inf"), "day", "usd is inf"),
        (True, "day", "usd is True"),
        ("1", "day", "usd is '1'"),
    ],
)
def test_a_wrong_budget_is_refused(metrics: Metrics, usd: Any, period: str, words: str) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError) as caught:
        metrics.set_budget(usd, period=period)
    assert words in str(caught.value)


# -- Bounds --------------------------------------------------------------------------------------------------
def test_a_developer_without_mercy_makes_a_bounded_number_of_series() -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=20)
    for number in range(2_000):
        track = metrics.track_ai_response(
            model=f"model-{number}", provider=f"provider-{number}", each_chunk=True
        )
        with track as response:
            response.chunk()
            response.chunk()
            response.finish(f"reason-{number}")
            response.usage(input_tokens=1)
            response.fail(f"error-{number}")
    with metrics.track_ai_response(model="hangs", provider="here"):
        metrics.render()
        silence = dict(metrics.store.gauge(AI_SILENCE).series())
        assert silence["__overflow__", "__overflow__"][0] > 0
    text = metrics.render().decode().splitlines()
    names = [line.split("{")[0] for line in text if not line.startswith("#") and 'le="' not in line]
    most = 20 + 6 + 1  # a closed label's values start together; then the overflow series
    assert max(names.count(name) for name in set(names)) <= most
    assert len(metrics._answers._pairs) == 20
    overflow = {labels[0] for labels, child in metrics.store.counter(OVERFLOW).series() if child[0]}
    assert "claw_ai_ai_response_duration_seconds" in overflow
    assert sum(child[0] for _, child in metrics.store.counter(AI_FINISH).series()) == 2_000


def test_models_that_are_told_by_the_call_share_what_is_known_of_them(metrics: Metrics) -> None:
    @metrics.track_ai_response(model=lambda model: model, provider="p")
    def call(model: str) -> str:
        metrics.current_response().finish("stop")
        return model

    for _ in range(3):
        call("a")
    assert value(metrics, "response_duration_seconds_count", model="a", provider="p", status="ok") == 3
    assert value(metrics, "in_flight", model="a", provider="p") == 0


def test_a_stream_of_another_thread_ends_where_it_is_read(metrics: Metrics) -> None:
    @metrics.track_ai_response(**GLM)
    def generate() -> Iterator[int]:
        yield 1
        metrics.current_response().usage(input_tokens=3)
        yield 2

    stream, seen = generate(), list[int]()
    for _ in range(3):
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(lambda: seen.extend(v for v in [next(stream, 0)] if v),)
        )
        thread.start()
        thread.join()
    assert seen == [1, 2]
    assert value(metrics, "tokens_total", model="glm-4", type="input") == 3


def test_numbers_of_the_parent_are_forgotten_in_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claw_exporter.store._free_threaded", lambda: False)  # where they are kept at hand
    metrics = Metrics(registry=CollectorRegistry())
    metrics.register()
    track, search = metrics.track_ai_response(**GLM), metrics.track_vector_db("search")

    @track
    def call() -> None:
        pass

    @search
    def find() -> None:
        pass

    call()
    find()
    before = metrics._answers._pairs["glm-4", "zhipu"].ends
    for callback in metrics.store._on_fork:
        callback()
    call()
    find()
    call()
    assert metrics._answers._pairs["glm-4", "zhipu"].ends not in {None, before}
    assert value(metrics, "response_duration_seconds_count", **GLM, status="ok") == 3


def test_the_json_of_a_price_table_is_what_prices_are_made_of() -> None:
    table = json.loads('{"m": {"input": 1, "output": 2, "cache_read": null}}')
    metrics = Metrics(registry=CollectorRegistry())
    metrics.set_prices(table)
    with metrics.track_ai_response(model="m") as response:
        response.usage(cache_read_tokens=1_000_000)
    metrics.register()
    assert value(metrics, "cost_usd_total", model="m") == 1
