"""Code written against document 4's ``app.core.metrics`` works after one changed import, in every form."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Response

from claw_exporter import ArgumentError
from claw_exporter import app_core_metrics as metrics
from claw_exporter.testing import Changes, capture, changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from starlette.types import Message

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]

ANSWERS = "claw_ai_ai_response_duration_seconds"
VECTOR_DB = "claw_ai_vector_db_operation_duration_seconds"
REDIS = "claw_ai_redis_operation_duration_seconds"
# What document 4 names, with the labels it describes.
DOCUMENTED = {
    "claw_ai_http_requests_total": {"method", "endpoint", "status"},
    "claw_ai_http_request_duration_seconds": {"method", "endpoint"},
    "claw_ai_http_response_size_bytes": {"method", "endpoint"},
    "claw_ai_http_active_connections": set(),
    "claw_ai_conversations_total": {"status"},
    "claw_ai_messages_total": {"role"},
    ANSWERS: {"model"},
    VECTOR_DB: {"operation"},
    REDIS: {"operation"},
    "claw_ai_db_pool_connections": {"state"},
}


@pytest.fixture
def seen() -> Iterator[Changes]:
    with changes() as difference:
        yield difference


def test_every_documented_metric_is_there_with_its_labels() -> None:
    from claw_exporter.catalog import CATALOG  # noqa: PLC0415  # for this test alone

    ours = {spec.name: set(spec.labels) for spec in CATALOG}
    assert all(ours[name] >= labels for name, labels in DOCUMENTED.items())


@pytest.mark.parametrize(
    ("track", "name", "label"),
    [
        (metrics.track_ai_response(model="glm-4"), ANSWERS, {"model": "glm-4"}),
        (metrics.track_ai_response("glm-4"), ANSWERS, {"model": "glm-4"}),
        (metrics.track_ai_response(), ANSWERS, {"model": "default"}),
        (metrics.track_vector_db_operation(operation="search"), VECTOR_DB, {"operation": "search"}),
        (metrics.track_vector_db_operation("search"), VECTOR_DB, {"operation": "search"}),
        (metrics.track_vector_db_operation(), VECTOR_DB, {"operation": "query"}),
        (metrics.track_redis_operation(operation="set"), REDIS, {"operation": "set"}),
        (metrics.track_redis_operation("set"), REDIS, {"operation": "set"}),
        (metrics.track_redis_operation(), REDIS, {"operation": "get"}),
    ],
)  # fmt: skip
async def test_every_decorator_measures_every_kind_of_function(
    seen: Changes, track: Callable[[Any], Any], name: str, label: dict[str, str]
) -> None:
    @track
    def plain(number: int) -> int:
        return number + 1

    @track
    async def coroutine(number: int) -> int:
        return number + 1

    @track
    async def stream(number: int) -> AsyncIterator[int]:
        yield number + 1

    @track
    def failing() -> None:
        raise KeyError

    assert (plain(1), await coroutine(2), [part async for part in stream(3)]) == (2, 3, [4])
    assert plain.__name__ == "plain"
    with pytest.raises(KeyError):
        failing()
    assert seen.value(f"{name}_count", **label, status="ok") == 3
    assert seen.value(f"{name}_count", **label, status="error") == 1


def test_conversations_and_messages_are_counted_in_every_form(seen: Changes) -> None:
    metrics.track_conversation(status="created")
    metrics.track_conversation("created")
    metrics.track_conversation()
    metrics.track_message(role="user")
    metrics.track_message("user")
    metrics.track_message()
    assert seen.value("claw_ai_conversations_total", status="created") == 3
    assert seen.value("claw_ai_messages_total", role="user") == 3


def test_the_application_is_named() -> None:
    metrics.init_app_metrics(app_name="CLAW.AI", app_version="1.0.0")
    assert capture().value("claw_ai_build_info", app="CLAW.AI", version="1.0.0") == 1
    metrics.app_info.info({"name": "CLAW.AI", "version": "1.1.0"})
    assert capture().value("claw_ai_build_info", version="1.1.0") == 1


def test_a_pool_is_told() -> None:
    metrics.update_db_pool_stats(active=3, idle=2)
    shown = capture()
    assert shown.value("claw_ai_db_pool_connections", state="active", pool="default") == 3
    assert shown.value("claw_ai_db_pool_connections", state="idle", pool="default") == 2
    metrics.update_db_pool_stats(4, 1)
    metrics.db_pool_connections.labels(state="idle").set(7)
    metrics.db_pool_connections.labels(state="idle").inc()
    metrics.db_pool_connections.labels("idle").dec(2)
    assert capture().value("claw_ai_db_pool_connections", state="idle", pool="default") == 6
    assert capture().value("claw_ai_db_pool_connections", state="active", pool="default") == 4


def test_metrics_that_the_application_writes_itself_are_written(seen: Changes) -> None:
    metrics.conversations_total.labels(status="closed").inc()
    metrics.messages_total.labels("assistant").inc(2)
    metrics.ai_response_duration_seconds.labels(model="glm-4").observe(1.5)
    with metrics.redis_operation_duration_seconds.labels(operation="get").time():
        pass

    @metrics.vector_db_operation_duration_seconds.labels("query").time()
    def query() -> int:
        return 1

    assert query() + query() == 2
    assert seen.value("claw_ai_conversations_total", status="closed") == 1
    assert seen.value("claw_ai_messages_total", role="assistant") == 2
    assert seen.histogram(ANSWERS, model="glm-4").sum == 1.5
    assert seen.histogram(REDIS, operation="get").count == 1
    assert seen.histogram(VECTOR_DB, operation="query").count == 2


@pytest.mark.parametrize("labels", [{}, {"roles": "user"}, {"role": "user", "model": "x"}])
def test_labels_that_do_not_fit_are_named(labels: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match="one label, 'role'"):
        metrics.messages_total.labels(**labels)


def test_a_pool_has_no_other_state() -> None:
    with pytest.raises(ArgumentError, match="'active' or 'idle'"):
        metrics.db_pool_connections.labels(state="waiting")


async def test_the_middleware_and_the_endpoint_serve_an_application(seen: Changes, drive: Drive) -> None:
    app = FastAPI()
    app.add_middleware(metrics.PrometheusMiddleware)

    @app.get("/users/{user_id}")
    async def user(user_id: int) -> int:
        return user_id

    @app.get("/metrics")
    async def scrape() -> Response:
        return await metrics.metrics_endpoint()

    await drive(app, "/users/7")
    start, page = await drive(app, "/metrics")
    labels = {"method": "GET", "endpoint": "/users/{user_id}", "status": "200"}
    assert seen.value("claw_ai_http_requests_total", **labels) == 1
    assert capture(page["body"]).value("claw_ai_http_requests_total", **labels) >= 1
    assert (b"content-type", b"text/plain; version=0.0.4; charset=utf-8") in start["headers"]


def test_what_the_middleware_writes_is_nobody_elses() -> None:
    with pytest.raises(
        AttributeError, match=r"written by PrometheusMiddleware alone.*claw_exporter\.testing"
    ):
        metrics.http_requests_total  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        metrics.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_another_server_of_the_registry_shows_the_metrics() -> None:
    code = """if True:
        import json
        from claw_exporter import app_core_metrics as metrics
        from prometheus_client import generate_latest
        metrics.track_message(role="user")
        print(json.dumps(generate_latest().decode()))
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert capture(json.loads(done.stdout)).value("claw_ai_messages_total", role="user") == 1


def test_beside_the_module_it_replaces_it_says_why_that_cannot_be() -> None:
    code = """if True:
        from prometheus_client import Counter
        Counter("claw_ai_messages_total", "As app.core.metrics has it.", ["role"])
        import claw_exporter.app_core_metrics
    """
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "RegistryError: the registry has metrics of our names already" in done.stderr
