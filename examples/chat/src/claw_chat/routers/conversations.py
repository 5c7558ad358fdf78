"""Conversations: begin, list, read, delete."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query

from claw_chat.bodies import Conversation, ConversationWithMessages, NewConversation
from claw_chat.services import Parts
from claw_exporter import metrics

router = APIRouter(prefix="/conversations", tags=["conversations"])


@router.post("", status_code=201)
async def create(body: NewConversation, parts: Parts) -> Conversation:
    """Begin a conversation."""
    model = body.model or parts.default_model
    row = await parts.database.create_conversation(title=body.title, model=model)
    metrics.track_conversation(status="created")
    return Conversation(**row)


@router.get("")
async def recent(parts: Parts, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[Conversation]:
    """List the conversations that were active last, newest first."""
    return [Conversation(**row) for row in await parts.database.list_conversations(limit=limit)]


@router.get("/{conversation_id}")
async def read(conversation_id: UUID, parts: Parts) -> ConversationWithMessages:
    """Return a conversation with its messages, from the cache where it is there."""
    key = f"conversation:{conversation_id}"
    if cached := await parts.cache.get(key):
        return ConversationWithMessages(**cached)
    row = await parts.database.get_conversation(conversation_id)
    if row is None:
        raise HTTPException(404, "no such conversation")
    await parts.cache.set(key, row)
    return ConversationWithMessages(**row)


@router.delete("/{conversation_id}", status_code=204)
async def delete(conversation_id: UUID, parts: Parts) -> None:
    """Delete a conversation and its messages."""
    if not await parts.database.delete_conversation(conversation_id):
        raise HTTPException(404, "no such conversation")
    await parts.cache.delete(f"conversation:{conversation_id}")
    metrics.track_conversation(status="deleted")
