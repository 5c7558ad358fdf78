from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from claw_exporter import ArgumentError, Metrics, MetricsMiddleware, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request

    Drive = Callable[..., Coroutine[Any, Any, Any]]

SECONDS = "claw_ai_http_request_duration_seconds"
BYTES = "claw_ai_http_response_size_bytes"
REDIS = "claw_ai_redis_operation_duration_seconds"


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
