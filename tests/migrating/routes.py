"""The routes of the applications that move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

router = APIRouter()


@router.get("/users/{user_id}")
async def user(user_id: int) -> dict[str, int]:
    return {"id": user_id}


@router.get("/boom")
async def boom() -> float:
    return 1 / 0


@router.get("/stream", response_class=StreamingResponse)
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 100

    return StreamingResponse(parts())


@router.get("/healthz")
async def healthz() -> str:
    return "ok"
