"""Answers from models, through the OpenAI client: whole, streamed, or a wish for a tool."""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import openai

from claw_chat.errors import ModelUnavailableError
from claw_chat.logs import log
from claw_chat.models import CHAT_MODELS, Model
from claw_chat.tools import DESCRIPTIONS
from claw_exporter import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from openai.types.chat import ChatCompletionMessageParam as Message

    from claw_exporter import AIResponse


class Part(NamedTuple):
    """A piece of an answer, and the name of the model that wrote it."""

    text: str
    model: str


class ToolWish(NamedTuple):
    """A tool that a model wants to be run, with its arguments as JSON."""

    call_id: str
    name: str
    arguments: str


@contextmanager
def model_call(model: Model) -> Iterator[AIResponse]:
    """Measure one call of ``model``.

    Raises:
        ModelUnavailableError: In place of whatever the OpenAI client raises; counted by its kind.
    """
    with metrics.track_ai_response(model=model.name, provider=model.provider) as response:
        try:
            yield response
        except openai.OpenAIError as error:
            kind = error_type(error)
            response.fail(kind)
            raise ModelUnavailableError(f"{model.name}: {error}", kind) from error
        except ModelUnavailableError as error:
            response.fail(error.error_type)
            raise


class Answers:
    """Asks a model, and its fallback where the model fails before it has said anything.

    Args:
        client: Knows the model server, timeouts and retries.
    """

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client

    async def stream(self, model: Model, messages: list[Message]) -> AsyncGenerator[Part]:
        """Yield the answer to ``messages`` in parts.

        Raises:
            ModelUnavailableError: Neither the model nor its fallback answered, or the answer broke off.
        """
        for candidate, is_last in candidates(model):
            started = False
            try:
                async with aclosing(self._stream_from(candidate, messages)) as texts:
                    async for text in texts:
                        started = True
                        yield Part(text, candidate.name)
            except ModelUnavailableError as error:
                if started or is_last:
                    raise
                _note_fallback(model, error)
            else:
                return

    async def complete(self, model: Model, messages: list[Message]) -> Part:
        """Return the whole answer to ``messages``.

        Raises:
            ModelUnavailableError: Neither the model nor its fallback answered.
        """
        for candidate, is_last in candidates(model):
            try:
                return Part(await self._complete_from(candidate, messages), candidate.name)
            except ModelUnavailableError as error:
                if is_last:
                    raise
                _note_fallback(model, error)
        raise AssertionError("the last candidate returns or raises")

    async def choose_tool(self, model: Model, messages: list[Message]) -> ToolWish | None:
        """Return the tool that ``model`` wants to be run before it answers, if any.

        Raises:
            ModelUnavailableError: The model failed.
        """
        with model_call(model) as response:
            answer = await self._client.chat.completions.create(
                model=model.name, messages=messages, tools=DESCRIPTIONS
            )
            response.report(answer)
        calls = answer.choices[0].message.tool_calls or []
        return next(
            (
                ToolWish(call.id, call.function.name, call.function.arguments)
                for call in calls
                if call.type == "function"
            ),
            None,
        )

    async def _stream_from(self, model: Model, messages: list[Message]) -> AsyncGenerator[str]:
        with model_call(model) as response:
            stream = await self._client.chat.completions.create(
                model=model.name, messages=messages, stream=True, stream_options={"include_usage": True}
            )
            async with stream:
                async for chunk in stream:
                    response.report(chunk)
                    text = chunk.choices[0].delta.content if chunk.choices else None
                    if text:
                        _refuse_error(model, text)
                        response.chunk()
                        yield text

    async def _complete_from(self, model: Model, messages: list[Message]) -> str:
        with model_call(model) as response:
            answer = await self._client.chat.completions.create(model=model.name, messages=messages)
            response.report(answer)
            text = answer.choices[0].message.content or ""
            _refuse_error(model, text)
        return text


def candidates(model: Model) -> list[tuple[Model, bool]]:
    """Return the models to ask in turn, each with whether it is the last."""
    if model.fallback is None:
        return [(model, True)]
    return [(model, False), (CHAT_MODELS[model.fallback], True)]


ERROR_TYPES: Final = (
    (openai.APITimeoutError, "timeout"),
    (openai.APIConnectionError, "connection"),
    (openai.RateLimitError, "rate_limited"),
    (openai.AuthenticationError, "auth"),
    (openai.PermissionDeniedError, "auth"),
    (openai.InternalServerError, "server_error"),
    (openai.APIStatusError, "invalid_request"),
)


def error_type(error: openai.OpenAIError) -> str:
    """Return the kind of ``error``: few enough to be a label, and telling enough to act on."""
    if isinstance(error, openai.APIError) and error.code == "insufficient_quota":
        return "quota_exhausted"  # waiting does not help, unlike with other refusals of status 429
    return next((kind for raised, kind in ERROR_TYPES if isinstance(error, raised)), "other")


def _refuse_error(model: Model, text: str) -> None:
    """Take an error for what it is, though it comes as an answer with status 200, as some gateways do it."""
    if text.startswith("Error:"):
        raise ModelUnavailableError(f"{model.name}: {text[:100]}", "error_answer")


def _note_fallback(model: Model, error: ModelUnavailableError) -> None:
    metrics.track_fallback(from_model=model.name, to_model=str(model.fallback), reason=error.error_type)
    log.warning("asking the fallback model", extra={"error": str(error), "error_type": error.error_type})
