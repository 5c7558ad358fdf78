"""The parts of the chat app that need no server: tools, logs, kinds of error."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from tests.chat.conftest import eventually

from claw_chat.answers import candidates, error_type
from claw_chat.app import create_app
from claw_chat.logs import JsonFormatter, TraceMiddleware, trace_id
from claw_chat.models import CHAT_MODELS, PRICES
from claw_chat.settings import Settings, SettingsError, variable
from claw_chat.tools import DESCRIPTIONS, ToolError, Tools, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope, Send


REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1")


def refused(status: int, code: str = "") -> openai.APIStatusError:
    kinds = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
    }
    response = httpx2.Response(status, request=REQUEST)
    return kinds[status]("no", response=response, body={"code": code})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (openai.APITimeoutError(request=REQUEST), "timeout"),
        (openai.APIConnectionError(request=REQUEST), "connection"),
        (refused(429), "rate_limited"),
        (refused(429, "insufficient_quota"), "quota_exhausted"),
        (refused(401), "auth"),
        (refused(403), "auth"),
        (refused(500), "server_error"),
        (refused(400), "invalid_request"),
        (openai.OpenAIError("?"), "other"),
    ],
)
def test_errors_of_the_openai_client_have_kinds(error: openai.OpenAIError, kind: str) -> None:
    assert error_type(error) == kind


def test_every_fallback_is_a_model_and_none_falls_back_to_itself() -> None:
    for model in CHAT_MODELS.values():
        asked = [candidate.name for candidate, _ in candidates(model)]
        assert len(set(asked)) == len(asked)


def test_every_price_belongs_to_a_model() -> None:
    assert set(PRICES) <= {*CHAT_MODELS, "embedding-3"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [("6 * 7", 42), ("2 + 3 * 4", 14), ("-(1 - 5) / 8", 0.5), (" 1200 * 0.005", 6)],
)
def test_expressions_have_values(expression: str, value: float) -> None:
    assert evaluate(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    ["", "1 +", "5 / 0", "2 ** 9", "__import__('os')", "a + 1", "'x' * 3", "1e308 * 1e308 / 0", "1" * 201],
)
def test_anything_else_is_refused(expression: str) -> None:
    with pytest.raises(ToolError):
        evaluate(expression)


async def nothing(_: str) -> list[dict[str, Any]]:
    return []


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("hammer", "{}", "there is no tool 'hammer'"),
        ("clock", "{", "the arguments are not JSON"),
        ("clock", "[]", "the arguments are not a JSON object"),
        ("calculator", "{}", "has no value"),
    ],
)
def test_a_tool_that_cannot_run_tells_the_model_why(name: str, arguments: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=re.escape(complaint)):
        asyncio.run(Tools(nothing).run(name, arguments))


def test_a_search_without_results_says_so() -> None:
    assert asyncio.run(Tools(nothing).run("search_help", '{"query": "x"}')) == "nothing found"


def test_every_tool_that_is_described_exists() -> None:
    assert {tool["function"]["name"] for tool in DESCRIPTIONS} == set(Tools(nothing)._tools)


def line(message: str, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("claw_chat", logging.INFO, "", 0, message, None, None)
    record.__dict__.update(extra)
    found: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return found


def test_a_log_line_is_json_with_its_fields() -> None:
    found = line("request", status=200)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found.pop("time"))
    assert found == {"level": "info", "logger": "claw_chat", "event": "request", "status": 200}


def test_a_log_line_carries_the_trace_of_its_request() -> None:
    token = trace_id.set("abc")
    try:
        assert line("request")["trace_id"] == "abc"
    finally:
        trace_id.reset(token)


def test_a_log_line_of_an_exception_has_its_traceback() -> None:
    try:
        evaluate("1 +")
    except ToolError:
        assert "ToolError" in line("failed", exc_info=sys.exc_info())["exception"]


def through_middleware(
    headers: list[tuple[bytes, bytes]], kind: str = "http"
) -> tuple[str | None, list[Message]]:
    """Send a request through the middleware; return the trace that the app saw, and what was sent."""
    seen: list[str | None] = []
    sent: list[Message] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        seen.append(trace_id.get())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": "/", "headers": headers}
    asyncio.run(TraceMiddleware(app)(scope, receive, send))
    return seen[0], sent


def test_a_trace_of_the_caller_is_continued_and_sent_back() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    header = (b"traceparent", f"00-{trace}-b7ad6b7169203331-01".encode())
    seen, sent = through_middleware([header])
    assert seen == trace
    assert (b"x-trace-id", trace.encode()) in sent[0]["headers"]


@pytest.mark.parametrize("value", [b"", b"00-xyz-1-01", b"00-" + b"a" * 31 + b"-b7ad6b7169203331-01"])
def test_a_trace_that_is_none_is_replaced(value: bytes) -> None:
    seen, _ = through_middleware([(b"traceparent", value)])
    assert re.fullmatch("[0-9a-f]{32}", seen or "")


async def nowhere(*_: object) -> Any:  # noqa: ANN401 - stands for receive and for send
    return {}


def test_a_request_that_fails_is_logged_as_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(*_: object) -> None:
        raise ZeroDivisionError

    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    caplog.set_level(logging.INFO, "claw_chat")
    with pytest.raises(ZeroDivisionError):
        asyncio.run(TraceMiddleware(app)(scope, nowhere, nowhere))
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["status"]) == ("request", 500)


def test_the_readme_names_every_endpoint() -> None:
    app = create_app(
        Settings(database_url="postgres://x", redis_url="redis://x", model_base_url="http://x/v1")
    )
    readme = (Path(__file__).parents[2] / "examples" / "chat" / "README.md").read_text(encoding="utf-8")
    table = readme.split("## Endpoints")[1].split("## ")[0]
    paths = [*app.openapi()["paths"], "/ws/chat", "/metrics"]
    assert [path for path in paths if path not in table] == []


def test_what_is_no_request_has_no_trace() -> None:
    assert through_middleware([], kind="lifespan")[0] is None


def test_wrong_settings_are_an_error_of_the_factory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAW_CHAT_PORT", "x")
    with pytest.raises(SettingsError, match="CLAW_CHAT_PORT is 'x'"):
        create_app()


def test_the_program_serves_writes_json_lines_and_ends_at_sigterm(
    settings: Settings, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    environment = {
        variable(field): str(getattr(settings, field.name))
        for field in settings.__dataclass_fields__.values()
        if field.name in ("database_url", "redis_url", "model_base_url")
    }
    environment["CLAW_CHAT_PORT"] = str(port)
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    command = [sys.executable, "-m", "claw_chat.app"]
    with log.open("w") as output, subprocess.Popen(command, env=environment, stderr=output) as process:
        try:
            eventually(lambda: is_healthy(url))
            trace = httpx2.get(f"{url}/api/v1/models").headers["x-trace-id"]
        finally:
            process.terminate()
        assert process.wait(15) in (0, -signal.SIGTERM)
    lines = [json.loads(entry) for entry in log.read_text().splitlines()]
    (request,) = (entry for entry in lines if entry.get("trace_id") == trace)
    assert (request["event"], request["path"], request["status"]) == ("request", "/api/v1/models", 200)


def is_healthy(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.TransportError:
        return False
