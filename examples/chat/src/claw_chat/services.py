"""What the endpoints work with, made once per app and handed to each of them."""

from dataclasses import dataclass
from typing import Annotated, Self

import openai
from fastapi import Depends
from starlette.requests import HTTPConnection

from claw_chat.answers import Answers
from claw_chat.cache import Cache
from claw_chat.db import Database
from claw_chat.dialogue import Dialogue
from claw_chat.faults import Faults
from claw_chat.models import CHAT_MODELS, EMBEDDING_MODEL, provider_of
from claw_chat.search import Search
from claw_chat.settings import Settings
from claw_exporter import metrics


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the app, from the ones that talk to servers up to the dialogue."""

    database: Database
    cache: Cache
    client: openai.AsyncOpenAI
    search: Search
    dialogue: Dialogue
    faults: Faults
    default_model: str

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Put the parts together; nothing is connected yet."""
        database, cache = Database(settings), Cache(settings)
        client = openai.AsyncOpenAI(
            base_url=settings.model_base_url,
            api_key=settings.model_api_key or "none",
            timeout=settings.model_timeout_seconds,
            max_retries=settings.model_max_retries,
        )
        metrics.watch_provider(client, provider=provider_of, models=[*CHAT_MODELS, EMBEDDING_MODEL.name])
        search = Search(database, cache, client)
        faults = Faults()
        dialogue = Dialogue(database, cache, search, Answers(client), faults)
        return cls(database, cache, client, search, dialogue, faults, settings.default_model)

    async def open(self) -> None:
        """Begin to connect; returns at once, whether the servers are there or not."""
        await self.database.open()
        self.search.open()
        self.faults.open()

    async def close(self) -> None:
        """Close every connection."""
        await self.faults.close()
        await self.search.close()
        await self.client.close()
        await self.cache.close()
        await self.database.close()


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the app that a request or WebSocket belongs to."""
    services: Services = connection.app.state.services
    return services


Parts = Annotated[Services, Depends(services_of)]
