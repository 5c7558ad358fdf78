"""Turns a request into an answer in the OpenAI shapes: whole, in parts, or a tool call."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

from claw_chat.model_server import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from random import Random

    from claw_chat.model_server.behaviour import Behaviour
    from claw_chat.model_server.requests import Completion

TOKENS_PER_PART: Final = 3
DONE: Final = b"data: [DONE]\n\n"


class BrokenStreamError(Exception):
    """This stream shall end without its end."""


class Answer:
    """One answer of one model.

    Args:
        request: What was asked.
        behaviour: How the model behaves.
        random: Source of every choice, seeded for this request alone.
        number: Which request to this model it is.
    """

    def __init__(self, request: Completion, behaviour: Behaviour, random: Random, number: int) -> None:
        self.request = request
        self.behaviour = behaviour
        self.random = random
        self.number = number
        self.call = request.wanted_call()
        self.content = "" if self.call else self._compose()

    def _compose(self) -> str:
        if self._happens(self.behaviour.error_text_ratio):
            return "Error: the model is overloaded, try again later"
        question = self.request.question()
        used_tool = self.request.messages[-1].get("role") == "tool"
        opening = f"The tool says {question}." if used_tool else f"You asked: {question[:60]}."
        tokens = round(self.behaviour.output_tokens * self._jitter())
        return text.compose(self.random, opening=opening, tokens=tokens)

    def _jitter(self) -> float:
        return 1 + self.behaviour.jitter_ratio * self.random.uniform(-1, 1)

    async def whole(self) -> dict[str, Any]:
        """Wait as long as the model needs, then return the answer in one piece."""
        if self._happens(self.behaviour.stall_ratio):
            await asyncio.sleep(self.behaviour.stall_seconds)
        output = text.count_tokens(self.content) * self.behaviour.token_seconds
        await asyncio.sleep(self.behaviour.first_token_seconds * self._jitter() + output)
        message = {"role": "assistant", "content": self.content or None, **self._tool_calls()}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if self.call else "stop"}
        return {**self._envelope("chat.completion"), "choices": [choice], **self._usage()}

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the answer in parts as server-sent events.

        Raises:
            BrokenStreamError: In the middle, when the behaviour wants a broken stream.
        """
        pieces = text.parts(self.content, TOKENS_PER_PART)
        stalls, breaks = self._happens(self.behaviour.stall_ratio), self._happens(self.behaviour.broken_ratio)
        await asyncio.sleep(self.behaviour.first_token_seconds * self._jitter())
        yield self._event({"role": "assistant", "content": ""})
        for index, piece in enumerate(pieces):
            if index == len(pieces) // 2 and breaks:
                raise BrokenStreamError
            if index == len(pieces) // 2 and stalls:
                await asyncio.sleep(self.behaviour.stall_seconds)
            yield self._event({"content": piece})
            await asyncio.sleep(TOKENS_PER_PART * self.behaviour.token_seconds * self._jitter())
        if self.call:
            yield self._event({"tool_calls": [{"index": 0, **self._tool_calls()["tool_calls"][0]}]})
        yield self._event({}, finish_reason="tool_calls" if self.call else "stop")
        if self.request.include_usage and (usage := self._usage()):
            yield _event({**self._envelope("chat.completion.chunk"), "choices": [], **usage})
        yield DONE

    def _happens(self, ratio: float) -> bool:
        return self.random.random() < ratio

    def _envelope(self, kind: str) -> dict[str, Any]:
        name = f"chatcmpl-{self.number:08d}"
        return {"id": name, "object": kind, "created": int(time.time()), "model": self.request.model}

    def _event(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**self._envelope("chat.completion.chunk"), "choices": [choice]})

    def _tool_calls(self) -> dict[str, Any]:
        if not self.call:
            return {}
        name, arguments = self.call
        function = {"name": name, "arguments": arguments}
        return {"tool_calls": [{"id": f"call_{self.number:08d}", "type": "function", "function": function}]}

    def _usage(self) -> dict[str, Any]:
        if self._happens(self.behaviour.usage_missing_ratio):
            return {}
        spoken = " ".join(str(message.get("content") or "") for message in self.request.messages)
        given = text.count_tokens(spoken)
        cached = int(given * self.behaviour.cached_ratio)
        written = min(int(given * self.behaviour.cache_write_ratio), given - cached)
        said = text.count_tokens(" ".join([self.content, *(self.call or ())]))
        reasoned = self.behaviour.reasoning_tokens
        usage = {
            "prompt_tokens": given,
            "completion_tokens": said + reasoned,
            "total_tokens": given + said + reasoned,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoned},
        }
        return {"usage": usage}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
