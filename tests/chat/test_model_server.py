"""The model server, asked with the real OpenAI client."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from tests.chat.conftest import QUICK, Server, eventually

from claw_chat.model_server.__main__ import parse
from claw_chat.model_server.app import ModelServer, create_app
from claw_chat.model_server.behaviour import TABLE, Behaviour, Behaviours, checked
from claw_chat.models import CHAT_MODELS, EMBEDDING_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chat.conftest import Models

README = Path(__file__).parents[2] / "examples" / "chat" / "README.md"
HELLO: Any = [{"role": "user", "content": "Hello there, how are you?"}]


@pytest.fixture
def client(models: Models) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{models.url}/v1", api_key="none", max_retries=0, timeout=5) as found:
        yield found


def test_the_models_of_the_app_are_those_that_are_served(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {*CHAT_MODELS, EMBEDDING_MODEL.name} == set(TABLE)


def test_an_answer_has_the_wanted_length_and_reports_its_usage(client: openai.OpenAI, models: Models) -> None:
    models.behave("glm-4", output_tokens=20, cached_ratio=0.5, reasoning_tokens=3)
    answer = client.chat.completions.create(model="glm-4", messages=HELLO)
    usage = answer.usage
    assert answer.choices[0].finish_reason == "stop"
    assert len((answer.choices[0].message.content or "").split()) == 20
    assert usage
    assert usage.prompt_tokens == 7
    assert usage.prompt_tokens_details
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details
    assert usage.completion_tokens_details.reasoning_tokens == 3
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_stream_joins_to_an_answer_and_ends_with_usage_when_that_is_wanted(client: openai.OpenAI) -> None:
    wanted: dict[str, Any] = {"stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="glm-4", messages=HELLO, stream=True, **wanted))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(text.split()) == 12
    assert chunks[-1].usage
    assert chunks[-1].usage.prompt_tokens == 7
    without = list(client.chat.completions.create(model="glm-4", messages=HELLO, stream=True))
    assert all(chunk.usage is None for chunk in without)


def test_a_stream_can_wish_for_a_tool(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "calculator", "parameters": {}}}
    question: Any = [{"role": "user", "content": "What is 2 + 3?"}]
    chunks = list(client.chat.completions.create(model="glm-4", messages=question, tools=[tool], stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert calls[0].function
    assert json.loads(calls[0].function.arguments or "") == {"expression": "2 + 3"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_tool_that_was_not_offered_is_not_wished_for(client: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": "What is 2 + 3?"}]
    answer = client.chat.completions.create(model="glm-4", messages=question)
    assert answer.choices[0].message.tool_calls is None


def test_texts_that_share_words_have_nearer_vectors(client: openai.OpenAI) -> None:
    texts = ["error budget burn", "what is an error budget", "silence of the night"]
    entries = client.embeddings.create(model="embedding-3", input=texts).data
    one, two, three = (entry.embedding for entry in entries)
    near, far = (sum(a * b for a, b in zip(one, other, strict=True)) for other in (two, three))
    assert near > far
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-5)
    plain = client.embeddings.create(model="embedding-3", input=texts[0], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize(
    ("behaviour", "raised"),
    [
        ({"server_error_ratio": 1}, openai.InternalServerError),
        ({"rate_limited_ratio": 1}, openai.RateLimitError),
        ({"quota_exhausted_ratio": 1}, openai.RateLimitError),
        ({"stall_ratio": 1, "stall_seconds": 60}, openai.APITimeoutError),
    ],
)
@pytest.mark.parametrize("what", ["answer", "vector"])
def test_a_model_fails_as_it_is_told(
    models: Models, behaviour: dict[str, float], raised: type[Exception], what: str
) -> None:
    models.behave("embedding-3" if what == "vector" else "glm-4", **behaviour)
    with openai.OpenAI(base_url=f"{models.url}/v1", api_key="x", max_retries=0, timeout=0.5) as client:
        ask: dict[str, Callable[[], object]] = {
            "answer": lambda: client.chat.completions.create(model="glm-4", messages=HELLO),
            "vector": lambda: client.embeddings.create(model="embedding-3", input="x"),
        }
        with pytest.raises(raised):
            ask[what]()


def test_a_broken_stream_breaks_off_in_the_middle(client: openai.OpenAI, models: Models) -> None:
    models.behave("glm-4", broken_ratio=1)
    received: list[str | None] = []

    def read() -> None:
        for chunk in client.chat.completions.create(model="glm-4", messages=HELLO, stream=True):
            received.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the break counts

    with pytest.raises(openai.APIConnectionError):
        read()
    assert any(received)


def test_a_quota_error_is_known_by_its_code(client: openai.OpenAI, models: Models) -> None:
    models.behave("glm-4", quota_exhausted_ratio=1)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="glm-4", messages=HELLO)
    assert refused.value.code == "insufficient_quota"


def test_an_error_may_come_as_an_answer(client: openai.OpenAI, models: Models) -> None:
    models.behave("glm-4", error_text_ratio=1)
    answer = client.chat.completions.create(model="glm-4", messages=HELLO)
    assert (answer.choices[0].message.content or "").startswith("Error: ")


def test_a_refusal_says_how_long_to_wait(models: Models) -> None:
    models.behave("glm-4", rate_limited_ratio=1, retry_after_seconds=7)
    body = {"model": "glm-4", "messages": HELLO}
    refused = httpx2.post(f"{models.url}/v1/chat/completions", json=body)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "7"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_what_is_left_of_the_limit_is_told_and_the_limit_is_kept() -> None:
    server = Server(create_app(table={"m": replace(QUICK, requests_per_minute=2)}))
    with server.running():
        body = {"model": "m", "messages": HELLO}
        answers = [httpx2.post(f"{server.url}/v1/chat/completions", json=body) for _ in range(5)]
    statuses = [answer.status_code for answer in answers]
    # A clock minute may end between two of them: then two more are allowed.
    assert statuses[:2] == [200, 200]
    assert 429 in statuses
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert re.fullmatch(r"\d+s", answers[0].headers["x-ratelimit-reset-requests"])


def test_a_new_minute_has_a_new_limit() -> None:
    now = [59.0]
    server = ModelServer(seed=1, behaviours=Behaviours({"m": QUICK}), clock=lambda: now[0])
    assert [server._count("m"), server._count("m")] == [1, 2]
    now[0] = 60.0
    assert server._count("m") == 1


def test_the_same_seed_gives_the_same_outcomes() -> None:
    table = {"m": Behaviour(first_token_seconds=0, token_seconds=0, server_error_ratio=0.5)}

    def outcomes(seed: int) -> list[str]:
        server = Server(create_app(seed=seed, table=table))
        with server.running():
            body = {"model": "m", "messages": HELLO}
            answers = [httpx2.post(f"{server.url}/v1/chat/completions", json=body) for _ in range(12)]
            return [str(answer.json().get("choices")) for answer in answers]

    first = outcomes(1)
    assert first == outcomes(1)
    assert first != outcomes(2)
    assert "None" in first
    assert len(set(first)) > 2


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "the body must be a JSON object"),
        (b"\xff", "the body is not JSON"),
        (b"{}", "'model' must be the name of a model"),
        (b'{"model": "glm-4"}', "'messages' must be a non-empty list"),
        (b'{"model": "glm-4", "messages": [1]}', "every entry of 'messages' must be an object"),
    ],
)
def test_a_body_that_is_no_request_gets_a_400_that_says_why(
    models: Models, body: bytes, complaint: str
) -> None:
    response = httpx2.post(f"{models.url}/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert complaint in response.json()["error"]["message"]


def test_a_model_that_is_not_served_is_a_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="the model 'gpt-2' does not exist"):
        client.chat.completions.create(model="gpt-2", messages=HELLO)


def test_vectors_are_made_of_texts_only(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'input' must be a text"):
        client.embeddings.create(model="embedding-3", input=[1, 2])


def test_a_change_of_behaviour_is_shown_and_mended_by_an_empty_one(models: Models) -> None:
    url = f"{models.url}/admin/behaviour/glm-4"
    changed = httpx2.put(url, json={"stall_ratio": 0.5}).json()
    assert changed["stall_ratio"] == 0.5
    assert httpx2.get(url).json() == changed
    assert httpx2.get(f"{models.url}/admin/behaviour").json()["glm-4"] == changed
    assert httpx2.put(url, json={}).json()["stall_ratio"] == 0


@pytest.mark.parametrize(
    ("body", "complaints"),
    [
        (b"{", ["the body is not JSON"]),
        (b"[]", ["the body is list; send an object such as"]),
        (b'{"speed": 1}', ["'speed' is not a field; the fields are first_token_seconds, "]),
        (b'{"stall_ratio": 2}', ["stall_ratio is 2; it must be a number from 0 to 1"]),
        (b'{"output_tokens": 1.5}', ["output_tokens is 1.5; it must be a whole number from 0 to 4000"]),
        (
            b'{"stall_ratio": true, "token_seconds": -1}',
            ["stall_ratio is True; it must be", "token_seconds is -1; it must be a number from 0 to 60"],
        ),
        (b'{"stall_ratio": NaN}', ["stall_ratio is nan; it must be a number from 0 to 1"]),
    ],
)
def test_a_wrong_change_is_refused_with_every_mistake_and_changes_nothing(
    models: Models, body: bytes, complaints: list[str]
) -> None:
    url = f"{models.url}/admin/behaviour/glm-4"
    before = httpx2.get(url).json()
    response = httpx2.put(url, content=body)
    errors = response.json()["errors"]
    assert response.status_code == 422
    assert len(errors) == len(complaints)
    assert all(complaint in error for complaint, error in zip(complaints, errors, strict=True))
    assert httpx2.get(url).json() == before


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_the_behaviour_of_an_unknown_model_is_a_404_that_lists_the_known(models: Models, method: str) -> None:
    response = httpx2.request(method, f"{models.url}/admin/behaviour/gpt-2", content=b"{}")
    assert response.status_code == 404
    assert "no model 'gpt-2'; there are claude-haiku-4, " in response.json()["errors"][0]


def test_every_row_of_the_table_would_be_accepted_as_a_change() -> None:
    behaviours = Behaviours(TABLE).as_json()
    assert [checked(row) for row in behaviours.values()] == list(behaviours.values())


def test_the_readme_describes_every_field_of_a_behaviour() -> None:
    section = README.read_text(encoding="utf-8").split("The fields:")[1].split("## ")[0]
    described = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)
    documented = re.findall(r"^ {8}(\w+): (.+)$", Behaviour.__doc__ or "", re.MULTILINE)
    assert described == [(name, about.replace("``", "`")) for name, about in documented]
    assert [name for name, _ in described] == list(Behaviour.__dataclass_fields__)


@pytest.mark.parametrize("port", ["0", "70000", "http", ""])
def test_a_wrong_port_ends_the_program_with_2(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([], {"CLAW_MODEL_SERVER_PORT": port})
    assert ended.value.code == 2
    assert f"{port!r} is not a port; give a whole number from 1 to 65535" in capsys.readouterr().err


def test_the_option_comes_before_the_variable() -> None:
    assert parse(["--port", "9001"], {"CLAW_MODEL_SERVER_PORT": "9002"}).port == 9001
    assert (parse([], {}).host, parse([], {}).port) == ("127.0.0.1", 8001)
    assert parse([], {"CLAW_MODEL_SERVER_HOST": "0.0.0.0"}).host == "0.0.0.0"  # noqa: S104 - among containers


def test_the_program_serves_on_the_loopback_address_until_sigterm(free_port: Callable[[], int]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "claw_chat.model_server", "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            eventually(lambda: _is_up(f"http://127.0.0.1:{port}/healthz"))
        finally:
            process.terminate()
        ended_by = process.wait(10)
    assert ended_by in (0, -signal.SIGTERM)  # uvicorn ends in good order, then passes the signal on


def _is_up(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False
