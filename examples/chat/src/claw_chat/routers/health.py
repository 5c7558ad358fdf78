"""Whether the app can do its work."""

from fastapi import APIRouter, Response

from claw_chat.errors import DatabaseUnavailableError
from claw_chat.services import Parts

router = APIRouter(tags=["health"])


@router.get("/health")
async def health(parts: Parts, response: Response) -> dict[str, str]:
    """Answer 200 while the app can serve, 503 while it cannot because Postgres is away.

    Redis being away only makes the app slower (``degraded``).
    The model server is not asked: calls cost money.
    """
    redis = "ok" if await parts.cache.ping() else "unavailable"
    try:
        await parts.database.ping()
    except DatabaseUnavailableError:
        response.status_code = 503
        return {"status": "unavailable", "postgres": "unavailable", "redis": redis}
    return {"status": "ok" if redis == "ok" else "degraded", "postgres": "ok", "redis": redis}
