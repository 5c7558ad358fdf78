"""Reads token usage and finish reason from what the SDKs of AI providers hand out, objects or their JSON.

Nothing is imported for it: a shape is known by the names of its parts. The providers count differently, and
our types of tokens are disjoint:

- OpenAI (Chat Completions, Responses) and Gemini: prompt tokens contain those that a cache served (and those
  written to it), OpenAI's output tokens contain those of reasoning, Gemini's do not.
- Anthropic: input tokens contain neither kind of cached ones; output tokens contain those of thinking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reading", "finish_reason", "read"]

# Why a model stopped -> one of catalog.FINISH_REASONS; what is not here is "other".
_REASONS: Final[dict[str, str]] = {
    reason: ours
    for ours, reasons in {
        # OpenAI, Zhipu, DeepSeek and others; Responses; Anthropic; Gemini, Cohere
        "stop": "stop completed end_turn stop_sequence complete eos",
        "length": "length max_tokens max_output_tokens model_context_window_exceeded model_length",
        "tool_calls": "tool_calls function_call tool_use tool_call",
        "content_filter": (
            "content_filter sensitive content_filtered guardrail_intervened safety recitation blocklist "
            "prohibited_content spii image_safety image_prohibited_content image_recitation"
        ),
        "refusal": "refusal",
    }.items()
    for reason in reasons.split()
}
_UNFINISHED: Final = frozenset(("", "none", "null", "in_progress", "queued", "finish_reason_unspecified"))


class Reading(NamedTuple):
    """What an answer, or a part of a streamed one, says about itself.

    Attributes:
        tokens: Type of tokens -> number; only what is said, the types of `catalog.TOKEN_TYPES`.
        reason: Why the model stopped, one of `catalog.FINISH_REASONS`; None where that is not said.
    """

    tokens: Mapping[str, float]
    reason: str | None


_NOTHING: Final = Reading({}, None)


def finish_reason(reason: object) -> str | None:
    """Translate a provider's finish reason; None for what says that the model has not finished."""
    said = str(getattr(reason, "value", reason)).rsplit(".", 1)[-1].lower()
    return None if said in _UNFINISHED else _REASONS.get(said, "other")


def read(answer: object) -> Reading:
    """Return what an answer, a chunk or a stream event says.

    Raises:
        Exception: Whatever an object raises that only looks like an answer.
    """
    for part in ("response", "message"):  # stream events of Responses and of Anthropic carry a whole one
        inner = _get(answer, part)
        if inner is not None and _get(inner, "usage") is not None:
            answer = inner
    usage, metadata = _get(answer, "usage"), _get(answer, "usage_metadata", "usageMetadata")
    tokens: Mapping[str, float] = {}
    if _get(usage, "prompt_tokens") is not None:
        tokens = _chat_tokens(usage)
    elif usage is not None:
        tokens = _message_tokens(usage)
    elif metadata is not None:
        tokens = _gemini_tokens(metadata)
    return Reading(tokens, _reason(answer)) if tokens else _NOTHING._replace(reason=_reason(answer))


def _get(thing: object, *names: str) -> Any:  # noqa: ANN401  # anything
    """Return the first of these keys or attributes that is there and not None."""
    for name in names:
        value = thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
        if value is not None:
            return value
    return None


def _number(thing: object, *names: str) -> float:
    return float(_get(thing, *names) or 0)


def _chat_tokens(usage: object) -> Mapping[str, float]:
    """Read the usage of a chat completion."""
    prompt, completion = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
    details = _get(usage, "prompt_tokens_details")
    cached = _number(details, "cached_tokens") or _number(usage, "prompt_cache_hit_tokens")  # DeepSeek's name
    written = _number(details, "cache_write_tokens")
    reasoning = _number(_get(usage, "completion_tokens_details"), "reasoning_tokens")
    # xAI speaks OpenAI's language, but counts reasoning beside the completion: then only so the sum is right.
    apart = reasoning > 0 and _number(usage, "total_tokens") == prompt + completion + reasoning
    return _disjoint(
        prompt, completion + reasoning * apart, cached=cached, written=written, reasoning=reasoning
    )


def _message_tokens(usage: object) -> Mapping[str, float]:
    """Read the usage of Anthropic's messages and of OpenAI's Responses, whose names are the same."""
    tokens: dict[str, float] = {}
    details = _get(usage, "input_tokens_details")
    if details is not None:  # Responses
        cached, written = _number(details, "cached_tokens"), _number(details, "cache_write_tokens")
        reasoning = _number(_get(usage, "output_tokens_details"), "reasoning_tokens")
        whole = _number(usage, "input_tokens"), _number(usage, "output_tokens")
        return _disjoint(*whole, cached=cached, written=written, reasoning=reasoning)
    names = {
        "input": "input_tokens",
        "output": "output_tokens",
        "cache_read": "cache_read_input_tokens",
        "cache_write": "cache_creation_input_tokens",
    }
    for kind, name in names.items():
        if _get(usage, name) is not None:  # an event at the end of a stream says only what is new
            tokens[kind] = _number(usage, name)
    thinking = _number(_get(usage, "output_tokens_details"), "thinking_tokens", "reasoning_tokens")
    if thinking and "output" in tokens:
        tokens["output"], tokens["reasoning"] = max(tokens["output"] - thinking, 0.0), thinking
    return tokens


def _gemini_tokens(usage: object) -> Mapping[str, float]:
    prompt = _number(usage, "prompt_token_count", "promptTokenCount")
    tools = _number(usage, "tool_use_prompt_token_count", "toolUsePromptTokenCount")
    thoughts = _number(usage, "thoughts_token_count", "thoughtsTokenCount")
    answer = _number(usage, "candidates_token_count", "candidatesTokenCount")
    cached = _number(usage, "cached_content_token_count", "cachedContentTokenCount")
    return _disjoint(prompt + tools, answer + thoughts, cached=cached, written=0.0, reasoning=thoughts)


def _disjoint(
    prompt: float, output: float, *, cached: float, written: float, reasoning: float
) -> Mapping[str, float]:
    return {
        "input": max(prompt - cached - written, 0.0),
        "output": max(output - reasoning, 0.0),
        "cache_read": cached,
        "cache_write": written,
        "reasoning": reasoning,
    }


def _reason(answer: object) -> str | None:
    """Return why the model stopped, from wherever it may be said."""
    for choice in _list(_get(answer, "choices", "candidates")):
        reason = _get(choice, "finish_reason", "finishReason")
        if reason is not None:
            return finish_reason(reason)
    said = _get(answer, "stop_reason")
    if said is None:
        said = _get(_get(answer, "delta"), "stop_reason")
    if said is None:
        said = _get(_get(answer, "prompt_feedback", "promptFeedback"), "block_reason", "blockReason")
    if said is None and _get(answer, "object") == "response":
        return _response_reason(answer)
    return None if said is None else finish_reason(said)


def _response_reason(response: object) -> str | None:
    """Return why a Response of OpenAI ended: its status says little, what it holds says more."""
    incomplete = _get(_get(response, "incomplete_details"), "reason")
    if incomplete is not None:
        return finish_reason(incomplete)
    output = _list(_get(response, "output"))
    if any(_get(item, "type") == "function_call" for item in output):
        return "tool_calls"
    parts = [part for item in output for part in _list(_get(item, "content"))]
    if any(_get(part, "type") == "refusal" for part in parts):
        return "refusal"
    return finish_reason(_get(response, "status"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
