from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as ClientCounter
from prometheus_client import Gauge as ClientGauge
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from claw_exporter import catalog
from claw_exporter.exposition import go_float, render
from claw_exporter.spec import Counter, Gauge, Histogram
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import Collector

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = (
    "plain",
    "",
    'a "quoted" one',
    "back\\slash",
    "new\nline",
    "caf\u00e9 \u4f60\u597d \U0001f600",
    "%s {x}",
)
VALUES = (0.0, 1.0, 0.1, 1e-9, 999_999.0, 1e6, 1_234_567.0, 1.5e17, 3e300, float("inf"))

GETS = Counter(name="gets_total", help='Gets "all" of\nthem \\ here.', labels=("zone", "agent"))
LEVEL = Gauge(name="level_bytes", help="Level.", unit="bytes", labels=("zone",))
TOOK = Histogram(
    name="took_seconds", help="Took.", unit="seconds", labels=("method", "a"), buckets=(0.5, 1e6)
)


def _same_data(created: Callable[[], None]) -> tuple[Store, CollectorRegistry]:
    created()
    store, registry = Store(), CollectorRegistry()
    counter = ClientCounter("gets", GETS.help, GETS.labels, registry=registry)
    gauge = ClientGauge("level", LEVEL.help, LEVEL.labels, unit="bytes", registry=registry)
    histogram = ClientHistogram(
        "took", TOOK.help, TOOK.labels, unit="seconds", buckets=TOOK.buckets, registry=registry
    )
    for text in HOSTILE:
        for value in VALUES:
            store.counter(GETS).inc(text, f"{value}", by=value)
            counter.labels(text, f"{value}").inc(value)
            store.gauge(LEVEL).set(-value, f"{text}{value}")
            gauge.labels(f"{text}{value}").set(-value)
            store.histogram(TOOK).observe(value, text, "x")
            histogram.labels(text, "x").observe(value)
    return store, registry


@pytest.fixture
def without_created(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr("prometheus_client.metrics._use_created", False)


def test_the_text_is_that_of_prometheus_client(without_created: Callable[[], None]) -> None:
    store, registry = _same_data(without_created)
    assert render(store).decode() == generate_latest(registry).decode()


def test_the_openmetrics_text_is_that_of_prometheus_client(without_created: Callable[[], None]) -> None:
    store, registry = _same_data(without_created)
    theirs: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # it has no types
    assert render(store, openmetrics=True).decode() == theirs.decode()


def test_counts_above_a_million_are_written_as_go_does(without_created: Callable[[], None]) -> None:
    without_created()
    store, registry = Store(), CollectorRegistry()
    spec = Histogram(name="big", help="Big.", buckets=(1.0,))
    child = store.histogram(spec).child()
    child[0], child[1], child[2] = 1_234_567, 2_000_000, 0.5

    class Same:
        def collect(self) -> list[object]:
            from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415  # only here

            buckets = [("1.0", 1_234_567), ("+Inf", 3_234_567)]
            return [HistogramMetricFamily("big", "Big.", buckets=buckets, sum_value=0.5)]

    collector: Collector = Same()  # type: ignore[assignment]  # a list is iterable enough
    registry.register(collector)
    assert render(store).decode() == generate_latest(registry).decode()


def test_a_thousand_series_are_one_text(without_created: Callable[[], None]) -> None:
    without_created()
    store, registry = Store(), CollectorRegistry()
    ours = store.gauge(Gauge(name="many", help="Many.", labels=("number",)))
    theirs = ClientGauge("many", "Many.", ["number"], registry=registry)
    for number in range(1_001):
        value = 2.0**number if number % 400 == 399 else -number  # large in some blocks only
        ours.set(value, number)
        theirs.labels(number).set(value)
    assert render(store).decode() == generate_latest(registry).decode()


def test_numbers_are_written_as_prometheus_client_does() -> None:
    random.seed(4)
    numbers = [random.uniform(-1e8, 1e8) for _ in range(2_000)]
    numbers += [10 ** random.uniform(-30, 30) for _ in range(2_000)]
    numbers += [float(10**exponent) for exponent in range(25)]
    numbers += [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 999_999.0, 1e6]
    assert [go_float(number) for number in numbers] == list(map(floatToGoString, numbers))


def test_an_empty_store_is_an_empty_page() -> None:
    assert render(Store()) == b""
    assert render(Store(), openmetrics=True) == b"# EOF\n"


def test_a_unit_that_the_name_does_not_end_with_is_not_stated() -> None:
    store = Store()
    store.gauge(Gauge(name="share", help="Share.", unit="ratio")).set(0.5)
    assert b"# UNIT" not in render(store, openmetrics=True)


def _example() -> Store:
    """One store with every metric of the library, and awkward values."""
    store = Store()
    for spec in catalog.CATALOG:
        labels = [spec.values.get(name, (f"a {name}",))[0] for name in spec.labels]
        match spec:
            case Histogram():
                store.histogram(spec).observe(spec.buckets[0] / 2, *labels)
                store.histogram(spec).observe(spec.buckets[-1] * 2, *labels)
            case Counter():
                store.counter(spec).inc(*labels, by=1_500_000)
            case Gauge():
                store.gauge(spec).set(0.25, *labels)
    store.counter(catalog.MESSAGES).inc('quote " backslash \\ newline \n')
    return store


@pytest.mark.parametrize("openmetrics", [False, True])
def test_golden_page_of_every_metric(openmetrics: bool) -> None:  # noqa: FBT001  # a parameter of the test
    path = GOLDEN / ("metrics.openmetrics.txt" if openmetrics else "metrics.txt")
    page = render(_example(), openmetrics=openmetrics).decode()
    if os.environ.get("CLAW_TEST_GOLDEN") == "rewrite":
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
    assert page == path.read_text(encoding="utf-8")


def test_the_stock_parsers_read_every_metric() -> None:
    store = _example()
    text = {family.name for family in parse_text(render(store).decode())}
    parsed = parse_openmetrics(render(store, openmetrics=True).decode())  # type: ignore[no-untyped-call]  # as above
    openmetrics = {family.name for family in parsed}
    assert text == openmetrics == {spec.name.removesuffix("_total") for spec in catalog.CATALOG}
