"""Canaries against the example's model server, and against servers that refuse, hang and talk nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from claw_chat.model_server.app import create_app
from claw_chat.model_server.behaviour import TABLE, Behaviour
from claw_exporter import catalog
from claw_exporter.collectors.canary import CanaryCollector
from claw_exporter.exposition import render
from claw_exporter.probes import Probe, Probes
from claw_exporter.settings import Canary, Secret
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

KEY = "sk-secret"


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application in this event loop; gives its address."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=1, lifespan="off"
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server._serve([listener]))
        while not server.started:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


def probe_of(url: str, **more: Any) -> Probe:  # noqa: ANN401 - fields of Canary
    given = {"provider": "lab", "model": "glm-4", "url": Secret(url), "key_file": Secret(KEY), **more}
    return Probe(CanaryCollector(Canary(**given)), stale_after_seconds=60)


class Provider:
    """Answers what a test wants, and keeps what it was asked."""

    def __init__(self, body: object = None, status: int = 200) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.app = Starlette(routes=[Route("/v1/ask", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        self.asked.append((dict(request.headers), await request.json()))
        return Response(self.body, self.status, {"location": "/v1/elsewhere"})


async def test_a_model_that_answers_sings() -> None:
    quick = dict.fromkeys(TABLE, Behaviour(first_token_seconds=0, token_seconds=0))
    async with serving(create_app(table=quick)) as url:
        probe = probe_of(f"{url}/v1/chat/completions")
        for _ in range(2):
            await probe.run()
    assert (probe.state.error_type, probe.state.runs) == ("", 2)
    assert 0 < probe.state.duration_seconds < 5


@pytest.mark.parametrize(
    ("model", "behaviour", "error_type"),
    [
        ("glm-4", Behaviour(server_error_ratio=1), "server_error"),
        ("glm-4", Behaviour(rate_limited_ratio=1), "rate_limited"),
        ("glm-4", Behaviour(stall_ratio=1), "timeout"),
        ("no-such", Behaviour(), "invalid_request"),
    ],
)
async def test_what_is_wrong_with_a_model_is_told_apart(
    model: str, behaviour: Behaviour, error_type: str
) -> None:
    async with serving(create_app(table=dict.fromkeys(TABLE, behaviour))) as url:
        probe = probe_of(f"{url}/v1/chat/completions", model=model, timeout_seconds=0.5)
        await probe.run()
    assert (probe.state.error_type, probe.errors[error_type]) == (error_type, 1)


async def test_a_provider_that_nobody_reaches_is_a_failed_connection() -> None:
    probe = probe_of("http://127.0.0.1:1/v1/chat/completions")
    await probe.run()
    assert probe.state.error_type == "connection"


@pytest.mark.parametrize(
    ("status", "body", "error_type", "said"),
    [
        (401, {"error": {"message": "bad key", "type": "x"}}, "authentication", "HTTP 401: bad key"),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, "quota_exhausted", "pay"),
        (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, "invalid_request", "long"),
        (404, b"<html>not here", "invalid_request", "HTTP 404: <html>not here"),
        (404, {"error": "not here"}, "invalid_request", "HTTP 404: not here"),
        (503, b"", "server_error", "HTTP 503:"),
        (302, b"", "result", "HTTP 302 without 'choices'"),
        (200, {"error": {"message": "soft"}}, "result", "HTTP 200 without 'choices': soft"),
        (200, b"[" * 60_000, "result", "HTTP 200 without 'choices'"),
        (200, ["choices"], "result", "HTTP 200 without 'choices'"),
        (200, b"x" * 200_000, "result", "without 'choices': " + "x" * 200),
    ],
)
async def test_a_refusal_is_sorted_as_attempts_are_and_quoted_in_the_log(
    status: int, body: object, error_type: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(body, status)
    async with serving(provider.app) as url:
        probe = probe_of(f"{url}/v1/ask")
        await probe.run()
    assert probe.state.error_type == error_type
    assert error_type in catalog.CANARY_ERROR_TYPES
    told: dict[str, str] = vars(caplog.records[0])["fields"]
    assert said in told["error"]
    assert len(told["error"]) < 300
    assert len(provider.asked) == 1  # neither repeated nor sent elsewhere


async def test_a_request_asks_for_one_token_and_no_more() -> None:
    provider = Provider({"choices": [{}]})
    async with serving(provider.app) as url:
        await probe_of(f"{url}/v1/ask").run()
        await probe_of(f"{url}/v1/ask", max_tokens_parameter="max_completion_tokens", max_tokens=16).run()
        await probe_of(f"{url}/v1/ask", key_file=None).run()
    (headers, question), (_, reasoning), (unkeyed, _) = provider.asked
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"].startswith("claw-exporter/")
    assert question == {
        "model": "glm-4",
        "messages": [{"role": "user", "content": "Say OK."}],
        "max_tokens": 1,
    }
    assert reasoning["max_completion_tokens"] == 16
    assert "max_tokens" not in reasoning
    assert "authorization" not in unkeyed


async def test_anthropic_is_asked_in_its_own_way() -> None:
    provider = Provider({"type": "message", "content": [{"type": "text", "text": "OK"}]})
    async with serving(provider.app) as url:
        probe = probe_of(f"{url}/v1/ask", api="anthropic")
        await probe.run()
    ((headers, question),) = provider.asked
    assert probe.state.error_type == ""
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers
    assert question["max_tokens"] == 1


async def test_a_key_that_was_changed_is_used_for_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("new\n")
    provider = Provider({"choices": [{}]})
    async with serving(provider.app) as url:
        await probe_of(f"{url}/v1/ask", key_file=Secret("old", tmp_path / "key")).run()
    assert provider.asked[0][0]["authorization"] == "Bearer new"


async def test_a_provider_that_hangs_up_in_the_middle_is_a_failed_connection() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        probe = probe_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/ask")
        await probe.run()
    assert probe.state.error_type == "connection"


async def test_metrics_show_each_canary_by_provider_and_model() -> None:
    provider = Provider({"choices": [{}]})
    async with serving(provider.app) as url:
        probes = Probes(
            [
                CanaryCollector(Canary(provider="lab", model="good", url=Secret(f"{url}/v1/ask"))),
                CanaryCollector(Canary(provider="lab", model="bad", url=Secret("http://127.0.0.1:1/v1"))),
            ],
            stale_after_seconds=60,
        )
        store = Store()
        probes.register(store)
        assert "claw_ai_canary" not in render(store).decode()  # nothing is known before the first run
        for probe in probes.all:
            await probe.run()
    lines = render(store).decode().splitlines()
    assert 'claw_ai_canary_success{model="good",provider="lab"} 1.0' in lines
    assert 'claw_ai_canary_success{model="bad",provider="lab"} 0.0' in lines
    for model in ("good", "bad"):
        assert any(
            line.startswith(f'claw_ai_canary_duration_seconds{{model="{model}",provider="lab"}} ')
            for line in lines
        )
    failed = 'claw_ai_exporter_probe_errors_total{error_type="connection",probe="canary/lab/bad"} 1.0'
    quota = 'claw_ai_exporter_probe_errors_total{error_type="quota_exhausted",probe="canary/lab/bad"} 0.0'
    assert {failed, quota} <= set(lines)


def test_a_canary_that_failed_is_not_repeated_before_it_is_due() -> None:
    collector = CanaryCollector(Canary(provider="lab", model="m", url=Secret("http://127.0.0.1:1/v1")))
    assert collector.retry_seconds() is None
    assert collector.schedule.interval_seconds == 300
