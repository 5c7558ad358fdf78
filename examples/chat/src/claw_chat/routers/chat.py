"""Questions and answers: whole, or streamed as server-sent events."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from claw_chat.bodies import Message, Question
from claw_chat.dialogue import Turn
from claw_chat.errors import UnavailableError
from claw_chat.logs import log
from claw_chat.services import Parts

router = APIRouter(prefix="/conversations/{conversation_id}", tags=["chat"])


@router.post("/messages", status_code=201)
async def ask(conversation_id: UUID, body: Question, parts: Parts) -> Message:
    """Store a question and return the whole answer."""
    turn = await _begin(conversation_id, body, parts)
    row = await parts.dialogue.complete(turn)
    if row is None:
        raise HTTPException(404, "the conversation was deleted before the answer came")
    return Message(**row)


@router.post("/chat")
async def chat(conversation_id: UUID, body: Question, parts: Parts) -> StreamingResponse:
    """Store a question and stream the answer.

    The response begins with the first part, so that an error before it has a status of its own; one after it
    comes as an event of type ``error``.
    """
    events = parts.dialogue.stream(await _begin(conversation_id, body, parts))
    first = await anext(events)
    return StreamingResponse(_lines(first, events), media_type="text/event-stream")


async def _begin(conversation_id: UUID, body: Question, parts: Parts) -> Turn:
    turn = await parts.dialogue.begin(conversation_id, body.content, body.model)
    if turn is None:
        raise HTTPException(404, "no such conversation")
    return turn


async def _lines(first: dict[str, Any], rest: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[bytes]:
    try:
        yield _line(first)
        async with aclosing(rest):
            async for event in rest:
                yield _line(event)
    except UnavailableError as error:
        log.error("answer broke off", extra={"error": str(error)})
        yield _line({"type": "error", "error": "the answer broke off"})


def _line(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
