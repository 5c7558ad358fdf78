"""How long, how large and how complete a response counts; and that nothing in it changes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import ClientDisconnect

from claw_exporter import MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from claw_exporter import Metrics

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]
    Count = Callable[[], dict[tuple[str, str, str], float]]
    Sample = Callable[..., float | None]


def seconds(sampled: Sample, endpoint: str) -> float:
    labels = {"method": "GET", "endpoint": endpoint, "status_class": "2xx"}
    return sampled("http_request_duration_seconds_sum", **labels) or 0.0


def size(sampled: Sample, endpoint: str, method: str = "GET") -> float | None:
    return sampled("http_response_size_bytes_sum", method=method, endpoint=endpoint)


async def test_a_stream_counts_whole(app: Starlette, sampled: Sample, drive: Drive) -> None:
    await drive(app, "/stream")
    first = sampled("http_time_to_first_byte_seconds_sum", method="GET", endpoint="/stream")
    assert size(sampled, "/stream") == 300
    assert first is not None
    assert first > 0.025  # after the first of three pauses of 0.03 s
    assert seconds(sampled, "/stream") - first > 0.05


async def test_a_response_in_one_part_has_its_size_and_no_first_byte(
    app: Starlette, sampled: Sample, drive: Drive
) -> None:
    await drive(app, "/users/1")
    labels = {"method": "GET", "endpoint": "/users/{user_id}"}
    assert size(sampled, "/users/{user_id}") == 10
    assert sampled("http_time_to_first_byte_seconds_count", **labels) is None


async def test_the_body_of_head_is_not_counted(app: Starlette, sampled: Sample, drive: Drive) -> None:
    for _ in range(2):
        await drive(app, "/users/1", method="HEAD")
    assert size(sampled, "/users/{user_id}", "HEAD") == 0


async def test_background_tasks_take_no_time(app: Starlette, sampled: Sample, drive: Drive) -> None:
    await drive(app, "/background")
    assert 0 < seconds(sampled, "/background") < 0.3


async def test_a_cancelled_request_is_499(
    app: Starlette, counted: Count, sampled: Sample, drive: Drive
) -> None:
    app.state.entered = asyncio.Event()
    request = asyncio.create_task(drive(app, "/slow"))
    await app.state.entered.wait()
    assert sampled("http_active_connections") == 1
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert counted() == {("GET", "/slow", "499"): 1}
    assert sampled("http_active_connections") == 0


@pytest.mark.parametrize("asgi", ["2.3", "2.4"])
async def test_a_client_that_leaves_a_stream_is_499(
    app: Starlette, counted: Count, asgi: str, metrics: Metrics
) -> None:
    """Servers of ASGI 2.4 raise OSError in send; before, only receive says that the client left."""
    gone = asyncio.Event()
    incoming = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in incoming:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            gone.set()
            if asgi == "2.4":
                raise OSError("the client left")

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": asgi},
        "method": "GET",
    }
    scope |= {"path": "/stream", "root_path": "", "query_string": b"", "headers": [], "http_version": "1.1"}
    # Versions differ: ClientDisconnect, OSError, a group of it, or nothing at all.
    with contextlib.suppress(ClientDisconnect, OSError, ExceptionGroup):
        await app(scope, receive, send)
    assert counted() == {("GET", "/stream", "499"): 1}
    assert metrics.traffic.in_flight == [0.0]


@pytest.mark.parametrize(("path", "message"), [("/boom", "boom"), ("/broken-stream", "lost the model")])
async def test_an_exception_passes_through_unchanged(
    app: Starlette, drive: Drive, path: str, message: str
) -> None:
    with pytest.raises((RuntimeError, ExceptionGroup)) as raised:
        await drive(app, path)
    error: BaseException = raised.value
    if isinstance(error, ExceptionGroup):  # older Starlette, around a stream
        (error,) = error.exceptions
    assert isinstance(error, RuntimeError)
    assert str(error) == message


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"777")]}
PART = {"type": "http.response.body", "body": b"12345", "more_body": True}
END = {"type": "http.response.body", "body": b""}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-tokens", b"7")], "more_trailers": False}
SEQUENCES: dict[str, tuple[list[Message], str, int]] = {
    "parts": ([START, PART, PART, END], "200", 10),
    "no end": ([START, PART], "499", 5),
    "no body": ([START], "499", 0),
    "nothing": ([], "500", 0),
    "trailers": ([{**START, "trailers": True}, PART, END, TRAILERS], "200", 5),
    "pathsend": ([START, {"type": "http.response.pathsend", "path": "/x"}], "200", 777),
    "zerocopysend": ([START, {"type": "http.response.zerocopysend", "file": 3, "count": 42}], "200", 42),
    "early hints": ([{"type": "http.response.early_hint", "links": []}, START, END], "200", 0),
}


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
async def test_every_sequence_of_messages_counts_and_is_passed_on(
    metrics: Metrics,
    counted: Count,
    sampled: Sample,
    drive: Drive,
    sequence: tuple[list[Message], str, int],
) -> None:
    messages, status, size_bytes = sequence

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        for message in messages:
            await send(message)

    sent = await drive(MetricsMiddleware(app, metrics=metrics))
    assert len(sent) == len(messages)
    assert all(one is other for one, other in zip(sent, messages, strict=True))
    assert counted() == {("GET", "unmatched", status): 1}
    assert size(sampled, "unmatched") == size_bytes
    assert sampled("exporter_internal_errors_total", where="send") is None


async def test_lifespan_is_untouched(metrics: Metrics, counted: Count) -> None:
    seen: list[tuple[object, ...]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    measured: ASGIApp = MetricsMiddleware(app, metrics=metrics)
    await measured(scope, receive, send)
    assert len(seen) == 1
    assert seen[0][0] is scope
    assert seen[0][1:] == (receive, send)
    assert scope == {"type": "lifespan", "asgi": {"version": "3.0"}}
    assert counted() == {}


async def test_the_lifespan_of_an_application_runs(app: Starlette) -> None:
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
