"""What users' tests can ask, and what they are told when they ask for what is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from claw_exporter import ArgumentError
from claw_exporter import metrics as default_metrics
from claw_exporter.testing import Distribution, NoSeriesError, capture, changes, fresh_metrics

if TYPE_CHECKING:
    from claw_exporter import Metrics

USERS = """there is no series claw_ai_messages_total{role="users"}; these exist:
  claw_ai_messages_total{role="user"} 2.0
  claw_ai_messages_total{role="assistant"} 1.0"""
PAGE = Path(__file__).parents[2] / "docs" / "TESTING.md"


@pytest.fixture
def some() -> Metrics:
    """Metrics with two series of a counter and one of a histogram."""
    metrics = fresh_metrics()
    metrics.track_message(role="user")
    metrics.track_message(role="user")
    metrics.track_message(role="assistant")
    with metrics.track_redis("get"):
        pass
    return metrics


def test_a_value_is_read_by_name_and_labels(some: Metrics) -> None:
    assert capture(some).value("claw_ai_messages_total", role="user") == 2


def test_series_that_have_the_labels_are_added_up(some: Metrics) -> None:
    assert capture(some).value("claw_ai_messages_total") == 3


def test_a_histogram_is_read_as_a_whole(some: Metrics) -> None:
    found = capture(some).histogram("claw_ai_redis_operation_duration_seconds", operation="get", status="ok")
    assert (found.count, found.buckets[10.0], found.buckets[float("inf")]) == (1, 1, 1)
    assert list(found.buckets) == sorted(found.buckets)
    assert 0 <= found.sum < 1


def test_the_series_of_a_histogram_have_names_of_their_own(some: Metrics) -> None:
    seen = capture(some)
    assert seen.value("claw_ai_redis_operation_duration_seconds_count", operation="get") == 1
    assert seen.value("claw_ai_redis_operation_duration_seconds_sum", operation="get") < 1


@pytest.mark.parametrize("bound", [10, 10.0, "10", "+Inf", float("inf")])
def test_a_bucket_is_found_however_its_bound_is_written(some: Metrics, bound: object) -> None:
    assert capture(some).value("claw_ai_redis_operation_duration_seconds_bucket", status="ok", le=bound) == 1


def test_buckets_are_not_added_up(some: Metrics) -> None:
    with pytest.raises(ArgumentError, match=r"needs le="):
        capture(some).value("claw_ai_redis_operation_duration_seconds_bucket")


def test_label_values_are_compared_as_text() -> None:
    page = 'claw_ai_http_requests_total{endpoint="/",method="GET",status="200"} 3\n'
    assert capture(page).value("claw_ai_http_requests_total", status=200) == 3
    assert capture(page.encode()).value("claw_ai_http_requests_total", status=200) == 3


def test_a_whole_registry_can_be_read() -> None:
    registry = CollectorRegistry()
    Counter("shop_orders", "Orders.", ["kind"], registry=registry).labels("book").inc(2)
    assert capture(registry).value("shop_orders_total", kind="book") == 2


def test_the_series_of_a_metric_are_listed(some: Metrics) -> None:
    assert capture(some).series("claw_ai_messages_total") == [{"role": "user"}, {"role": "assistant"}]
    assert capture(some).series("claw_ai_messages_total", role="tool") == []


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("claw_ai_message_total", {}, "no metric claw_ai_message_total (did you mean claw_ai_messages_total"),
        ("nothing_like_it", {}, "there is no metric nothing_like_it"),
        ("claw_ai_messages_total", {"rol": "u"}, "no label 'rol' (did you mean role?); its labels are ["),
        ("claw_ai_conversations_total", {}, "has no series: nothing was recorded yet"),
        ("claw_ai_messages_total", {"role": "users"}, USERS),
    ],
)  # fmt: skip
def test_what_is_not_there_is_answered_with_what_is(
    some: Metrics, name: str, labels: dict[str, Any], message: str
) -> None:
    with pytest.raises(NoSeriesError, match=re.escape(message)):
        capture(some).value(name, **labels)


def test_of_many_series_the_nearest_are_named() -> None:
    metrics = fresh_metrics()
    for number in range(50):
        metrics.track_message(role=f"role {number}")
    with pytest.raises(NoSeriesError) as caught:
        capture(metrics).value("claw_ai_messages_total", role="role 50")
    lines = str(caught.value).splitlines()
    assert 'role="role 5"' in lines[1] or 'role="role 0"' in str(caught.value)
    assert len(lines) == 22
    assert lines[-1] == "  ... and 30 more"


def test_a_block_shows_what_it_changed(some: Metrics) -> None:
    with changes(some) as seen:
        some.track_message(role="user")
        assert seen.value("claw_ai_messages_total", role="user") == 1  # within the block: until now
        some.track_message(role="tool")
    some.track_message(role="user")
    assert seen.value("claw_ai_messages_total", role="user") == 1
    assert seen.value("claw_ai_messages_total", role="tool") == 1
    assert seen.value("claw_ai_messages_total", role="assistant") == 0


def test_changes_of_a_histogram_are_a_histogram(some: Metrics) -> None:
    with changes(some) as seen, some.track_redis("get"):
        pass
    assert seen.histogram("claw_ai_redis_operation_duration_seconds", operation="get").count == 1


def test_what_did_not_happen_changed_by_nothing() -> None:
    with changes(fresh_metrics()) as seen:
        pass
    assert seen.value("claw_ai_ai_errors_total", error_type="timeout") == 0
    assert seen.value("claw_ai_tool_calls_total", status="error") == 0
    assert seen.histogram("claw_ai_redis_operation_duration_seconds", status="ok") == Distribution(0, 0, {})


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("claw_ai_ai_error_total", {}, "there is no metric"),
        ("claw_ai_ai_errors_total", {"error": "timeout"}, "has no label 'error'"),
        ("claw_ai_tool_calls_total", {"status": "eror"}, "never has status='eror', only one of ['ok', "),
        ("claw_ai_redis_operation_duration_seconds_count", {"status": "eror"}, "never has status='eror'"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_right_is_refused_though_nothing_happened(
    name: str, labels: dict[str, Any], message: str
) -> None:
    with changes(fresh_metrics()) as seen:
        pass
    with pytest.raises(NoSeriesError, match=re.escape(message)):
        seen.value(name, **labels)


def test_a_series_that_went_away_lost_what_it_had() -> None:
    registry = CollectorRegistry()
    orders = Counter("shop_orders", "Orders.", ["kind"], registry=registry)
    orders.labels("book").inc(2)
    with changes(registry) as seen:
        orders.remove("book")
    assert seen.value("shop_orders_total", kind="book") == -2


def test_the_default_metrics_are_meant_where_none_are_named() -> None:
    with changes() as seen:
        default_metrics.track_conversation(status="created")
    assert seen.value("claw_ai_conversations_total", status="created") == 1
    assert capture().value("claw_ai_conversations_total", status="created") >= 1


def test_changes_can_be_used_again(some: Metrics) -> None:
    seen = changes(some)
    for _ in range(2):
        with seen:
            some.track_message(role="user")
        assert seen.value("claw_ai_messages_total") == 1


def test_a_page_never_changes() -> None:
    with pytest.raises(ArgumentError, match="a text never changes"):
        changes("claw_ai_messages_total 1\n")  # type: ignore[arg-type]  # that is the mistake


def test_fresh_metrics_are_alone_and_registered() -> None:
    one, other = fresh_metrics(), fresh_metrics(max_series=7)
    one.track_message(role="user")
    assert capture(one.registry).value("claw_ai_messages_total") == 1
    assert capture(other.registry).series("claw_ai_messages_total") == []
    assert other.store.max_series == 7


def test_a_missing_series_is_a_failed_assertion() -> None:
    assert issubclass(NoSeriesError, AssertionError)


def test_the_package_does_not_import_it() -> None:
    code = "import sys, claw_exporter; print('claw_exporter.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_page_shows_tests_that_pass(tmp_path: Path) -> None:
    for name, text in re.findall(
        r"^```python file=(\S+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    ):
        (tmp_path / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
