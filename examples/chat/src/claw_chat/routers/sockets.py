"""Questions and answers through a WebSocket: one JSON object in, the events of the answer out."""

from contextlib import aclosing
from typing import Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from claw_chat.bodies import SocketQuestion
from claw_chat.errors import QuestionRefusedError, UnavailableError
from claw_chat.logs import log
from claw_chat.services import Parts, Services

router = APIRouter()

WRONG_DATA: Final = 1007  # close codes of RFC 6455
TRY_AGAIN_LATER: Final = 1013


@router.websocket("/ws/chat")
async def chat(socket: WebSocket, parts: Parts) -> None:
    """Answer one question after the other until the client leaves.

    A message is ``{"conversation_id": ..., "content": ..., "model": ...}``, the model being optional.
    Anything else closes the socket with 1007, a server that is away with 1013.
    """
    await socket.accept()
    try:
        while True:
            question = SocketQuestion.model_validate_json(await socket.receive_text())
            await _answer(socket, question, parts)
    except WebSocketDisconnect:
        return
    except ValidationError as error:
        await socket.close(WRONG_DATA, reason=error.errors()[0]["msg"][:100])
    except UnavailableError as error:
        log.error("answer through a socket failed", extra={"error": str(error)})
        await socket.close(TRY_AGAIN_LATER, reason="a server that this app needs is away")


async def _answer(socket: WebSocket, question: SocketQuestion, parts: Services) -> None:
    try:
        turn = await parts.dialogue.begin(question.conversation_id, question.content, question.model)
    except QuestionRefusedError:
        await socket.send_json({"type": "error", "error": "the assistant does not answer this"})
        return
    if turn is None:
        await socket.send_json({"type": "error", "error": "no such conversation"})
        return
    async with aclosing(parts.dialogue.stream(turn)) as events:
        async for event in events:
            await socket.send_json(event)
