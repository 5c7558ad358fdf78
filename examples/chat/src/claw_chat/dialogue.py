"""One turn of a conversation: question in, help pages and tools looked at, answer out, both stored."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from claw_chat.errors import ModelUnavailableError, QuestionRefusedError
from claw_chat.guards import is_injection
from claw_chat.logs import log
from claw_chat.models import CHAT_MODELS, Model
from claw_chat.tools import ToolError, Tools
from claw_exporter import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from openai.types.chat import ChatCompletionMessageParam as Message
    from openai.types.chat.chat_completion_message_function_tool_call_param import Function

    from claw_chat.answers import Answers, ToolWish
    from claw_chat.cache import Cache
    from claw_chat.db import Database, Row
    from claw_chat.faults import Faults
    from claw_chat.search import Search

AGENT: Final = "assistant"
REMEMBERED_MESSAGES: Final = 10
QUOTED_PASSAGES: Final = 2
TOOL_HINTS: Final = re.compile(r"\d\s*[-+*/]\s*\d|\b(?:time|date|day) is it\b|\blook up\b", re.IGNORECASE)


class Turn(NamedTuple):
    """A question that has been stored and is about to be answered, with what was said before it."""

    conversation_id: UUID
    model: Model
    question: str
    history: list[Row]


class Dialogue:
    """Answers questions within conversations.

    Args:
        database: Where conversations are kept.
        cache: Where they are cached.
        search: Finds help pages to quote.
        answers: Asks models.
        faults: Make the assistant repeat itself, where that is wanted.
    """

    def __init__(
        self, database: Database, cache: Cache, search: Search, answers: Answers, faults: Faults
    ) -> None:
        self._database = database
        self._cache = cache
        self._search = search
        self._answers = answers
        self._faults = faults
        self._tools = Tools(search.search)

    async def begin(self, conversation_id: UUID, question: str, model: str | None) -> Turn | None:
        """Store ``question``.

        Args:
            conversation_id: Where the question belongs.
            question: What the user wrote.
            model: Who shall answer; the conversation's own model if ``None``.

        Returns:
            What ``stream`` and ``complete`` take; ``None`` if there is no such conversation.

        Raises:
            QuestionRefusedError: A guardrail does not let the question pass.
        """
        if is_injection(question):
            raise QuestionRefusedError
        conversation = await self._database.get_conversation(conversation_id)
        if conversation is None or not await self._store(conversation_id, "user", question):
            return None
        chosen = CHAT_MODELS[model or conversation["model"]]
        return Turn(conversation_id, chosen, question, conversation["messages"])

    @metrics.track_agent_run(AGENT)
    async def stream(self, turn: Turn) -> AsyncGenerator[dict[str, Any]]:
        """Yield the answer's parts as they come, then one event that says how it was stored."""
        texts, model = [], turn.model.name
        messages = await self._prepare(turn)
        with metrics.track_agent_step(AGENT, "response"):
            async with aclosing(self._answers.stream(turn.model, messages)) as parts:
                async for text, model in parts:  # noqa: B007 - the last one's model is stored
                    texts.append(text)
                    yield {"type": "part", "text": text}
        message = await self._store(turn.conversation_id, "assistant", "".join(texts), model)
        yield {"type": "done", "model": model, "message_id": message["id"] if message else None}

    @metrics.track_agent_run(AGENT)
    async def complete(self, turn: Turn) -> Row | None:
        """Return the stored answer; ``None`` if the conversation was deleted meanwhile."""
        messages = await self._prepare(turn)
        with metrics.track_agent_step(AGENT, "response"):
            text, model = await self._answers.complete(turn.model, messages)
        return await self._store(turn.conversation_id, "assistant", text, model)

    async def _prepare(self, turn: Turn) -> list[Message]:
        """Gather what the model needs to know."""
        messages = await self._context(turn.history, turn.question)
        if TOOL_HINTS.search(turn.question):
            messages = await self._use_tool(turn.conversation_id, turn.model, messages)
        return messages

    async def _store(
        self, conversation_id: UUID, role: str, content: str, model: str | None = None
    ) -> Row | None:
        message = await self._database.add_message(conversation_id, role=role, content=content, model=model)
        if message:
            metrics.track_message(role=role)
            await self._cache.delete(f"conversation:{conversation_id}")
        return message

    async def _context(self, history: list[Row], question: str) -> list[Message]:
        system = "You answer questions about running AI applications. Be brief."
        try:
            passages = await self._search.search(question, limit=QUOTED_PASSAGES)
            system += "".join(f"\n{passage['title']}: {passage['body']}" for passage in passages)
        except ModelUnavailableError as error:  # an answer without quotations is better than none
            log.warning("answering without help pages", extra={"error": str(error)})
        told = [
            cast("Message", {"role": row["role"], "content": row["content"]})
            for row in history[-REMEMBERED_MESSAGES:]
            if row["role"] != "tool"
        ]
        return [
            {"role": "system", "content": system},
            *told,
            {"role": "user", "content": question},
        ]

    async def _use_tool(self, conversation_id: UUID, model: Model, messages: list[Message]) -> list[Message]:
        """Think, act, observe: let the model ask for a tool, run it, and add its result to ``messages``."""
        try:
            with metrics.track_agent_step(AGENT, "think"):
                wish = await self._answers.choose_tool(model, messages)
        except ModelUnavailableError as error:  # the fallback model will answer without a tool
            log.warning("answering without a tool", extra={"error": str(error)})
            return messages
        if wish is None:
            return messages
        result = await self._act(wish)
        if repeated := self._faults.wanted.repeated_calls:
            await self._repeat(wish, repeated)
        with metrics.track_agent_step(AGENT, "observe"):
            await self._store(conversation_id, "tool", result, wish.name)
            return [*messages, *_exchange(wish, result)]

    async def _act(self, wish: ToolWish) -> str:
        try:
            with metrics.track_agent_step(AGENT, "act"):
                return await self._tools.run(wish.name, wish.arguments)
        except (ToolError, ModelUnavailableError) as error:
            return f"error: {error}"

    async def _repeat(self, wish: ToolWish, times: int) -> None:
        """Make no progress until a limit ends it."""
        for _ in range(times):
            await self._act(wish)
        metrics.current_agent_run().stopped_at_limit()


def _exchange(wish: ToolWish, result: str) -> list[Message]:
    function: Function = {"name": wish.name, "arguments": wish.arguments}
    return [
        {
            "role": "assistant",
            "tool_calls": [{"id": wish.call_id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": wish.call_id, "content": result},
    ]
