"""The model server: what a chat app uses of the OpenAI interface, and a way to change behaviour."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import struct
import time
from dataclasses import asdict
from json import JSONDecodeError
from random import Random
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from claw_chat.model_server import text
from claw_chat.model_server.answers import Answer, BrokenStreamError
from claw_chat.model_server.behaviour import TABLE, Behaviour, BehaviourError, Behaviours
from claw_chat.model_server.requests import Completion, InvalidRequestError, inputs_of, model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


def create_app(*, seed: int = 1, table: Mapping[str, Behaviour] = TABLE) -> Starlette:
    """Return the server as an ASGI application.

    Args:
        seed: The n-th request to a model has the same outcome in every run with the same seed.
        table: The models to serve and how each behaves at first.
    """
    server = ModelServer(seed=seed, behaviours=Behaviours(table))
    return Starlette(
        routes=[
            Route("/healthz", server.healthz),
            Route("/v1/models", server.models),
            Route("/v1/chat/completions", server.complete, methods=["POST"]),
            Route("/v1/embeddings", server.embed, methods=["POST"]),
            Route("/admin/behaviour", server.show_all),
            Route("/admin/behaviour/{model}", server.show),
            Route("/admin/behaviour/{model}", server.change, methods=["PUT"]),
        ]
    )


class ModelServer:
    """Answers requests as the behaviours say.

    Args:
        seed: Start of all randomness.
        behaviours: What each model does.
        clock: Seconds since the epoch; decides when a rate limit's minute ends.
    """

    def __init__(self, *, seed: int, behaviours: Behaviours, clock: Callable[[], float] = time.time) -> None:
        self._seed = seed
        self._behaviours = behaviours
        self._clock = clock
        self._numbers = {model: itertools.count(1) for model in behaviours.names()}
        self._minutes: dict[str, tuple[int, int]] = {}

    async def healthz(self, _: Request) -> Response:
        """GET /healthz: this program runs, whatever its models do."""
        return JSONResponse({"status": "ok"})

    async def models(self, _: Request) -> Response:
        """GET /v1/models."""
        names = self._behaviours.names()
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "claw"} for name in names]
        return JSONResponse({"object": "list", "data": data})

    async def complete(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        return await self._answer(request, self._completion)

    async def embed(self, request: Request) -> Response:
        """POST /v1/embeddings."""
        return await self._answer(request, self._embeddings)

    async def _answer(self, request: Request, answer: Callable[..., Any]) -> Response:
        try:
            body = await _json_object(request)
            model = model_of(body)
            behaviour = self._behaviours.get(model)
            if behaviour is None:
                return _error(404, f"the model {model!r} does not exist", "model_not_found")
            number = next(self._numbers[model])
            random = Random(f"{self._seed}/{model}/{number}")  # noqa: S311 - no secret depends on it
            count = self._count(model)
            refusal = _refusal(behaviour, random, over_limit=count > behaviour.requests_per_minute)
            response: Response = refusal or await answer(body, behaviour, random, number)
        except InvalidRequestError as error:
            return _error(400, str(error), "invalid_request")
        for name, value in self._limit_headers(behaviour, count).items():
            response.headers.setdefault(name, value)
        return response

    def _count(self, model: str) -> int:
        """Count a request; return how many the current clock minute has seen."""
        minute = int(self._clock() // 60)
        last, count = self._minutes.get(model, (minute, 0))
        count = count + 1 if last == minute else 1
        self._minutes[model] = (minute, count)
        return count

    def _limit_headers(self, behaviour: Behaviour, count: int) -> dict[str, str]:
        limit = behaviour.requests_per_minute
        return {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(max(0, limit - count)),
            "x-ratelimit-reset-requests": f"{60 - self._clock() % 60:.0f}s",
        }

    async def _completion(
        self, body: dict[str, Any], behaviour: Behaviour, random: Random, number: int
    ) -> Response:
        answer = Answer(Completion.from_json(body), behaviour, random, number)
        if answer.request.stream:
            return ModelStream(answer.stream(), media_type="text/event-stream")
        return JSONResponse(await answer.whole())

    async def _embeddings(
        self, body: dict[str, Any], behaviour: Behaviour, random: Random, _: int
    ) -> Response:
        texts = inputs_of(body)
        if random.random() < behaviour.stall_ratio:
            await asyncio.sleep(behaviour.stall_seconds)
        await asyncio.sleep(behaviour.first_token_seconds)
        encode = _as_base64 if body.get("encoding_format") == "base64" else list
        vectors = [encode(text.embed(entry)) for entry in texts]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        tokens = sum(text.count_tokens(entry) for entry in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "model": body["model"], "data": data, "usage": usage})

    async def show_all(self, _: Request) -> Response:
        """GET /admin/behaviour."""
        return JSONResponse(self._behaviours.as_json())

    async def show(self, request: Request) -> Response:
        """GET /admin/behaviour/{model}."""
        model = request.path_params["model"]
        behaviour = self._behaviours.get(model)
        return JSONResponse(asdict(behaviour)) if behaviour else self._unknown(model)

    async def change(self, request: Request) -> Response:
        """PUT /admin/behaviour/{model}: absent fields return to the table, so ``{}`` mends a model."""
        model = request.path_params["model"]
        if self._behaviours.get(model) is None:
            return self._unknown(model)
        try:
            behaviour = self._behaviours.change(model, json.loads(await request.body()))
        except JSONDecodeError as error:
            return JSONResponse({"errors": [f"the body is not JSON: {error}"]}, status_code=422)
        except BehaviourError as error:
            return JSONResponse({"errors": error.mistakes}, status_code=422)
        return JSONResponse(asdict(behaviour))

    def _unknown(self, model: str) -> Response:
        known = ", ".join(self._behaviours.names())
        return JSONResponse({"errors": [f"no model {model!r}; there are {known}"]}, status_code=404)


class ModelStream(StreamingResponse):
    """A stream that can break off: the connection closes without the end of the response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts; on a wanted break return early, so that the server cuts the connection."""
        try:
            await super().__call__(scope, receive, send)
        except BrokenStreamError:
            return
        except BaseExceptionGroup as group:
            if group.subgroup(BrokenStreamError) is None:
                raise


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return body


def _refusal(behaviour: Behaviour, random: Random, *, over_limit: bool) -> Response | None:
    draw = random.random()
    if over_limit or draw < behaviour.rate_limited_ratio:
        response = _error(429, "too many requests; wait as retry-after says", "rate_limit_exceeded")
        response.headers["retry-after"] = f"{behaviour.retry_after_seconds:g}"
        response.headers["x-ratelimit-remaining-requests"] = "0"
        return response
    draw -= behaviour.rate_limited_ratio
    if draw < behaviour.server_error_ratio:
        return _error(500, "the model failed", "internal_error")
    draw -= behaviour.server_error_ratio
    if draw < behaviour.quota_exhausted_ratio:
        return _error(429, "you exceeded your quota; check your plan and billing", "insufficient_quota")
    if draw < behaviour.quota_exhausted_ratio + behaviour.credentials_rejected_ratio:
        return _error(401, "the key is not valid", "invalid_api_key")
    return None


def _error(status: int, message: str, code: str) -> JSONResponse:
    body = {"message": message, "type": code, "code": code, "param": None}
    return JSONResponse({"error": body}, status_code=status)


def _as_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
