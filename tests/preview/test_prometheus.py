import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from claw_preview.errors import (
    BadQueryError,
    BusyError,
    NotPrometheusError,
    SlowError,
    TooLargeError,
    UnreachableError,
)
from claw_preview.prometheus import Prometheus, shown_url


class Fake(Protocol):
    answer: Any
    asked: list[tuple[str, dict[str, str]]]

    def client(self, *, max_answer_bytes: int = 10_000) -> Prometheus: ...


def over(handler: Callable[[httpx.Request], httpx.Response]) -> Prometheus:
    transport = httpx.MockTransport(handler)
    return Prometheus("http://user:secret@prometheus:9090", timeout_seconds=5, transport=transport)


async def test_a_query_is_passed_on_as_it_is(fake: Fake) -> None:
    answer = await fake.client().ask("query", {"query": "up", "time": "12"})
    assert fake.asked == [("/api/v1/query", {"query": "up", "time": "12"})]
    assert json.loads(answer.body)["status"] == "success"


async def test_a_refusal_is_passed_on_as_prometheus_words_it(fake: Fake) -> None:
    fake.answer = JSONResponse(
        {"status": "error", "errorType": "bad_data", "error": "parse error"}, status_code=400
    )
    answer = await fake.client().ask("query_range", {"query": "up("})
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == "parse error"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"query": " "}, "`query` is missing or empty"),
        (
            {"query": "up", "match[]": "x"},
            r"unknown parameters match\[\]; query takes limit, query, time, timeout",
        ),
        ({"query": "u" * 20_001}, "the query has 20001 characters; at most 20000"),
    ],
)
async def test_what_is_no_query_goes_nowhere(fake: Fake, parameters: dict[str, str], words: str) -> None:
    with pytest.raises(BadQueryError, match=words):
        await fake.client().ask("query", parameters)
    assert fake.asked == []


@pytest.mark.parametrize(
    ("query", "path", "selector"),
    [
        ("label_values(job)", "/api/v1/label/job/values", None),
        ("label_values(up, job)", "/api/v1/label/job/values", "up"),
        (
            ' label_values(up{job=~"a,b", x="("},instance) ',
            "/api/v1/label/instance/values",
            'up{job=~"a,b", x="("}',
        ),
        ("label_names()", "/api/v1/labels", None),
    ],
)
async def test_a_variable_query_asks_for_labels(
    fake: Fake, query: str, path: str, selector: str | None
) -> None:
    assert await fake.client().variable(query, start="1", end="2") == ["b", "a"]
    expected = {"start": "1", "end": "2"} | ({"match[]": selector} if selector else {})
    assert fake.asked == [(path, expected)]


async def test_metrics_are_names_that_fit_a_pattern(fake: Fake) -> None:
    fake.answer = JSONResponse({"status": "success", "data": ["go_gc", "up", "go_threads"]})
    assert await fake.client().variable("metrics(^go_)", start="1", end="2") == ["go_gc", "go_threads"]


async def test_a_query_result_is_one_text_for_each_series(fake: Fake) -> None:
    result = [
        {"metric": {"__name__": "up", "job": "x"}, "value": [1.5, "7"]},
        {"metric": {}, "value": [1, "8"]},
    ]
    fake.answer = JSONResponse({"status": "success", "data": {"resultType": "vector", "result": result}})
    values = await fake.client().variable("query_result(topk(5, up))", start="1", end="2")
    assert values == ['up{job="x"} 7 1500', "{} 8 1000"]
    assert fake.asked == [("/api/v1/query", {"query": "topk(5, up)", "time": "2"})]


async def test_an_unknown_variable_query_says_what_is_understood(fake: Fake) -> None:
    with pytest.raises(BadQueryError, match=r"'up' is not understood; it must be one of label_values"):
        await fake.client().variable("up", start="1", end="2")


async def test_a_refused_variable_query_says_why(fake: Fake) -> None:
    fake.answer = JSONResponse({"status": "error", "error": "no such thing"}, status_code=400)
    with pytest.raises(BadQueryError, match="Prometheus refuses: no such thing"):
        await fake.client().variable("label_values(up)", start="1", end="2")


async def test_an_unreachable_prometheus_is_named_without_its_password_and_with_what_to_do() -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(UnreachableError) as caught:
        await over(refuse).ask("query", {"query": "up"})
    words = str(caught.value)
    assert "Prometheus at http://prometheus:9090 does not answer (Connection refused)" in words
    assert "make demo" in words
    assert "secret" not in words


async def test_something_else_at_the_address_is_no_prometheus(fake: Fake) -> None:
    fake.answer = PlainTextResponse("hello", status_code=404)
    with pytest.raises(NotPrometheusError, match="answers 404 without JSON, so it is no Prometheus"):
        await fake.client().ask("query", {"query": "up"})


async def test_an_endless_answer_is_cut(fake: Fake) -> None:
    fake.answer = JSONResponse(["x" * 1000])
    with pytest.raises(TooLargeError, match="larger than 100 bytes; aggregate the query"):
        await fake.client(max_answer_bytes=100).ask("query", {"query": "up"})


async def test_a_slow_answer_ends_in_time() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    transport = httpx.MockTransport(never)
    prometheus = Prometheus("http://prometheus", timeout_seconds=0.01, transport=transport)
    with pytest.raises(SlowError, match=r"no answer within 0.01 s; choose a shorter time range"):
        await prometheus.ask("query", {"query": "up"})


async def test_a_crowd_of_queries_is_told_to_wait() -> None:
    def full(_request: httpx.Request) -> httpx.Response:
        raise httpx.PoolTimeout("full")

    with pytest.raises(BusyError, match="too many queries"):
        await over(full).ask("query", {"query": "up"})


def test_an_address_without_a_password_is_shown_as_it_is() -> None:
    assert shown_url("http://a:1") == "http://a:1"
    assert shown_url("http://u:p@a:1/x") == "http://a:1/x"
