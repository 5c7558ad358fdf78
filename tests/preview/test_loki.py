import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from claw_preview.app import create_app
from claw_preview.errors import BadQueryError, LokiError
from claw_preview.loki import Loki
from claw_preview.settings import read_settings

SUCCESS = {"status": "success", "data": ["api", "worker"]}


def over(handler: Callable[[httpx.Request], httpx.Response]) -> Loki:
    return Loki("http://user:secret@loki:3100", timeout_seconds=5, transport=httpx.MockTransport(handler))


class Asked:
    """Answers with `answer` and keeps what it was asked."""

    def __init__(self, answer: httpx.Response | None = None) -> None:
        self.answer = answer or httpx.Response(200, json=SUCCESS)
        self.path = ""
        self.parameters: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.path = request.url.path
        self.parameters = dict(request.url.params) | dict(httpx.QueryParams(request.content.decode()))
        return self.answer


async def test_times_are_asked_in_nanoseconds() -> None:
    asked = Asked()
    answer = await over(asked).ask(
        "query_range", {"query": '{service="api"}', "start": "1.5", "end": "1795279874.034", "limit": "10"}
    )
    assert asked.path == "/loki/api/v1/query_range"
    assert asked.parameters == {
        "query": '{service="api"}',
        "start": "1500000000",
        "end": "1795279874034000000",
        "limit": "10",
    }
    assert json.loads(answer.body) == SUCCESS


@pytest.mark.parametrize(
    ("query", "path", "selector"),
    [
        ("label_values(service)", "/loki/api/v1/label/service/values", None),
        ('label_values({job="x"}, level)', "/loki/api/v1/label/level/values", '{job="x"}'),
    ],
)
async def test_a_variable_has_the_values_of_a_label(query: str, path: str, selector: str | None) -> None:
    asked = Asked()
    assert await over(asked).variable(query, start="1", end="2") == ["api", "worker"]
    assert asked.path == path
    assert asked.parameters.get("query") == selector


async def test_a_label_nobody_has_has_no_values() -> None:
    asked = Asked(httpx.Response(200, json={"status": "success"}))
    assert await over(asked).variable("label_values(nobody)", start="1", end="2") == []


async def test_other_variable_queries_are_refused() -> None:
    with pytest.raises(BadQueryError, match=r"'label_names\(\)' is not understood; it must be label_values"):
        await over(Asked()).variable("label_names()", start="1", end="2")


async def test_a_refusal_in_plain_words_gets_the_form_of_all_others() -> None:
    refusal = httpx.Response(400, text="parse error at line 1\n", headers={"content-type": "text/plain"})
    answer = await over(Asked(refusal)).ask("query", {"query": "{"})
    assert answer.status == 400
    assert json.loads(answer.body) == {
        "status": "error",
        "errorType": "loki",
        "error": "parse error at line 1",
    }


def refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (refuse, "Loki at http://loki:3100 does not answer .*CLAW_PREVIEW_LOKI_URL"),
        (
            lambda _request: httpx.Response(200, text="hello"),
            "without JSON, so it is no Loki; correct --loki",
        ),
    ],
)
async def test_no_usable_answer_says_what_to_correct(
    handler: Callable[[httpx.Request], httpx.Response], words: str
) -> None:
    with pytest.raises(LokiError, match=words):
        await over(handler).ask("query", {"query": "{a='b'}"})


async def answers(loki: Loki | None, dashboards: Path, path: str, **parameters: str) -> httpx.Response:
    app = create_app(read_settings(["--dashboards", str(dashboards)], {}), loki=loki)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
        return await http.post(path, data=parameters)


async def test_the_page_asks_loki_through_its_own_door(dashboards: Path) -> None:
    asked = Asked()
    found = await answers(over(asked), dashboards, "/api/loki/query_range", query="{a=~'.+'}", start="1")
    assert found.json() == SUCCESS
    values: dict[str, Any] = (
        await answers(
            over(asked), dashboards, "/api/loki/vars", query="label_values(service)", start="1", end="2"
        )
    ).json()
    assert values["data"] == ["api", "worker"]


async def test_without_loki_there_is_no_such_door(dashboards: Path) -> None:
    assert (await answers(None, dashboards, "/api/loki/query", query="{}")).status_code == 404
