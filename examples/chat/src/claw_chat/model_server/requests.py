"""What clients may ask: request bodies, read strictly enough that a mistake gets a clear answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class InvalidRequestError(ValueError):
    """A body that is not what the OpenAI interface expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A request to ``/v1/chat/completions``, as far as this server cares.

    Attributes:
        model: Who shall answer.
        messages: Role and content of each message, oldest first.
        stream: Whether the answer is wanted in parts.
        include_usage: Whether the last part of a stream shall report the token usage.
        tools: Names of the functions that the model may ask for.
    """

    model: str
    messages: list[dict[str, Any]]
    stream: bool
    include_usage: bool
    tools: frozenset[str]

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Completion:
        """Return the request in ``body``.

        Raises:
            InvalidRequestError: A field has the wrong shape.
        """
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise InvalidRequestError("'messages' must be a non-empty list of {role, content}")
        if not all(isinstance(message, dict) for message in messages):
            raise InvalidRequestError("every entry of 'messages' must be an object")
        options = body.get("stream_options")
        return cls(
            model=model_of(body),
            messages=messages,
            stream=body.get("stream") is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            tools=_tool_names(body.get("tools")),
        )

    def question(self) -> str:
        """Return the content of the last message."""
        return content_of(self.messages[-1])

    def wanted_call(self) -> tuple[str, str] | None:
        """Return name and JSON arguments of the tool that the question calls for, if it was offered."""
        if self.messages[-1].get("role") != "user":
            return None
        question = self.question()
        for name, pattern, arguments in TRIGGERS:
            if name in self.tools and (found := pattern.search(question)):
                return name, json.dumps(arguments(found))
        return None


def content_of(message: dict[str, Any]) -> str:
    """Return the text of a message; empty where it has none."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def model_of(body: dict[str, Any]) -> str:
    """Return the name in the field ``model``.

    Raises:
        InvalidRequestError: There is none.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("'model' must be the name of a model")
    return model


def inputs_of(body: dict[str, Any]) -> list[str]:
    """Return the texts to embed.

    Raises:
        InvalidRequestError: ``input`` is neither a text nor a list of texts.
    """
    texts = body.get("input")
    found = [texts] if isinstance(texts, str) else texts
    if not isinstance(found, list) or not found or not all(isinstance(text, str) for text in found):
        raise InvalidRequestError("'input' must be a text or a non-empty list of texts")
    return found


def _tool_names(tools: object) -> frozenset[str]:
    entries = tools if isinstance(tools, list) else []
    functions = [entry.get("function") for entry in entries if isinstance(entry, dict)]
    return frozenset(str(function.get("name")) for function in functions if isinstance(function, dict))


# Tool, what in a question calls for it, and its arguments.
TRIGGERS: Final[tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], dict[str, str]]], ...]] = (
    (
        "calculator",
        re.compile(r"\d+(?:\.\d+)?(?:\s*[-+*/]\s*\d+(?:\.\d+)?)+"),
        lambda found: {"expression": found.group()},
    ),
    ("clock", re.compile(r"\b(?:time|date|day) is it\b", re.IGNORECASE), lambda _: {}),
    (
        "search_help",
        re.compile(r"\blook up (.+)", re.IGNORECASE),
        lambda found: {"query": found.group(1).rstrip("?. ")},
    ),
)
