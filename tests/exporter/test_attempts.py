"""HTTP attempts of providers' clients: real SDKs and HTTP clients against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import openai
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.chat.conftest import QUICK, Server

from claw_chat.model_server.app import create_app
from claw_chat.model_server.behaviour import TABLE
from claw_exporter import ArgumentError, Metrics
from claw_exporter.attempts import Attempts
from claw_exporter.catalog import AI_ATTEMPTS, AI_RATELIMIT_REMAINING, AI_RETRIES, INTERNAL_ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType

    from starlette.requests import Request

MODEL = "gpt-4o-mini"
QUESTION: Any = [{"role": "user", "content": "Why is it slow?"}]
BREAKS = pytest.mark.parametrize(
    ("fault", "outcome"), [("stall_ratio", "timeout"), ("broken_ratio", "connection")]
)
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


async def refuse(request: Request) -> Response:
    """Answer with the status, headers and content that the request asks for."""
    wanted = json.loads(request.headers["x-wanted"])
    body = json.dumps(wanted["body"]).encode()
    headers = {"content-type": "application/json", **wanted.get("headers", {})}
    if headers.get("content-encoding") == "gzip":
        body = gzip.compress(body)
    return Response(body, wanted["status"], headers)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A model server, whose models answer at once until told otherwise; POST /refuse does as it is told."""
    app = Starlette(routes=[Route("/refuse", refuse, methods=["POST"])])
    app.mount("/", create_app(table=dict.fromkeys(TABLE, QUICK)))
    server = Server(app)
    with server.running():
        yield server.url


@pytest.fixture
def behave(url: str) -> Iterator[Callable[..., None]]:
    """Lets the model misbehave, until the test ends."""

    def change(**wanted: float) -> None:
        httpx.put(f"{url}/admin/behaviour/{MODEL}", json=wanted, trust_env=False).raise_for_status()

    yield change
    change()


@pytest.fixture
def sync_client(metrics: Metrics, url: str) -> Iterator[openai.OpenAI]:
    """A watched client that tries again once."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=1, max_retries=1) as client:
        metrics.watch_provider(client, provider="openai", models=[MODEL])
        yield client


@pytest.fixture
def async_client(metrics: Metrics, url: str) -> openai.AsyncOpenAI:
    """Its asynchronous sister, which never tries again."""
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=1, max_retries=0)
    metrics.watch_provider(client, provider="openai", models=[MODEL])
    return client


def outcomes(metrics: Metrics, model: str = MODEL, provider: str = "openai") -> dict[str, float]:
    """Return how many attempts of a model ended in which way."""
    return {
        labels[2]: child[0]
        for labels, child in metrics.store.counter(AI_ATTEMPTS).series()
        if labels[:2] == (model, provider) and child[0]
    }


def retries(metrics: Metrics) -> dict[Any, float]:
    return {labels: child[0] for labels, child in metrics.store.counter(AI_RETRIES).series()}


def headroom(metrics: Metrics) -> dict[str, float]:
    metrics.render()
    return {labels[2]: child[0] for labels, child in metrics.store.gauge(AI_RATELIMIT_REMAINING).series()}


def faults(metrics: Metrics) -> float:
    return dict(metrics.store.counter(INTERNAL_ERRORS).series()).get(("watch_provider",), [0.0])[0]


# -- The OpenAI client against a server --------------------------------------------------------------------


def test_an_outage_that_the_sdk_retries_away_is_counted(
    metrics: Metrics, sync_client: openai.OpenAI, behave: Callable[..., None]
) -> None:
    behave(server_error_ratio=1)
    with pytest.raises(openai.InternalServerError):
        sync_client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert outcomes(metrics) == {"server_error": 2}
    assert retries(metrics) == {(MODEL, "openai"): 1}
    behave()
    assert sync_client.chat.completions.create(model=MODEL, messages=QUESTION).choices
    assert outcomes(metrics) == {"server_error": 2, "ok": 1}


def test_every_outcome_of_a_named_model_exists_before_its_first_attempt(
    metrics: Metrics, sync_client: openai.OpenAI
) -> None:
    assert not sync_client.is_closed()
    series = {labels: child[0] for labels, child in metrics.store.counter(AI_ATTEMPTS).series()}
    assert series == {(MODEL, "openai", outcome): 0 for outcome in AI_ATTEMPTS.values["outcome"]}
    assert retries(metrics) == {(MODEL, "openai"): 0}


def test_copies_that_the_sdk_makes_of_a_client_are_watched(
    metrics: Metrics, sync_client: openai.OpenAI, behave: Callable[..., None]
) -> None:
    behave(rate_limited_ratio=1)
    with pytest.raises(openai.RateLimitError):
        sync_client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=QUESTION)
    assert outcomes(metrics) == {"rate_limited": 1}
    assert headroom(metrics) == {"requests": 0}


def test_a_synchronous_stream_arrives_unchanged_and_is_one_attempt(
    metrics: Metrics, sync_client: openai.OpenAI
) -> None:
    with sync_client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True) as stream:
        parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(parts).startswith("You asked: Why is it slow?.")
    assert outcomes(metrics) == {"ok": 1}
    assert 0.9 < headroom(metrics)["requests"] < 1


async def test_an_asynchronous_stream_counts_when_it_has_ended(
    metrics: Metrics, async_client: openai.AsyncOpenAI
) -> None:
    async with async_client:
        stream = await async_client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        assert outcomes(metrics) == {}
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(parts).startswith("You asked: Why is it slow?.")
    assert outcomes(metrics) == {"ok": 1}


async def test_an_asynchronous_stream_that_the_reader_leaves_is_no_failure_of_the_provider(
    metrics: Metrics, async_client: openai.AsyncOpenAI, behave: Callable[..., None]
) -> None:
    behave(token_seconds=0.05)
    async with async_client:
        stream = await async_client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        async with stream:
            async for _ in stream:
                break
    assert outcomes(metrics) == {"ok": 1}


@BREAKS
async def test_an_asynchronous_stream_that_fails_on_its_way_is_a_failed_attempt(
    metrics: Metrics,
    async_client: openai.AsyncOpenAI,
    behave: Callable[..., None],
    fault: str,
    outcome: str,
) -> None:
    behave(**{fault: 1, "stall_seconds": 3})
    async with async_client:
        stream = await async_client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        with pytest.raises((openai.APIError, httpx2.TransportError)):
            [chunk async for chunk in stream]
    assert outcomes(metrics) == {outcome: 1}


@BREAKS
def test_a_synchronous_stream_that_fails_on_its_way_is_a_failed_attempt(
    metrics: Metrics,
    sync_client: openai.OpenAI,
    behave: Callable[..., None],
    fault: str,
    outcome: str,
) -> None:
    behave(**{fault: 1, "stall_seconds": 3})
    stream = sync_client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
    with pytest.raises((openai.APIError, httpx2.TransportError)):
        list(stream)
    assert outcomes(metrics) == {outcome: 1}


async def test_a_cancelled_call_is_cancelled(
    metrics: Metrics, async_client: openai.AsyncOpenAI, behave: Callable[..., None]
) -> None:
    behave(first_token_seconds=3)
    async with async_client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await async_client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert outcomes(metrics) == {"cancelled": 1}


async def test_nobody_there_is_a_failed_connection(metrics: Metrics) -> None:
    async with openai.AsyncOpenAI(base_url="http://127.0.0.1:1/v1", api_key="none", max_retries=0) as client:
        metrics.watch_provider(client, provider=lambda model: f"{model} by me")
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="m", messages=QUESTION)
    assert outcomes(metrics, "m", "m by me") == {"connection": 1}


async def test_an_answer_tells_what_its_chunks_report(
    metrics: Metrics, async_client: openai.AsyncOpenAI, behave: Callable[..., None]
) -> None:
    behave(output_tokens=12)

    @metrics.track_ai_response(model=MODEL, provider="openai")
    async def generate() -> AsyncIterator[str]:
        stream = await async_client.chat.completions.create(
            model=MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            metrics.current_response().report(chunk)
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    async with async_client:
        assert "".join([part async for part in generate()]).startswith("You asked")
    assert metrics.registry.get_sample_value("claw_ai_ai_tokens_total", {"model": MODEL, "type": "output"})
    reason = {"model": MODEL, "reason": "stop"}
    assert metrics.registry.get_sample_value("claw_ai_ai_finish_total", reason) == 1
    assert metrics.registry.get_sample_value("claw_ai_ai_usage_missing_total", {"model": MODEL}) == 0


async def test_a_stalled_stream_is_seen_while_it_stalls(
    metrics: Metrics, async_client: openai.AsyncOpenAI, behave: Callable[..., None]
) -> None:
    behave(stall_ratio=1, stall_seconds=3)
    labels: Any = {"model": MODEL, "provider": "openai"}
    began = asyncio.Event()

    @metrics.track_ai_response(**labels)
    async def generate() -> AsyncIterator[object]:
        async for chunk in await async_client.chat.completions.create(
            model=MODEL, messages=QUESTION, stream=True
        ):
            yield chunk

    async def read() -> None:
        async for _ in generate():
            began.set()

    async with async_client:
        reading = asyncio.create_task(read())
        await began.wait()
        await asyncio.sleep(0.5)
        silence = metrics.registry.get_sample_value("claw_ai_ai_silence_seconds", labels)
        assert silence is not None
        assert 0.3 < silence < 1
        with pytest.raises((openai.APIError, httpx2.TransportError)):
            await reading  # after the client's timeout of a second
    assert metrics.registry.get_sample_value("claw_ai_ai_silence_seconds", labels) == 0
    gap = metrics.registry.get_sample_value("claw_ai_ai_stream_gap_seconds_sum", labels)
    assert gap == pytest.approx(1, abs=0.3)


# -- Bare HTTP clients -------------------------------------------------------------------------------------


@LIBRARIES
@pytest.mark.parametrize(
    "case",
    [
        (429, {"code": "rate_limit_exceeded"}, "rate_limited"),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, "quota_exhausted"),
        (429, {"code": "1113", "message": "in arrears"}, "quota_exhausted"),
        (402, {"message": "Insufficient Balance"}, "quota_exhausted"),
        (400, {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}, "context_length"),
        (
            400,
            {"type": "invalid_request_error", "message": "Your credit balance is too low"},
            "quota_exhausted",
        ),
        (400, {"code": "content_filter"}, "content_filter"),
        (400, {"code": "context_length_exceeded"}, "context_length"),
        (422, None, "invalid_request"),
        (401, {}, "auth"),
        (403, {}, "auth"),
        (408, {}, "timeout"),
        (409, {}, "other"),
        (529, {"type": "overloaded_error"}, "server_error"),
        (500, {"code": "insufficient_quota"}, "server_error"),
        (302, {}, "ok"),
    ],
)
def test_a_refusal_is_told_by_its_status_and_what_it_says(
    metrics: Metrics, library: ModuleType, url: str, case: tuple[int, object, str]
) -> None:
    status, error, outcome = case
    with library.Client(base_url=url, trust_env=False) as client:
        metrics.watch_provider(client, provider="openai")
        for encoding in ("identity", "gzip"):
            wanted = {"status": status, "body": {"error": error}, "headers": {"content-encoding": encoding}}
            response = client.post("/refuse", json={"model": MODEL}, headers={"x-wanted": json.dumps(wanted)})
            assert (response.status_code, response.json()) == (status, {"error": error})
    assert outcomes(metrics) == {outcome: 2}


@LIBRARIES
async def test_what_a_transport_answers_by_itself_counts_too(metrics: Metrics, library: ModuleType) -> None:
    answers = library.MockTransport(lambda _: library.Response(429, json={"code": "insufficient_quota"}))
    with library.Client(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        client.post("http://x", json={"model": MODEL})
    async with library.AsyncClient(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        await client.post("http://x", json={"model": MODEL})
    assert outcomes(metrics) == {"quota_exhausted": 2}


def test_what_calls_itself_gzip_but_is_not_is_told_by_its_status(metrics: Metrics) -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(429, content=b"\x1f\x8b no"))
    with httpx.Client(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        client.post("http://x", json={"model": MODEL})
    assert outcomes(metrics) == {"rate_limited": 1}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectTimeout("x"), "timeout"),
        (httpx.PoolTimeout("x"), "other"),
        (httpx.RemoteProtocolError("x"), "connection"),
        (httpx2.ConnectError("x"), "connection"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "connection"),
        (RuntimeError("x"), "other"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_an_error_is_told_by_its_class_and_raised_as_it_was(
    metrics: Metrics, error: BaseException, outcome: str
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with httpx.Client(transport=httpx.MockTransport(fail)) as client:
        metrics.watch_provider(client, provider="openai")
        with pytest.raises(type(error)) as caught:
            client.post("http://x", json={"model": MODEL})
    assert caught.value is error
    assert outcomes(metrics) == {outcome: 1}


def test_a_refusal_whose_body_breaks_off_is_still_that_refusal(metrics: Metrics) -> None:
    def broken() -> Iterator[bytes]:
        yield b"{"
        raise httpx.ReadError("gone")

    answers = httpx.MockTransport(lambda _: httpx.Response(429, content=broken()))
    with httpx.Client(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        with pytest.raises(httpx.ReadError):
            client.post("http://x", json={"model": MODEL})
    assert outcomes(metrics) == {"rate_limited": 1}


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"messages": [{"content": "\\"model\\": \\"no\\""}], "model" : "yes"}', "yes"),
        (b'{"messages": [{"input": {"model": "no"}}], "model": "yes"}', "yes"),
        (b'{"a": {"model": "no"}, "b": {"model": "neither"}}', "unknown"),
        (b'{"a": {"model": "no"}, "b": {"model": "broken"}', "unknown"),
        (b"[]", "unknown"),
        (b"", "unknown"),
        (iter([b'{"model": "streamed"}']), "unknown"),
    ],
)
def test_the_model_is_the_one_that_the_body_names(
    metrics: Metrics, body: bytes | Iterator[bytes], model: str
) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        metrics.watch_provider(client, provider="openai")
        client.post("http://x", content=body)
    assert outcomes(metrics, model) == {"ok": 1}


def test_a_million_models_make_a_bounded_number_of_series() -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=30)
    headers = {"x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "5"}
    answers = httpx.MockTransport(lambda _: httpx.Response(500, headers=headers))
    with httpx.Client(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        for number in range(100):
            client.post("http://x", json={"model": f"m{number}"})
    assert len(metrics.store.counter(AI_ATTEMPTS).series()) < 60
    assert outcomes(metrics, "__overflow__", "__overflow__")["server_error"] > 90
    assert headroom(metrics) == {"tokens": 0.5}
    assert len(metrics.store.gauge(AI_RATELIMIT_REMAINING).series()) == 30


def test_the_first_proxy_is_watched_like_the_client_itself(metrics: Metrics) -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=answers, mounts={"http://proxied": answers, "http://direct": None}) as client:
        metrics.watch_provider(client, provider="openai")
        for host in ("proxied", "direct", "other"):
            client.post(f"http://{host}", json={"model": MODEL})
    assert outcomes(metrics) == {"ok": 3}


def test_watching_again_counts_once_and_for_the_new_provider(metrics: Metrics) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        metrics.watch_provider(client, provider="before")
        metrics.watch_provider(client, provider="openai")
        client.post("http://x", json={"model": MODEL})
    assert outcomes(metrics) == {"ok": 1}
    assert outcomes(metrics, provider="before") == {}


def test_two_metrics_may_watch_one_client(metrics: Metrics) -> None:
    other = Metrics(registry=CollectorRegistry())
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        metrics.watch_provider(client, provider="openai")
        other.watch_provider(client, provider="openai")
        client.post("http://x", json={"model": MODEL})
    assert outcomes(metrics) == outcomes(other) == {"ok": 1}


def test_the_transport_of_a_watched_client_shows_what_it_had_and_can_be_copied(metrics: Metrics) -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(200))
    client = httpx.Client(transport=answers)
    metrics.watch_provider(client, provider="openai")
    assert client._transport.handler is answers.handler  # type: ignore[attr-defined]
    assert copy.copy(client._transport).handler is answers.handler  # type: ignore[attr-defined]


def test_of_a_long_refusal_only_the_beginning_is_read(metrics: Metrics) -> None:
    body = iter([b" " * 3_000, b" " * 3_000, b'{"code": "insufficient_quota"}'])
    answers = httpx.MockTransport(lambda _: httpx.Response(429, content=body))
    with httpx.Client(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        client.post("http://x", json={"model": MODEL})
    assert outcomes(metrics) == {"rate_limited": 1}


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'data: {"choices": []}\n\ndata: {"error": {"type": "server_error"}}\n\n', "server_error"),
        (b'data: {"error": {"code": "rate_limit_exceeded"}}\n\n', "rate_limited"),
        (b'data: {"choices": [{"delta": {"content": "data: {\\"error\\" event: error"}}]}\n\n', "ok"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 25, 1000])
def test_an_error_in_an_event_of_a_stream_is_a_failed_attempt(
    metrics: Metrics, body: bytes, outcome: str, size: int
) -> None:
    chunks = iter([body[start : start + size] for start in range(0, len(body), size)])
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    answers = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=chunks))
    with httpx.Client(transport=answers) as client:
        metrics.watch_provider(client, provider="openai")
        assert client.post("http://x", json={"model": MODEL}).content == body
    assert outcomes(metrics) == {outcome: 1}


# -- Headroom ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "15"}, {"requests": 0.25}),
        ({"X-RateLimit-Limit-Tokens": "10", "X-RateLimit-Remaining-Tokens": "99"}, {"tokens": 1}),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "80000",
                "anthropic-ratelimit-input-tokens-remaining": "8000",
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "0",
            },
            {"input_tokens": 0.1, "requests": 0},
        ),
        ({"x-ratelimit-remaining-requests": "15"}, {}),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, {}),
        ({"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": "1"}, {}),
    ],
)
def test_headroom_is_the_share_of_the_limit_that_is_left(
    metrics: Metrics, headers: dict[str, str], shown: dict[str, float]
) -> None:
    with httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=headers))
    ) as client:
        metrics.watch_provider(client, provider="openai")
        client.post("http://x", json={"model": MODEL})
    assert headroom(metrics) == shown
    assert faults(metrics) == 0


def test_headroom_is_forgotten_when_no_response_has_renewed_it_for_five_minutes(metrics: Metrics) -> None:
    now = 0.0
    attempts = Attempts(metrics.store, clock=lambda: now)
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    with httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=headers))
    ) as client:
        attempts.watch(client, "openai", ())
        client.post("http://x", json={"model": MODEL})
    now = 300.0
    assert headroom(metrics) == {"requests": 0}
    now = 301.0
    assert headroom(metrics) == {}


# -- What must never happen --------------------------------------------------------------------------------


def test_something_else_is_refused_by_its_type(metrics: Metrics) -> None:
    with pytest.raises(ArgumentError, match="client is of type dict: pass a client of openai or anthropic"):
        metrics.watch_provider({}, provider="openai")


def test_a_provider_function_that_raises_breaks_no_request(metrics: Metrics) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        metrics.watch_provider(client, provider=lambda _: str(1 / 0))
        assert client.post("http://x", json={"model": MODEL}).status_code == 200
    assert outcomes(metrics, MODEL, "unknown") == {"ok": 1}
    assert faults(metrics) == 1


def test_a_transport_that_answers_with_something_odd_gets_it_through(metrics: Metrics) -> None:
    class Odd:
        status_code = None
        headers = httpx.Headers()
        is_closed = True
        content = b""

    class Transport(httpx.BaseTransport):
        answer: Any = Odd()

        def handle_request(self, _: httpx.Request) -> httpx.Response:
            answer: httpx.Response = self.answer
            return answer

    transport = Transport()
    client = httpx.Client(transport=transport)
    metrics.watch_provider(client, provider="openai")
    request = client.build_request("POST", "http://x", json={"model": MODEL})
    for answer in (Odd(), object()):
        transport.answer = answer
        assert client._transport.handle_request(request) is answer
    assert faults(metrics) == 2
    assert outcomes(metrics) == {}


def test_an_error_whose_class_cannot_be_read_is_raised_as_it_was(metrics: Metrics) -> None:
    class Nameless(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise LookupError

    class OddError(Exception, metaclass=Nameless):
        pass

    def fail(_: httpx.Request) -> httpx.Response:
        raise OddError

    with httpx.Client(transport=httpx.MockTransport(fail)) as client:
        metrics.watch_provider(client, provider="openai")
        with pytest.raises(OddError):
            client.post("http://x", json={"model": MODEL})
    assert faults(metrics) == 1
