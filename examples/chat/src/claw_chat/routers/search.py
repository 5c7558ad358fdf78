"""Search in the help pages."""

from typing import Annotated

from fastapi import APIRouter, Query

from claw_chat.bodies import Passage
from claw_chat.services import Parts

router = APIRouter(tags=["search"])


@router.get("/search")
async def search(
    parts: Parts,
    q: Annotated[str, Query(min_length=1, max_length=500)],
    limit: Annotated[int, Query(ge=1, le=20)] = 5,
) -> list[Passage]:
    """Return the help pages nearest to ``q``, best first."""
    return [Passage(**row) for row in await parts.search.search(q, limit=limit)]
