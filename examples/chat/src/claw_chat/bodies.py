"""What requests may hold, and what answers look like."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from claw_chat.models import CHAT_MODELS


def known_model(name: str) -> str:
    """Return ``name`` if it is a model of this app.

    Raises:
        ValueError: It is not; the message lists those that are.
    """
    if name not in CHAT_MODELS:
        raise ValueError(f"no model {name!r}; there are {', '.join(CHAT_MODELS)}")
    return name


ModelName = Annotated[str, AfterValidator(known_model)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Content = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class Body(BaseModel):
    """Base of request bodies: a field that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid")


class NewConversation(Body):
    """Begins a conversation."""

    title: Title
    model: ModelName | None = None


class Question(Body):
    """Asks something within a conversation."""

    content: Content
    model: ModelName | None = None


class SocketQuestion(Question):
    """Asks something through a WebSocket."""

    conversation_id: UUID


class Message(BaseModel):
    """One message of a conversation; ``model`` is who wrote it, or the tool that was run."""

    id: int
    role: str
    content: str
    model: str | None
    created_at: datetime


class Conversation(BaseModel):
    """A conversation without its messages."""

    id: UUID
    title: str
    model: str
    created_at: datetime
    updated_at: datetime


class ConversationWithMessages(Conversation):
    """A conversation with its messages, oldest first."""

    messages: list[Message]


class Passage(BaseModel):
    """A help page; ``score`` is the cosine of the angle to the query, 1 at best."""

    id: str
    title: str
    body: str
    score: float = Field(ge=-1.01, le=1.01)


class ModelInfo(BaseModel):
    """A model that may be asked."""

    name: str
    provider: str
    fallback: str | None
