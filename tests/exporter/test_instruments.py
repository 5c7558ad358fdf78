from __future__ import annotations

import asyncio
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from claw_exporter import AIResponse, ArgumentError, Metrics, Price

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"claw_ai_{name}", labels)


GLM = {"model": "glm-4", "provider": "zhipu"}


def answers(metrics: Metrics, status: str, **labels: str) -> float | None:
    return value(metrics, "ai_response_duration_seconds_count", **(labels or GLM), status=status)


# -- AI answers ----------------------------------------------------------------------------------------------
async def test_a_streamed_answer_has_first_token_speed_tokens_and_cost(metrics: Metrics) -> None:
    metrics.set_prices({"glm-4": Price(input=1.0, output=4.0, cache_read=0.1)})

    @metrics.track_ai_response(model="glm-4", provider="zhipu")
    async def generate(prompt: str) -> AsyncIterator[str]:
        for word in prompt.split():
            await asyncio.sleep(0.01)
            yield word
        metrics.current_response().usage(
            input_tokens=1_000_000, output_tokens=3, cache_read_tokens=2_000_000, reasoning_tokens=1
        )

    assert [part async for part in generate("one two three")] == ["one", "two", "three"]
    assert answers(metrics, "ok") == 1
    first = value(metrics, "ai_time_to_first_token_seconds_sum", **GLM)
    whole = value(metrics, "ai_response_duration_seconds_sum", **GLM, status="ok")
    speed = value(metrics, "ai_time_per_output_token_seconds_sum", **GLM)
    assert first is not None
    assert whole is not None
    assert speed is not None
    assert 0.005 < first < whole
    assert speed == pytest.approx((whole - first) / 2, rel=0.5)
    tokens = {kind: value(metrics, "ai_tokens_total", model="glm-4", type=kind) for kind in KINDS}
    assert tokens == {
        "input": 1_000_000,
        "output": 3,
        "cache_read": 2_000_000,
        "cache_write": 0,
        "reasoning": 1,
    }
    assert value(metrics, "ai_cost_usd_total", model="glm-4") == pytest.approx(1.0 + 0.2 + 4 * 4e-6)
    assert value(metrics, "ai_unpriced_tokens_total", model="glm-4") == 0
    assert value(metrics, "ai_usage_missing_total", model="glm-4") == 0


KINDS = ("input", "output", "cache_read", "cache_write", "reasoning")


def test_an_answer_may_be_measured_as_a_block(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
        assert metrics.current_response() is response
        assert value(metrics, "ai_in_flight", **GLM) == 1
        response.chunk()
        response.usage(input_tokens=2, output_tokens=1)
        response.usage(output_tokens=2, input_tokens=None)  # a later number takes the place of an earlier one
    assert answers(metrics, "ok") == 1
    assert value(metrics, "ai_in_flight", **GLM) == 0
    assert value(metrics, "ai_tokens_total", model="glm-4", type="output") == 2
    assert value(metrics, "ai_time_per_output_token_seconds_count", **GLM) == 1


def test_an_answer_in_one_piece_has_no_first_token(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
        response.usage(input_tokens=2, output_tokens=9)
    assert value(metrics, "ai_time_to_first_token_seconds_count", **GLM) is None
    assert value(metrics, "ai_time_per_output_token_seconds_count", **GLM) is None


def test_one_output_token_has_no_speed(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
        response.chunk()
        response.usage(output_tokens=1)
    assert value(metrics, "ai_time_to_first_token_seconds_count", **GLM) == 1
    assert value(metrics, "ai_time_per_output_token_seconds_count", **GLM) is None


def test_every_outcome_and_counter_of_a_model_starts_at_zero(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="glm-4", provider="zhipu"):
        pass
    assert [answers(metrics, status) for status in ("ok", "error", "cancelled")] == [1, 0, 0]
    assert value(metrics, "ai_tokens_total", model="glm-4", type="reasoning") == 0
    assert value(metrics, "ai_cost_usd_total", model="glm-4") == 0


def test_an_answer_without_usage_is_counted_as_such_only_where_it_ended_well(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="glm-4", provider="zhipu"):
        pass
    with pytest.raises(KeyError), metrics.track_ai_response(model="glm-4", provider="zhipu"):
        raise KeyError
    assert value(metrics, "ai_usage_missing_total", model="glm-4") == 1


def test_tokens_of_a_model_without_a_price_are_counted_as_unpriced(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="new") as response:
        response.usage(input_tokens=2, output_tokens=5)
    assert value(metrics, "ai_unpriced_tokens_total", model="new") == 7
    assert value(metrics, "ai_cost_usd_total", model="new") == 0
    assert answers(metrics, "ok", model="new", provider="unknown") == 1


def test_an_exception_is_an_error_by_the_name_of_its_class(metrics: Metrics) -> None:
    class RateLimitError(Exception):
        pass

    def generate() -> None:
        with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
            response.chunk()
            response.usage(input_tokens=3, output_tokens=4)
            raise RateLimitError

    with pytest.raises(RateLimitError):
        generate()
    assert answers(metrics, "error") == 1
    assert value(metrics, "ai_errors_total", **GLM, error_type="RateLimitError") == 1
    assert value(metrics, "ai_tokens_total", model="glm-4", type="input") == 3
    assert value(metrics, "ai_time_per_output_token_seconds_count", **GLM) is None


def test_a_failure_that_is_said_counts_although_something_else_is_raised_later(metrics: Metrics) -> None:
    def generate() -> None:
        with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
            response.fail("content_filter")
            raise GeneratorExit

    with pytest.raises(GeneratorExit):
        generate()
    assert answers(metrics, "error") == 1
    assert value(metrics, "ai_errors_total", **GLM, error_type="content_filter") == 1


async def test_a_stream_that_nobody_reads_to_its_end_is_cancelled(metrics: Metrics) -> None:
    @metrics.track_ai_response(model="glm-4", provider="zhipu")
    async def generate() -> Any:  # noqa: ANN401  # an asynchronous generator
        yield "one"
        yield "two"

    stream = generate()
    assert await anext(stream) == "one"
    await stream.aclose()
    assert answers(metrics, "cancelled") == 1
    assert value(metrics, "ai_in_flight", **GLM) == 0
    assert value(metrics, "ai_errors_total", **GLM, error_type="GeneratorExit") is None


async def test_a_returned_failure_is_recognised(metrics: Metrics) -> None:
    def judge(answer: dict[str, object]) -> str | None:
        return None if answer["success"] else "provider_error"

    @metrics.track_ai_response(model="glm-4", provider="zhipu", result=judge)
    async def generate(*, success: bool) -> dict[str, object]:
        return {"success": success}

    await generate(success=True)
    await generate(success=False)
    assert [answers(metrics, "ok"), answers(metrics, "error")] == [1, 1]
    assert value(metrics, "ai_errors_total", **GLM, error_type="provider_error") == 1


def test_model_and_provider_may_depend_on_the_arguments(metrics: Metrics) -> None:
    @metrics.track_ai_response(
        model=lambda _prompt, model="small": model, provider=lambda *_args, **_kwargs: "local"
    )
    def generate(prompt: str, model: str = "small") -> str:
        return prompt + model

    generate("hi")
    generate("hi", model="large")
    assert answers(metrics, "ok", model="small", provider="local") == 1
    assert answers(metrics, "ok", model="large", provider="local") == 1


def test_a_model_that_cannot_be_told_is_unknown(metrics: Metrics) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("which one?")

    @metrics.track_ai_response(model=broken, provider="zhipu")
    def generate() -> str:
        return "fine"

    assert generate() == "fine"
    assert answers(metrics, "ok", model="unknown", provider="zhipu") == 1
    assert value(metrics, "exporter_internal_errors_total", where="track_ai_response") == 1


def test_kinds_of_error_are_bounded(metrics: Metrics) -> None:
    for number in range(1_000):
        with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
            response.fail(f"message number {number}")
    with metrics.track_ai_response(model="glm-4", provider="zhipu") as response:
        response.fail("message number 0")
    errors = dict(metrics.store.counter(metrics._answers._errors.spec).series())  # type: ignore[arg-type]  # a counter
    assert len(errors) == 65
    assert errors["glm-4", "zhipu", "other"] == [936.0]
    assert errors["glm-4", "zhipu", "message number 0"] == [2.0]


def test_models_without_end_are_folded(metrics: Metrics) -> None:
    small = Metrics(registry=CollectorRegistry(), max_series=30)
    small.register()
    for number in range(1_000):
        with small.track_ai_response(model=f"model-{number}") as response:
            response.usage(input_tokens=1)
    folded = {"model": "__overflow__", "provider": "__overflow__"}
    assert answers(small, "ok", **folded) == 990
    assert value(small, "ai_in_flight", **folded) == 0
    assert answers(metrics, "ok", **folded) is None


@pytest.mark.parametrize("number", ["many", object()])
def test_a_number_of_tokens_that_is_none_is_counted_and_kept_away(metrics: Metrics, number: Any) -> None:  # noqa: ANN401  # wrong on purpose
    with metrics.track_ai_response(model="glm-4") as response:
        response.usage(input_tokens=number, output_tokens=-1, reasoning_tokens=float("nan"))
    assert value(metrics, "exporter_internal_errors_total", where="usage") == 1
    assert value(metrics, "ai_tokens_total", model="glm-4", type="output") == 0
    assert value(metrics, "ai_usage_missing_total", model="glm-4") == 1


def test_outside_of_any_answer_there_is_one_that_records_nothing(metrics: Metrics) -> None:
    response = metrics.current_response()
    response.chunk()
    response.usage(input_tokens=7)
    response.fail()
    assert isinstance(response, AIResponse)
    assert metrics.render() == b""


def test_the_innermost_answer_is_found_through_other_measurements(metrics: Metrics) -> None:
    with metrics.track_ai_response(model="glm-4") as response, metrics.track_tool("search"):
        assert metrics.current_response() is response


# -- Operations ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("track", "metric"),
    [
        ("track_vector_db", "vector_db_operation_duration_seconds"),
        ("track_redis", "redis_operation_duration_seconds"),
        ("track_db", "db_operation_duration_seconds"),
    ],
)
def test_store_operations_have_a_duration_and_a_status(metrics: Metrics, track: str, metric: str) -> None:
    tracker = getattr(metrics, track)("get")
    with tracker:
        pass
    with pytest.raises(KeyError), tracker:
        raise KeyError
    counts = {s: value(metrics, f"{metric}_count", operation="get", status=s) for s in ("ok", "error")}
    assert counts == {"ok": 1, "error": 1}
    assert value(metrics, f"{metric}_count", operation="get", status="cancelled") == 0


def test_tools_are_counted_and_timed(metrics: Metrics) -> None:
    def judge(answer: str) -> str | None:
        return "empty" if not answer else None

    @metrics.track_tool("web_search", result=judge)
    def search(answer: str) -> str:
        return answer

    search("found")
    search("")
    assert value(metrics, "tool_calls_total", tool="web_search", status="ok") == 1
    assert value(metrics, "tool_calls_total", tool="web_search", status="error") == 1
    assert value(metrics, "tool_call_duration_seconds_count", tool="web_search") == 2


def test_steps_of_agents_are_counted_and_timed(metrics: Metrics) -> None:
    with metrics.track_agent_step("planner", "think"):
        pass
    labels = {"agent": "planner", "step_type": "think"}
    assert value(metrics, "agent_steps_total", **labels, status="ok") == 1
    assert value(metrics, "agent_steps_total", **labels, status="error") == 0
    assert value(metrics, "agent_step_duration_seconds_count", **labels) == 1


# -- Business, wiring ----------------------------------------------------------------------------------------
def test_conversations_and_messages_are_counted(metrics: Metrics) -> None:
    metrics.track_conversation()
    metrics.track_conversation(status="deleted")
    metrics.track_message(role="user")
    assert value(metrics, "conversations_total", status="created") == 1
    assert value(metrics, "conversations_total", status="deleted") == 1
    assert value(metrics, "messages_total", role="user") == 1


def test_a_label_that_cannot_be_written_is_counted_and_kept_away(metrics: Metrics) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no name")

    role: Any = Broken()
    metrics.track_message(role=role)
    assert value(metrics, "exporter_internal_errors_total", where="count") == 1


def test_build_info_replaces_what_was_said_before(metrics: Metrics) -> None:
    metrics.build_info(app="chat", version="1.0.0")
    metrics.build_info(app="chat", version="1.2.0")
    assert value(metrics, "build_info", app="chat", version="1.2.0", library_version="0.1.0") == 1
    assert metrics.render().count(b"claw_ai_build_info{") == 1


def test_a_library_that_is_not_installed_has_no_version(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    metrics.build_info(app="chat", version="1.0.0")
    assert value(metrics, "build_info", app="chat", version="1.0.0", library_version="unknown") == 1


def test_a_path_to_mount_on_begins_with_a_slash(metrics: Metrics) -> None:
    with pytest.raises(ArgumentError, match="path is 'metrics': it must start with '/'"):
        metrics.mount(None, path="metrics")  # type: ignore[arg-type]  # never looked at


def test_the_default_registry_is_used_where_none_is_given() -> None:
    assert Metrics().registry is REGISTRY


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf"), "cheap"])
def test_a_price_is_a_number_of_dollars(price: Any) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError, match="cache_read is"):
        Price(input=1, output=2, cache_read=price)


def test_kinds_of_tokens_without_a_price_cost_what_they_resemble() -> None:
    tokens = dict.fromkeys(KINDS, 1_000_000.0)
    assert Price(input=1, output=10).cost(tokens) == 1 + 10 + 1 + 1 + 10
    assert Price(1, 10, cache_read=0, cache_write=2, reasoning=3).cost(tokens) == 1 + 10 + 0 + 2 + 3
