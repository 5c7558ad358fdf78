"""HTTP attempts of the `anthropic` client against a real server that answers as Anthropic documents it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from tests.chat.conftest import Server

from claw_exporter.catalog import AI_ATTEMPTS, AI_RATELIMIT_REMAINING, AI_RETRIES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

    from claw_exporter import Metrics

MODEL = "claude-of-the-tests"  # one that the SDK does not warn of
ASK: Any = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "Why is it slow?"}]}
LIMITS = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-input-tokens-limit": "80000",
    "anthropic-ratelimit-input-tokens-remaining": "8000",
    "anthropic-ratelimit-output-tokens-limit": "16000",
    "anthropic-ratelimit-output-tokens-remaining": "4000",
}
AT_ONCE = {"retry-after-ms": "1"}
USAGE = {"input_tokens": 35, "output_tokens": 30, "cache_read_input_tokens": 60}
AT_FIRST = {**USAGE, "output_tokens": 1}
TOKENS = {"input": 35, "output": 30, "cache_read": 60}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": "It waits."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}


def error(kind: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def refusal(status: int, kind: str, message: str = "no", **headers: str) -> dict[str, Any]:
    return {"status": status, "body": error(kind, message), "headers": headers}


GOOD = {"status": 200, "body": MESSAGE, "headers": LIMITS}
RATE_LIMITED = refusal(
    429,
    "rate_limit_error",
    **{**LIMITS, **AT_ONCE, "anthropic-ratelimit-requests-remaining": "0"},
)
OVERLOADED = refusal(529, "overloaded_error", **AT_ONCE)
BEGINNING: list[Any] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": AT_FIRST}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "event: error"}},
]  # fmt: skip
END: list[Any] = [
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 30}},
    {"type": "message_stop"},
]  # fmt: skip
STREAM = {"events": [*BEGINNING, *END]}
BREAKS = {"events": [*BEGINNING, "break"]}
STALLS = {"events": [*BEGINNING, "stall"]}
OVERLOADED_LATER = {"events": [*BEGINNING, error("overloaded_error")]}
RATE_LIMITED_LATER = {"events": [error("rate_limit_error")]}


class Provider:
    """Answers POST /v1/messages as planned, in this order; the last plan stays.

    Attributes:
        plans: What comes next.
    """

    def __init__(self) -> None:
        self.plans: deque[dict[str, Any]] = deque()
        self.app = Starlette(routes=[Route("/v1/messages", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        assert json.loads(await request.body())["model"] == MODEL
        plan = self.plans.popleft() if len(self.plans) > 1 else self.plans[0]
        if "events" in plan:
            return StreamingResponse(
                self.events(plan["events"]), headers=LIMITS, media_type="text/event-stream"
            )
        await asyncio.sleep(plan.get("seconds", 0))
        headers = {"content-type": "application/json", **plan["headers"]}
        return Response(json.dumps(plan["body"]), plan["status"], headers)

    async def events(self, events: list[Any]) -> AsyncIterator[str]:
        for event in events:
            if event == "break":
                raise ConnectionResetError
            if event == "stall":
                await asyncio.sleep(3)
            else:
                yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                await asyncio.sleep(0)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Provider, str]]:
    provider = Provider()
    server = Server(provider.app)
    with server.running():
        yield provider, server.url


@pytest.fixture
def provider(running: tuple[Provider, str]) -> Provider:
    running[0].plans.clear()
    return running[0]


@pytest.fixture
def client(metrics: Metrics, running: tuple[Provider, str]) -> Iterator[anthropic.Anthropic]:
    """A watched client that tries again twice, as it does by default."""
    with anthropic.Anthropic(base_url=running[1], api_key="none", timeout=0.5, max_retries=2) as client:
        metrics.watch_provider(client, provider="anthropic", models=[MODEL])
        yield client


@pytest.fixture
async def async_client(
    metrics: Metrics, running: tuple[Provider, str]
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Its asynchronous sister."""
    async with anthropic.AsyncAnthropic(
        base_url=running[1], api_key="none", timeout=0.5, max_retries=2
    ) as client:
        metrics.watch_provider(client, provider="anthropic", models=[MODEL])
        yield client


def outcomes(metrics: Metrics) -> dict[str, float]:
    return {labels[2]: child[0] for labels, child in metrics.store.counter(AI_ATTEMPTS).series() if child[0]}


def retries(metrics: Metrics) -> float:
    return dict(metrics.store.counter(AI_RETRIES).series())[MODEL, "anthropic"][0]


def headroom(metrics: Metrics) -> dict[str, float]:
    metrics.render()
    return {labels[2]: child[0] for labels, child in metrics.store.gauge(AI_RATELIMIT_REMAINING).series()}


class Case(NamedTuple):
    """What the provider does, what reaches the caller, what is counted, and how many retries."""

    plans: list[dict[str, Any]]
    raised: type[Exception] | None
    counted: dict[str, float]
    retries: int = 0


CASES = pytest.mark.parametrize(
    "case",
    [
        Case([GOOD], None, {"ok": 1}),
        Case([RATE_LIMITED, GOOD], None, {"rate_limited": 1, "ok": 1}, 1),
        Case([OVERLOADED, OVERLOADED, GOOD], None, {"server_error": 2, "ok": 1}, 2),
        Case([OVERLOADED], anthropic.APIStatusError, {"server_error": 3}, 2),
        Case(
            [refusal(400, "invalid_request_error", "Your credit balance is too low to access the API.")],
            anthropic.BadRequestError,
            {"quota_exhausted": 1},
        ),
        Case([refusal(402, "billing_error")], anthropic.APIStatusError, {"quota_exhausted": 1}),
        Case(
            [refusal(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")],
            anthropic.BadRequestError,
            {"context_length": 1},
        ),
        Case(
            [refusal(400, "invalid_request_error", "Output blocked by content filtering policy")],
            anthropic.BadRequestError,
            {"content_filter": 1},
        ),
        Case([refusal(401, "authentication_error")], anthropic.AuthenticationError, {"auth": 1}),
        Case([refusal(413, "request_too_large")], anthropic.APIStatusError, {"invalid_request": 1}),
        Case([{**GOOD, "seconds": 1}, GOOD], None, {"timeout": 1, "ok": 1}, 1),
    ],
    ids=lambda case: "-".join(case.counted),
)


@CASES
def test_synchronous_attempts_are_counted_by_how_they_end(
    metrics: Metrics, provider: Provider, client: anthropic.Anthropic, case: Case
) -> None:
    provider.plans.extend(case.plans)
    if case.raised:
        with pytest.raises(case.raised):
            client.messages.create(**ASK)
    else:
        assert client.messages.create(**ASK).stop_reason == "end_turn"
    assert outcomes(metrics) == case.counted
    assert retries(metrics) == case.retries


@CASES
async def test_asynchronous_attempts_are_counted_by_how_they_end(
    metrics: Metrics, provider: Provider, async_client: anthropic.AsyncAnthropic, case: Case
) -> None:
    provider.plans.extend(case.plans)
    if case.raised:
        with pytest.raises(case.raised):
            await async_client.messages.create(**ASK)
    else:
        assert (await async_client.messages.create(**ASK)).stop_reason == "end_turn"
    assert outcomes(metrics) == case.counted
    assert retries(metrics) == case.retries


def test_the_headroom_of_every_limit_is_shown_and_refusals_renew_it(
    metrics: Metrics, provider: Provider, client: anthropic.Anthropic
) -> None:
    provider.plans.extend([GOOD, RATE_LIMITED])
    client.messages.create(**ASK)
    assert headroom(metrics) == {"requests": 0.98, "input_tokens": 0.1, "output_tokens": 0.25}
    with pytest.raises(anthropic.RateLimitError):
        client.with_options(max_retries=0).messages.create(**ASK)
    assert headroom(metrics)["requests"] == 0


BROKEN = (anthropic.APIError, httpx2.TransportError)
STREAMS = pytest.mark.parametrize(
    "case",
    [
        Case([STREAM], None, {"ok": 1}),
        Case([OVERLOADED, STREAM], None, {"server_error": 1, "ok": 1}),
        Case([BREAKS], Exception, {"connection": 1}),
        Case([STALLS], Exception, {"timeout": 1}),
        Case([OVERLOADED_LATER], Exception, {"server_error": 1}),
        Case([RATE_LIMITED_LATER], Exception, {"rate_limited": 1}),
    ],
    ids=["good", "after-an-overload", "breaks", "stalls", "overloaded-later", "rate-limited-later"],
)


@STREAMS
def test_a_synchronous_stream_is_an_attempt_that_may_fail_later(
    metrics: Metrics, provider: Provider, client: anthropic.Anthropic, case: Case
) -> None:
    provider.plans.extend(case.plans)
    track = metrics.track_ai_response(model=MODEL, provider="anthropic")

    @track
    def generate() -> Iterator[str]:
        for event in client.messages.create(**ASK, stream=True):
            metrics.current_response().report(event)
            if event.type == "content_block_delta":
                yield event.delta.text

    if case.raised:
        with pytest.raises(BROKEN):
            list(generate())
    else:
        assert list(generate()) == ["event: error"]
    assert outcomes(metrics) == case.counted
    assert_reported(metrics, "error" if case.raised else "ok")


@STREAMS
async def test_an_asynchronous_stream_is_an_attempt_that_may_fail_later(
    metrics: Metrics, provider: Provider, async_client: anthropic.AsyncAnthropic, case: Case
) -> None:
    provider.plans.extend(case.plans)

    @metrics.track_ai_response(model=MODEL, provider="anthropic")
    async def generate() -> AsyncIterator[str]:
        async with async_client.messages.stream(**ASK) as stream:
            async for event in stream:
                metrics.current_response().report(event)
                if event.type == "text":
                    yield event.text

    if case.raised:
        with pytest.raises(BROKEN):
            [text async for text in generate()]
    else:
        assert [text async for text in generate()] == ["event: error"]
    assert outcomes(metrics) == case.counted
    assert_reported(metrics, "error" if case.raised else "ok")


def assert_reported(metrics: Metrics, status: str) -> None:
    """What the events said was noted, and the stream ended as it did."""

    def sample(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"claw_ai_ai_{name}", {"model": MODEL, **labels})

    assert sample("response_duration_seconds_count", provider="anthropic", status=status) == 1
    if status == "ok":
        assert {kind: sample("tokens_total", type=kind) for kind in TOKENS} == TOKENS
        assert sample("finish_total", reason="stop") == 1


async def test_a_cancelled_call_is_cancelled(
    metrics: Metrics, provider: Provider, async_client: anthropic.AsyncAnthropic
) -> None:
    provider.plans.append({**GOOD, "seconds": 1})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(async_client.messages.create(**ASK), 0.1)
    assert outcomes(metrics) == {"cancelled": 1}


async def test_nobody_there_is_a_failed_connection(metrics: Metrics) -> None:
    async with anthropic.AsyncAnthropic(
        base_url="http://127.0.0.1:1", api_key="none", max_retries=0
    ) as client:
        metrics.watch_provider(client, provider="anthropic")
        with pytest.raises(anthropic.APIConnectionError):
            await client.messages.create(**ASK)
    assert outcomes(metrics) == {"connection": 1}
