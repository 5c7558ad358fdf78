"""The models that may be asked."""

from fastapi import APIRouter

from claw_chat.bodies import ModelInfo
from claw_chat.models import CHAT_MODELS

router = APIRouter(tags=["models"])


@router.get("/models")
async def models() -> list[ModelInfo]:
    """List the models that a conversation or question may name."""
    return [
        ModelInfo(name=model.name, provider=model.provider, fallback=model.fallback)
        for model in CHAT_MODELS.values()
    ]
