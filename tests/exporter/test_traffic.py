"""What the middleware leaves in a worker's files, read by the stock collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from claw_exporter import Metrics, MetricsMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from starlette.requests import Request

    Drive = Callable[..., Coroutine[Any, Any, Any]]


async def answer(request: Request) -> Response:
    return PlainTextResponse("x" * 50, int(request.path_params["status"]))


def samples(registry: CollectorRegistry) -> dict[tuple[Any, ...], float]:
    """Every sample of the request metrics, by name and labels; empty labels are as good as none."""
    return {
        (sample.name, *sorted((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.startswith("claw_ai_http")
    }


async def test_the_stock_collector_reads_the_files_of_a_worker(drive: Drive, tmp_path: Path) -> None:
    labels = {"tier": lambda scope: scope["path_params"].get("tier")}
    written, memory = (
        Metrics(registry=CollectorRegistry(), multiprocess_dir=directory) for directory in (str(tmp_path), "")
    )
    for metrics in (written, memory):
        routes = [Route("/x/{status}/{tier}", answer), Route("/y/{status}", answer)]
        app = MetricsMiddleware(Starlette(routes=routes), metrics=metrics, labels=labels)
        plain = MetricsMiddleware(Starlette(routes=routes), metrics=metrics)
        for path in ("/x/200/gold", "/x/201/gold", "/x/200/free", "/x/500/gold", "/y/404", "/nope"):
            for _ in range(3):
                await drive(app, path)
                await drive(plain, path)
    stock = CollectorRegistry()
    MultiProcessCollector(stock, str(tmp_path))  # type: ignore[no-untyped-call]  # it has no types
    found, expected = samples(stock), samples(memory.registry)
    assert found.keys() == expected.keys()
    seconds = ("_seconds_bucket", "_seconds_sum")  # two runs do not take the same time
    unlike = {key for key in found if found[key] != expected[key] and not key[0].endswith(seconds)}
    assert unlike == set()
    ours = samples(written.registry)
    assert {key for key in found if found[key] != ours[key]} == set()
    assert sum(value for key, value in found.items() if key[0] == "claw_ai_http_requests_total") == 36
