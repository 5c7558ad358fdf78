"""Vector search over the help pages: vectors from the model server, compared inside Postgres."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from claw_chat.answers import model_call
from claw_chat.errors import UnavailableError
from claw_chat.logs import log
from claw_chat.models import EMBEDDING_MODEL
from claw_exporter import metrics

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from claw_chat.cache import Cache
    from claw_chat.db import Database

    Passage = dict[str, Any]

RETRY_SECONDS: Final = 2.0
NEAREST: Final = """
    SELECT id, title, body, (SELECT sum(a * b) FROM unnest(embedding, $1::real[]) AS pair (a, b)) AS score
    FROM passages
    ORDER BY score DESC NULLS LAST
    LIMIT $2
"""  # vectors have length 1, so the sum of products is the cosine of the angle between them


class Search:
    """Finds the help pages that are nearest to a text.

    Args:
        database: Holds the pages and their vectors.
        cache: Holds the vectors of texts asked before.
        client: Computes vectors.
    """

    def __init__(self, database: Database, cache: Cache, client: AsyncOpenAI) -> None:
        self._database = database
        self._cache = cache
        self._client = client
        self._indexing: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    def open(self) -> None:
        """Store the pages as soon as Postgres and the model server are there."""
        self._indexing = asyncio.create_task(self._index())

    async def close(self) -> None:
        """Stop storing pages."""
        if self._indexing:
            self._indexing.cancel()
            with suppress(asyncio.CancelledError):
                await self._indexing

    @metrics.track_retrieval("help_pages")
    async def search(self, query: str, *, limit: int = 5) -> list[Passage]:
        """Return the ``limit`` pages nearest to ``query`` with their scores, best first.

        Raises:
            DatabaseUnavailableError: Postgres is away.
            ModelUnavailableError: The vector of ``query`` cannot be had.
        """
        vector = await self._vector(query)
        with metrics.track_vector_db("search"):
            async with self._database.connection() as connection:
                return [dict(row) for row in await connection.fetch(NEAREST, vector, limit)]

    async def _vector(self, text: str) -> list[float]:
        key = f"embedding:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        if (cached := await self._cache.get(key)) is not None:
            return [float(value) for value in cached]
        (vector,) = await self._embed([text])
        await self._cache.set(key, vector)
        return vector

    async def _embed(self, texts: list[str]) -> list[list[float]]:
        with model_call(EMBEDDING_MODEL) as response:
            answer = await self._client.embeddings.create(model=EMBEDDING_MODEL.name, input=texts)
            response.report(answer)
        return [entry.embedding for entry in answer.data]

    @metrics.track_task("indexing")
    async def _index(self) -> None:
        await self._database.ready.wait()
        while True:
            try:
                await self._store(await self._missing())
            except (UnavailableError, asyncpg.PostgresError) as error:
                log.warning("waiting to store help pages", extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.ready.set()
                return

    async def _missing(self) -> list[Passage]:
        passages = json.loads(files("claw_chat").joinpath("passages.json").read_text(encoding="utf-8"))
        async with self._database.connection() as connection:
            stored = {row["id"] for row in await connection.fetch("SELECT id FROM passages")}
        return [passage for passage in passages if passage["id"] not in stored]

    async def _store(self, passages: list[Passage]) -> None:
        if not passages:
            return
        vectors = await self._embed([f"{passage['title']}. {passage['body']}" for passage in passages])
        rows = [
            (passage["id"], passage["title"], passage["body"], vector)
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        query = (
            "INSERT INTO passages (id, title, body, embedding) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
        )
        with metrics.track_vector_db("upsert"):
            async with self._database.connection() as connection:
                await connection.executemany(query, rows)
        log.info("help pages stored", extra={"count": len(rows)})
