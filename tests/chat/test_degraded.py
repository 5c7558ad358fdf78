"""The chat app while a server that it needs is away, and after it came back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
from tests.chat.conftest import eventually, serve

if TYPE_CHECKING:
    from tests.chat.conftest import Chat, Models

    from claw_chat.settings import Settings
    from claw_native.servers import Postgres, Redis

NOBODY = "127.0.0.1:1"  # no server listens on this port


async def drop_tables(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DROP TABLE IF EXISTS messages, conversations, passages")
    finally:
        await connection.close()


def test_without_postgres_requests_get_503_and_afterwards_succeed_again(
    chat: Chat, postgres: Postgres
) -> None:
    conversation = chat.begin()
    postgres.stop()
    with chat.counting() as count:
        response = chat.client.get("/api/v1/conversations")
        assert chat.ask(conversation).status_code == 503
    assert response.status_code == 503
    assert response.json()["error"] == "database_unavailable"
    assert response.headers["retry-after"] == "2"
    operations = "claw_ai_db_operation_duration_seconds_count"
    assert count.of(operations, operation="list_conversations", status="error") == 1
    assert count.of("claw_ai_log_records_total", level="error") >= 2  # one for each request, at the least
    assert chat.client.get("/health").status_code == 503
    assert chat.client.get("/metrics").status_code == 200
    postgres.start()
    eventually(lambda: chat.client.get("/health").status_code == 200)
    assert chat.ask(conversation).status_code == 201


def test_without_redis_everything_works_and_misses_are_counted_as_errors(
    chat: Chat, redis_server: Redis
) -> None:
    conversation = chat.begin()
    redis_server.stop()
    with chat.counting() as count:
        assert chat.client.get(f"/api/v1/conversations/{conversation}").status_code == 200
        assert chat.ask(conversation).status_code == 201
    operations = "claw_ai_redis_operation_duration_seconds_count"
    for operation in ("get", "set", "del"):
        assert count.of(operations, operation=operation, status="error") >= 1
        assert count.of(operations, operation=operation, status="ok") == 0
    health = chat.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    redis_server.start()
    assert chat.client.get("/health").json()["status"] == "ok"


def test_without_the_model_server_answers_are_502_and_the_rest_works(settings: Settings) -> None:
    with serve(replace(settings, model_base_url=f"http://{NOBODY}/v1")) as chat:
        chat.server.wait(chat.app.state.services.database.ready)
        conversation = chat.begin()
        with chat.counting() as count:
            assert chat.ask(conversation).status_code == 502
            assert chat.chat(conversation, "What is 6 * 7?").status_code == 502
        errors = "claw_ai_ai_errors_total"
        for model in ("glm-4", "glm-4-flash"):
            assert count.of(errors, model=model, provider="zhipu", error_type="connection") >= 2
        assert chat.client.get("/api/v1/conversations").status_code == 200
        assert chat.client.get("/health").status_code == 200


def test_the_app_starts_before_postgres_and_makes_its_tables_when_it_comes(
    settings: Settings, postgres: Postgres
) -> None:
    asyncio.run(drop_tables(postgres.dsn))
    postgres.stop()
    with serve(settings) as chat:
        assert chat.client.get("/health").json()["postgres"] == "unavailable"
        assert chat.client.get("/api/v1/conversations").status_code == 503
        postgres.start()
        chat.server.wait(chat.app.state.services.search.ready)
        assert chat.client.get("/health").status_code == 200
        assert chat.begin()


def test_a_pool_with_every_connection_in_use_is_a_503_after_the_timeout(settings: Settings) -> None:
    small = replace(settings, database_pool_max_connections=1, database_timeout_seconds=0.5)
    with serve(small) as chat:
        chat.server.wait(chat.app.state.services.search.ready)
        with chat.borrowed_connection():
            assert chat.client.get("/api/v1/conversations").status_code == 503
            assert chat.samples()['claw_ai_db_pool_connections{pool="primary",state="active"}'] == 1
        assert chat.client.get("/api/v1/conversations").status_code == 200


def test_an_outage_that_the_client_retries_away_shows_in_the_attempts(
    settings: Settings, models: Models
) -> None:
    with serve(replace(settings, model_max_retries=1)) as chat:
        chat.server.wait(chat.app.state.services.search.ready)
        conversation = chat.begin()
        models.behave("glm-4", server_error_ratio=1)
        with chat.counting() as count:
            assert chat.ask(conversation).status_code == 201
    attempts = "claw_ai_ai_attempts_total"
    assert count.of(attempts, model="glm-4", provider="zhipu", outcome="server_error") == 2
    assert count.of("claw_ai_ai_retries_total", model="glm-4", provider="zhipu") == 1
    assert count.of(attempts, model="glm-4-flash", provider="zhipu", outcome="ok") == 1
    assert count.of(attempts, model="embedding-3", provider="zhipu", outcome="ok") >= 1
