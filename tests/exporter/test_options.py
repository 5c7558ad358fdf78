"""What a user of the middleware may choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from claw_exporter import ArgumentError, Metrics, MetricsMiddleware
from claw_exporter.catalog import HTTP_REQUESTS, OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from starlette.requests import Request
    from starlette.types import Message, Scope
    from starlette.websockets import WebSocket

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]


async def plain(request: Request) -> Response:
    request.state.tier = request.headers.get("x-tier")
    return PlainTextResponse("plain", int(request.headers.get("x-status", "200")))


async def room(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


ROUTES = [Route("/users/{user}", plain), Route("/healthz", plain), WebSocketRoute("/rooms/{room}", room)]


def application(metrics: Metrics, **options: Any) -> Starlette:  # noqa: ANN401  # those of the middleware
    return Starlette(routes=ROUTES, middleware=[Middleware(MetricsMiddleware, metrics=metrics, **options)])


def counted(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Requests by all labels but the method, without those at 0."""
    return {labels[1:]: child[0] for labels, child in metrics.traffic._read_requests() if child[0]}


def tier(scope: Scope) -> object:
    return scope["state"]["tier"]


def broken(scope: Scope) -> Any:  # noqa: ANN401  # never
    raise KeyError(scope["path"])


# -- Excluding -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("several", [False, True])
async def test_a_function_of_the_scope_excludes_requests(
    metrics: Metrics,
    drive: Drive,
    several: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    def internal(scope: Scope) -> bool:
        return bool(scope.get("path_params", {}).get("user") == "robot")

    app = application(metrics, exclude=["/healthz", internal] if several else internal)
    for path in ("/users/robot", "/users/me", "/users/robot", "/users/me", "/healthz"):
        await drive(app, path)
    expected = {("/users/{user}", "200"): 2} | ({} if several else {("/healthz", "200"): 1})
    assert counted(metrics) == expected


async def test_a_function_that_raises_excludes_nothing_and_is_counted(metrics: Metrics, drive: Drive) -> None:
    await drive(application(metrics, exclude=broken), "/users/1")
    assert counted(metrics) == {("/users/{user}", "200"): 1}
    where = {"where": "exclude"}
    assert metrics.registry.get_sample_value("claw_ai_exporter_internal_errors_total", where) == 1


async def test_a_function_is_asked_once_for_a_websocket(metrics: Metrics) -> None:
    asked: list[str] = []

    def private(scope: Scope) -> bool:
        asked.append(scope["type"])
        return True

    incoming: Iterator[Message] = iter(
        [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    )
    sent: list[Message] = []

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/rooms/1", "root_path": "", "headers": [], "query_string": b""}
    await application(metrics, exclude=private)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert asked == ["websocket"]
    assert metrics.traffic.sockets.series() == metrics.traffic.socket_seconds.series() == []


# -- Labels --------------------------------------------------------------------------------------------------
async def test_labels_are_asked_after_the_application(metrics: Metrics, drive: Drive) -> None:
    app = application(metrics, labels={"tier": tier})
    for name in ("gold", "gold", "free"):
        await drive(app, "/users/1", headers={"x-tier": name})
    assert counted(metrics) == {("/users/{user}", "200", "gold"): 2, ("/users/{user}", "200", "free"): 1}
    labels = {"method": "GET", "endpoint": "/users/{user}", "tier": "gold"}
    value = metrics.registry.get_sample_value
    assert value("claw_ai_http_requests_total", {**labels, "status": "500"}) == 0
    assert value("claw_ai_http_request_duration_seconds_count", {**labels, "status_class": "2xx"}) == 2
    assert value("claw_ai_http_response_size_bytes_sum", labels) == 10


async def test_a_label_has_at_most_twenty_values(metrics: Metrics, drive: Drive) -> None:
    app = application(metrics, labels={"tier": tier})
    for turn in range(2):
        for number in range(30):
            await drive(app, "/users/1", headers={"x-tier": f"tier-{number}-{'x' * 300 * turn}"[:300]})
    found = counted(metrics)
    assert len(found) == 21
    assert found["/users/{user}", "200", "other"] == 40
    assert dict(metrics.store.counter(OVERFLOW).series())[HTTP_REQUESTS.name,] == [40.0]


@pytest.mark.parametrize(("function", "faults"), [(lambda _: None, None), (broken, 1)])
async def test_what_has_no_value_is_unknown(
    metrics: Metrics, drive: Drive, function: Callable[[Scope], object], faults: int | None
) -> None:
    await drive(application(metrics, labels={"tier": function}), "/users/1")
    assert counted(metrics) == {("/users/{user}", "200", "unknown"): 1}
    where = {"where": "labels"}
    assert metrics.registry.get_sample_value("claw_ai_exporter_internal_errors_total", where) == faults


async def test_middlewares_of_one_metrics_may_have_different_labels(metrics: Metrics, drive: Drive) -> None:
    unlabelled = application(metrics)
    await drive(unlabelled, "/healthz")
    apps = [
        unlabelled,
        application(metrics, labels={"tier": tier}),
        application(metrics, labels={"zone": lambda _: "eu", "tier": tier}),
    ]
    for app in [*apps, *apps]:
        await drive(app, "/users/1", headers={"x-tier": "gold"})
    await drive(unlabelled, "/healthz")
    assert counted(metrics) == {
        ("/healthz", "200", "", ""): 2,
        ("/users/{user}", "200", "", ""): 2,
        ("/users/{user}", "200", "gold", ""): 2,
        ("/users/{user}", "200", "gold", "eu"): 2,
    }


async def test_metrics_of_one_registry_may_have_different_labels(metrics: Metrics, drive: Drive) -> None:
    other = Metrics(registry=metrics.registry)
    await drive(application(metrics), "/users/1")
    await drive(application(other, labels={"tier": tier}), "/users/1", headers={"x-tier": "gold"})
    labels = {"method": "GET", "endpoint": "/users/{user}", "status": "200"}
    assert metrics.registry.get_sample_value("claw_ai_http_requests_total", {**labels, "tier": ""}) == 1
    assert metrics.registry.get_sample_value("claw_ai_http_requests_total", {**labels, "tier": "gold"}) == 1


async def test_labels_overflow_with_the_series(drive: Drive) -> None:
    metrics = Metrics(registry=CollectorRegistry(), max_series=4)
    app = application(metrics, labels={"tier": tier})
    for number in range(10):
        await drive(app, "/users/1", headers={"x-tier": f"tier-{number}"})
    found = counted(metrics)
    assert found["__overflow__", "200", "__overflow__"] == 8
    assert len(found) == 3


NAME = "a label's name consists of letters"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"my-tier": tier}, f"labels contains 'my-tier': {NAME}"),
        ({"__tier": tier}, NAME),
        ({"1st": tier}, NAME),
        ({"endpoint": tier}, "is none of endpoint, le, method, pid, status, status_class"),
        ({"le": tier}, "is none of"),
        ({7: tier}, "labels contains 7"),
        ({"tier": "gold"}, r"labels\['tier'\] is 'gold': pass a function of the request's scope"),
    ],
)
def test_labels_are_checked(metrics: Metrics, labels: Any, message: str) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(ArgumentError, match=message):
        MetricsMiddleware(application(metrics), metrics=metrics, labels=labels)
