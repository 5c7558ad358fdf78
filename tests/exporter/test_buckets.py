from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from claw_exporter import ArgumentError, Metrics, MetricsMiddleware, RegistryError
from claw_exporter.catalog import CATALOG
from claw_exporter.exposition import go_float
from claw_exporter.spec import Histogram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.requests import Request

    Drive = Callable[..., Coroutine[Any, Any, Any]]

SECONDS = "claw_ai_http_request_duration_seconds"
BYTES = "claw_ai_http_response_size_bytes"
REDIS = "claw_ai_redis_operation_duration_seconds"
HISTOGRAMS = [metric.name for metric in CATALOG if isinstance(metric, Histogram)]


def bounds(metrics: Metrics, name: str) -> list[str]:
    """The upper bounds of one series, as they are shown."""
    return [
        sample.labels["le"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"{name}_bucket"
    ]


async def five_bytes(_: Request) -> PlainTextResponse:
    return PlainTextResponse("12345")


async def test_chosen_buckets_are_those_of_every_histogram(drive: Drive) -> None:
    chosen = {SECONDS: (30, 60), BYTES: (2.5, 10, 20.5), REDIS: [1]}
    metrics = Metrics(registry=CollectorRegistry(), buckets=chosen)
    app = MetricsMiddleware(Starlette(routes=[Route("/x", five_bytes)]), metrics=metrics)
    for _ in range(2):  # the second one by the fast path
        await drive(app, "/x")
    with metrics.track_redis("get"):
        pass
    assert bounds(metrics, SECONDS) == ["30.0", "60.0", "+Inf"]
    assert bounds(metrics, BYTES) == ["2.5", "10.0", "20.5", "+Inf"]
    assert set(bounds(metrics, REDIS)) == {"1.0", "+Inf"}
    labels = {"method": "GET", "endpoint": "/x"}
    value = metrics.registry.get_sample_value
    assert value(f"{BYTES}_bucket", {**labels, "le": "2.5"}) == 0
    assert value(f"{BYTES}_bucket", {**labels, "le": "10.0"}) == 2
    assert value(f"{BYTES}_sum", labels) == 10
    assert value(f"{SECONDS}_count", {**labels, "status_class": "2xx"}) == 2


@pytest.mark.parametrize("chosen", [(1e6,), tuple(range(100, 140))])
async def test_every_door_honours_chosen_buckets(chosen: tuple[float, ...]) -> None:
    metrics = Metrics(registry=CollectorRegistry(), buckets=dict.fromkeys(HISTOGRAMS, chosen))
    metrics.register()
    doors: list[Callable[[Any], Any]] = [
        metrics.track_ai_response(model="m", provider="p"),
        metrics.track_db("select"),
        metrics.track_redis("get"),
        metrics.track_vector_db("search"),
        metrics.track_tool("search"),
        metrics.track_agent_step("planner", "think"),
        metrics.track_agent_run("planner"),
        metrics.track_task("mail"),
        metrics.track_retrieval("pages"),
    ]

    def plain() -> list[int]:
        return []

    async def waiting() -> list[int]:
        return []

    async def parts() -> AsyncIterator[int]:
        for part in range(3):
            yield part

    for door in doors:
        calls, coroutines = door(plain), door(waiting)
        for _ in range(3):  # the first call prepares what the others use
            calls()
            await coroutines()
    stream = metrics.track_ai_response(model="m", provider="p", each_chunk=True)(parts)
    assert [part async for part in stream()] == [0, 1, 2]

    seen, lowest = {}, go_float(float(chosen[0]))
    for family in metrics.registry.collect():
        if family.type == "histogram":
            seen[family.name] = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
            first = [sample.value for sample in family.samples if sample.labels.get("le") == lowest]
            counts = [sample.value for sample in family.samples if sample.name == f"{family.name}_count"]
            sums = [sample.value for sample in family.samples if sample.name == f"{family.name}_sum"]
            assert first == counts, family.name
            assert max(sums) < 10, family.name
    assert set(map(len, seen.values())) == {len(chosen) + 1}
    assert len(seen) > len(doors)


def test_the_catalogues_buckets_are_used_elsewhere(metrics: Metrics) -> None:
    with metrics.track_redis("get"):
        pass
    assert bounds(metrics, REDIS)[:2] == ["0.0005", "0.001"]


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ({"claw_ai_http_seconds": (1,)}, "buckets names 'claw_ai_http_seconds': the histograms are claw_ai_"),
        ({"claw_ai_http_requests_total": (1,)}, "buckets names 'claw_ai_http_requests_total'"),
        ({SECONDS: (2, 1)}, rf"buckets of {SECONDS} are \(2, 1\): pass finite numbers that ascend"),
        ({SECONDS: (1, 1)}, "ascend"),
        ({SECONDS: ()}, "ascend"),
        ({SECONDS: (1, float("inf"))}, "ascend"),
        ({SECONDS: (1, float("nan"))}, "ascend"),
        ({SECONDS: ("fast",)}, rf"buckets of {SECONDS} are \('fast',\): pass a list of numbers"),
        ({SECONDS: 5}, rf"buckets of {SECONDS} are 5: pass a list of numbers"),
    ],
)
def test_buckets_are_checked(buckets: Any, message: str) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError, match=message):
        Metrics(registry=CollectorRegistry(), buckets=buckets)


def test_metrics_of_one_registry_have_the_same_buckets(metrics: Metrics) -> None:
    other = Metrics(registry=metrics.registry, buckets={SECONDS: (1, 2)})
    with pytest.raises(RegistryError, match="Metrics with other buckets"):
        other.register()
