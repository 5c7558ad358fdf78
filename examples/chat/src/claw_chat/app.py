"""The chat app: ``create_app`` puts it together, ``python -m claw_chat.app`` runs it."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from claw_chat import faults, logs
from claw_chat.errors import DatabaseUnavailableError, ModelUnavailableError, QuestionRefusedError
from claw_chat.models import CONTEXT_WINDOWS, DAILY_BUDGET_USD, MONTHLY_BUDGET_USD, PRICE_LIST, PRICES
from claw_chat.routers import chat, conversations, health, models, search, sockets
from claw_chat.services import Services
from claw_chat.settings import Settings, SettingsError
from claw_exporter import MetricsMiddleware, metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

API = "/api/v1"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the app, ready to be served.

    Args:
        settings: What differs from place to place; read from the environment if ``None``.

    Raises:
        SettingsError: The environment does not hold usable settings.
    """
    settings = settings or Settings.from_environment()
    services = Services.from_settings(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        metrics.watch_event_loop()
        await services.open()
        yield
        await services.close()

    app = FastAPI(title="Claw chat", version=version("claw-chat"), lifespan=lifespan)
    app.state.services = services
    trouble = [Depends(faults.meet)] if settings.faults == "on" else []
    if trouble:
        app.include_router(faults.router)
    for router in (conversations.router, chat.router, search.router, models.router):
        app.include_router(router, prefix=API, dependencies=trouble)
    app.include_router(health.router)
    app.include_router(sockets.router)
    app.add_exception_handler(DatabaseUnavailableError, database_unavailable)
    app.add_exception_handler(ModelUnavailableError, model_unavailable)
    app.add_exception_handler(QuestionRefusedError, question_refused)
    app.add_middleware(logs.TraceMiddleware)
    measure(app)
    return app


def measure(app: FastAPI) -> None:
    """Mount the metrics: this is all that an app needs beside the decorators."""
    app.add_middleware(MetricsMiddleware)
    metrics.mount(app)
    metrics.watch_logs()
    metrics.build_info(app="chat", version=app.version)
    metrics.set_prices(PRICES, version=PRICE_LIST)
    metrics.set_context_windows(CONTEXT_WINDOWS)
    metrics.set_budget(DAILY_BUDGET_USD, period="day")
    metrics.set_budget(MONTHLY_BUDGET_USD, period="month")


async def database_unavailable(_: Request, error: Exception) -> JSONResponse:
    """Answer 503: the client may try again, Postgres will be back."""
    logs.log.error("postgres is away", extra={"error": str(error)})
    body = {"error": "database_unavailable", "detail": "The database cannot be reached; try again soon."}
    return JSONResponse(body, status_code=503, headers={"retry-after": "2"})


async def model_unavailable(_: Request, error: Exception) -> JSONResponse:
    """Answer 502: the model server did not do its part."""
    logs.log.error("no model answered", extra={"error": str(error)})
    body = {"error": "model_unavailable", "detail": "No model answered; try again or choose another one."}
    return JSONResponse(body, status_code=502)


async def question_refused(_: Request, __: Exception) -> JSONResponse:
    """Answer 422: the same question will be refused again."""
    body = {"error": "question_refused", "detail": "The assistant does not answer this; ask otherwise."}
    return JSONResponse(body, status_code=422)


def main(environment: Mapping[str, str] = os.environ) -> None:
    """Serve until SIGINT or SIGTERM; exit code 2 where the settings are wrong."""
    try:
        settings = Settings.from_environment(environment)
    except SettingsError as error:
        for mistake in error.mistakes:
            print(f"claw-chat: {mistake}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
        sys.exit(2)
    logs.configure(level=settings.log_level, shape=settings.log_format)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,  # TraceMiddleware writes one line a request, with the trace
        log_config=None,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
