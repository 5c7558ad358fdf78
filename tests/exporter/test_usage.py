"""Usage and finish reasons of what the SDKs hand out: their own classes, made from what providers send."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from claw_exporter.catalog import FINISH_REASONS, TOKEN_TYPES
from claw_exporter.usage import finish_reason, read

CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": None}}
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 10},
    },
}
CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
    "usage": None,
}
LAST_CHUNK = {**CHUNK, "choices": [], "usage": CHAT["usage"]}
RESPONSE = {
    "id": "r",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5",
    "status": "completed",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [],
    "usage": {
        "input_tokens": 100,
        "output_tokens": 30,
        "total_tokens": 130,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
        "output_tokens_details": {"reasoning_tokens": 10},
    },
}
MESSAGE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [],
    "stop_reason": "max_tokens",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 35,
        "output_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 10},
    },
}
MESSAGE_DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "tool_use", "stop_sequence": None},
    "usage": {"output_tokens": 30},
}
ALL = {"input": 35, "output": 20, "cache_read": 60, "cache_write": 5, "reasoning": 10}
PLAIN = dict.fromkeys(TOKEN_TYPES, 0)


def both(kind: Any, sent: object) -> list[Any]:  # noqa: ANN401  # a class or a union of them
    """What was sent as JSON, and as the SDK makes an object of it."""
    return [sent, TypeAdapter(kind).validate_python(sent)]


@pytest.mark.parametrize("answer", both(ChatCompletion, CHAT))
def test_a_chat_completion_counts_cached_and_reasoning_tokens_twice(answer: object) -> None:
    assert read(answer) == (ALL, "tool_calls")


@pytest.mark.parametrize("chunk", both(ChatCompletionChunk, CHUNK))
def test_most_chunks_say_nothing(chunk: object) -> None:
    assert read(chunk) == ({}, None)


@pytest.mark.parametrize("chunk", both(ChatCompletionChunk, LAST_CHUNK))
def test_the_last_chunk_has_the_usage(chunk: object) -> None:
    assert read(chunk) == (ALL, None)


@pytest.mark.parametrize("answer", both(Response, RESPONSE))
def test_a_response_counts_cached_and_reasoning_tokens_twice(answer: object) -> None:
    assert read(answer) == (ALL, "stop")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "failed"}, "other"),
        ({"status": "in_progress"}, None),
        (
            {"output": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}]},
            "tool_calls",
        ),
        (
            {
                "output": [
                    {
                        "type": "message",
                        "id": "o",
                        "role": "assistant",
                        "status": "completed",
                        "content": [{"type": "refusal", "refusal": "no"}],
                    }
                ]
            },
            "refusal",
        ),
    ],
)
def test_a_response_says_why_it_ended_in_many_places(changes: dict[str, Any], reason: str | None) -> None:
    for answer in both(Response, {**RESPONSE, **changes}):
        assert read(answer).reason == reason


@pytest.mark.parametrize(
    "event",
    both(ResponseStreamEvent, {"type": "response.completed", "sequence_number": 9, "response": RESPONSE}),
)
def test_the_last_event_of_a_response_carries_all_of_it(event: object) -> None:
    assert read(event) == (ALL, "stop")


@pytest.mark.parametrize(
    "event",
    both(
        ResponseStreamEvent,
        {
            "type": "response.output_text.delta",
            "sequence_number": 2,
            "item_id": "o",
            "output_index": 0,
            "content_index": 0,
            "delta": "a",
            "logprobs": [],
        },
    ),
)
def test_an_event_with_text_says_nothing(event: object) -> None:
    assert read(event) == ({}, None)


@pytest.mark.parametrize("answer", both(Message, MESSAGE))
def test_a_message_counts_cached_tokens_apart(answer: object) -> None:
    assert read(answer) == (ALL, "length")


@pytest.mark.parametrize(
    "event",
    both(
        RawMessageStreamEvent,
        {
            "type": "message_start",
            "message": {**MESSAGE, "stop_reason": None, "usage": {"input_tokens": 35, "output_tokens": 1}},
        },
    ),
)
def test_a_stream_of_messages_begins_with_its_input(event: object) -> None:
    assert read(event) == ({"input": 35, "output": 1}, None)


@pytest.mark.parametrize("event", both(RawMessageStreamEvent, MESSAGE_DELTA))
def test_a_stream_of_messages_ends_with_its_output(event: object) -> None:
    assert read(event) == ({"output": 30}, "tool_calls")


def test_thinking_is_part_of_the_output_only_where_that_is_said() -> None:
    assert read({"usage": {"output_tokens_details": {"thinking_tokens": 3}}}).tokens == {}


GEMINI = {
    "candidates": [{"finishReason": "MAX_TOKENS"}],
    "usageMetadata": {
        "promptTokenCount": 90,
        "toolUsePromptTokenCount": 10,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 10,
    },
}


def test_gemini_counts_thoughts_apart_and_cached_tokens_twice() -> None:
    tokens = {**ALL, "input": 40, "cache_write": 0}
    assert read(GEMINI) == (tokens, "length")
    reason = Enum("FinishReason", {"SAFETY": "SAFETY"}).SAFETY  # type: ignore[attr-defined]  # an enum made here
    usage = SimpleNamespace(
        prompt_token_count=100,
        tool_use_prompt_token_count=None,
        cached_content_token_count=60,
        candidates_token_count=20,
        thoughts_token_count=10,
    )
    answer = SimpleNamespace(candidates=[SimpleNamespace(finish_reason=reason)], usage_metadata=usage)
    assert read(answer) == (tokens, "content_filter")
    assert read({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}) == ({}, "content_filter")


def test_deepseek_has_a_name_of_its_own_for_cached_tokens() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}
    assert read({"usage": usage}).tokens == {**PLAIN, "input": 6, "cache_read": 4, "output": 2}


def test_reasoning_beside_the_completion_is_not_taken_from_it() -> None:
    usage: dict[str, Any] = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "total_tokens": 20,
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    assert read({"usage": usage}).tokens == {**PLAIN, "input": 10, "output": 2, "reasoning": 8}


def test_parts_are_never_more_than_the_whole() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 9}}
    assert read({"usage": usage}).tokens == {**PLAIN, "cache_read": 9}


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "other"),
        ("model_context_window_exceeded", "length"),
        ("function_call", "tool_calls"),
        ("sensitive", "content_filter"),
        ("network_error", "other"),
        ("FinishReason.RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "other"),
        ("refusal", "refusal"),
        ("FINISH_REASON_UNSPECIFIED", None),
        (None, None),
        ("", None),
        (7, "other"),
    ],
)
def test_finish_reasons_are_translated(reason: object, ours: str | None) -> None:
    assert finish_reason(reason) == ours
    assert ours is None or ours in FINISH_REASONS
