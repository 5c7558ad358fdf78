from __future__ import annotations

import logging
import threading

import pytest

from claw_exporter.catalog import HTTP_ACTIVE, INTERNAL_ERRORS, OVERFLOW, VECTOR_DB_DURATION
from claw_exporter.errors import LabelError, SpecError
from claw_exporter.spec import Counter, Gauge, Histogram, Metric
from claw_exporter.store import OVERFLOW_LABEL, CounterFamily, GaugeFamily, HistogramFamily, Store

JOBS = Counter(name="jobs_total", help="Jobs.", labels=("queue",))
DEPTH = Gauge(name="depth", help="Depth.", labels=("queue",))
WAIT = Histogram(name="wait_seconds", help="Wait.", labels=("queue",), buckets=(0.1, 1.0))
RUNS = Counter(name="runs_total", help="Runs.", labels=("name", "status"), values={"status": ("ok", "error")})


def test_a_family_is_the_same_object_for_the_same_description() -> None:
    store = Store()
    assert store.counter(JOBS) is store.counter(JOBS)


def test_a_counter_adds_up_by_label_values() -> None:
    jobs = Store().counter(JOBS)
    jobs.inc("mail")
    jobs.inc("mail", by=2)
    jobs.inc("pdf")
    assert jobs.series() == [(("mail",), [3.0]), (("pdf",), [1.0])]


@pytest.mark.parametrize("amount", [-1, float("nan")])
def test_a_counter_refuses_to_shrink(amount: float) -> None:
    with pytest.raises(ValueError, match="jobs_total is a counter: it cannot grow by"):
        Store().counter(JOBS).inc("mail", by=amount)


def test_a_gauge_is_set_moved_and_removed() -> None:
    depth = Store().gauge(DEPTH)
    depth.set(5, "mail")
    depth.inc("mail", by=-2)
    assert depth.series() == [(("mail",), [3.0])]
    depth.remove("mail")
    depth.remove("never there")
    assert depth.series() == []


def test_replacing_a_gauge_forgets_the_values_that_disappeared() -> None:
    depth = Store().gauge(DEPTH)
    depth.replace({("mail",): 1, ("pdf",): 2})
    depth.replace({("pdf",): 3})
    assert depth.series() == [(("pdf",), [3.0])]
    depth.clear()
    assert depth.series() == []


def test_replacing_checks_the_labels_before_anything_changes() -> None:
    depth = Store().gauge(DEPTH)
    depth.replace({("mail",): 1})
    with pytest.raises(LabelError, match="depth has the labels"):
        depth.replace({("pdf",): 1, ("a", "b"): 2})
    assert depth.series() == [(("mail",), [1.0])]


def test_replacing_leaves_out_and_counts_what_exceeds_the_bound() -> None:
    store = Store(max_series=2)
    store.gauge(DEPTH).replace({("a",): 1, ("b",): 2, ("c",): 3})
    assert store.gauge(DEPTH).series() == [(("a",), [1.0]), (("b",), [2.0])]
    assert store.counter(OVERFLOW).series() == [(("depth",), [1.0])]


def test_a_histogram_counts_a_value_on_a_bound_below_it() -> None:
    wait = Store().histogram(WAIT)
    for seconds in (0.05, 0.1, 0.5, 7):
        wait.observe(seconds, "mail")
    assert list(wait.child("mail")) == [2, 1, 1, 7.65]


def test_a_histogram_ignores_what_is_not_a_number() -> None:
    wait = Store().histogram(WAIT)
    wait.observe(float("nan"), "mail")
    assert wait.series() == []


def test_numbers_with_arithmetic_of_their_own_become_floats() -> None:
    class Sly(float):
        def __radd__(self, other: float) -> float:
            raise AssertionError

    store = Store()
    store.counter(JOBS).inc("mail", by=Sly(2))
    assert type(store.counter(JOBS).child("mail")[0]) is float


@pytest.mark.parametrize(
    ("value", "label"),
    [(7, "7"), (None, "None"), (["a"], "['a']"), ("x" * 1000, "x" * 256), ("a\ud800b", "a?b")],
)
def test_any_object_becomes_a_label_value_that_can_be_written(value: object, label: str) -> None:
    jobs = Store().counter(JOBS)
    jobs.inc(value)
    jobs.inc(value)
    assert jobs.series() == [((label,), [2.0])]


def test_a_wrong_number_of_label_values_is_refused() -> None:
    with pytest.raises(LabelError, match=r"jobs_total has the labels \('queue',\), but was given"):
        Store().counter(JOBS).inc("a", "b")


def test_outcomes_start_at_zero_together() -> None:
    store = Store()
    store.counter(RUNS).inc("nightly", "ok")
    assert store.counter(RUNS).series() == [(("nightly", "ok"), [1.0]), (("nightly", "error"), [0.0])]


def test_an_outcome_outside_of_the_closed_list_is_counted_too() -> None:
    store = Store()
    store.counter(RUNS).inc("nightly", "odd")
    assert dict(store.counter(RUNS).series())["nightly", "odd"] == [1.0]


def test_series_are_bounded_and_the_rest_is_folded_and_counted() -> None:
    store = Store(max_series=100)
    for number in range(5_000):
        store.counter(JOBS).inc(f"queue-{number}")
    series = dict(store.counter(JOBS).series())
    assert len(series) == 101
    assert series[OVERFLOW_LABEL,] == [4_900.0]
    assert store.counter(OVERFLOW).series() == [(("jobs_total",), [4_900.0])]
    assert store.folded == 4_900


def test_folded_series_keep_their_outcome() -> None:
    store = Store(max_series=2)
    for name in "abc":
        store.counter(RUNS).inc(name, "error")
    assert dict(store.counter(RUNS).series())[OVERFLOW_LABEL, "error"] == [2.0]


def test_the_overflow_counter_itself_may_overflow() -> None:
    store = Store(max_series=1)
    for name in "abc":
        spec = Counter(name=f"{name}_total", help="x", labels=("l",))
        store.counter(spec).inc("1")
        store.counter(spec).inc("2")
    assert dict(store.counter(OVERFLOW).series()) == {("a_total",): [1.0], (OVERFLOW_LABEL,): [2.0]}


@pytest.mark.skipif(Store().lock is not None, reason="without a GIL labels are made under the lock")
def test_a_child_that_appears_while_waiting_for_the_lock_is_used() -> None:
    family = Store().counter(JOBS)
    waiting = threading.Event()

    class Slow:
        def __str__(self) -> str:
            waiting.set()
            return "mail"

    with family._lock:
        thread = threading.Thread(target=family.inc, args=(Slow(),))
        thread.start()
        assert waiting.wait(10)
        family.inc("mail")
    thread.join(10)
    assert family.series() == [(("mail",), [2.0])]


def test_threads_lose_no_increment() -> None:
    family = Store().counter(JOBS)

    def add() -> None:
        for _ in range(20_000):
            family.inc("mail")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert family.series() == [(("mail",), [80_000.0])]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Gauge(name="not a name", help="x"), "'not a name' is not a metric name"),
        (Gauge(name="ok", help="x", labels=("not-a-label",)), "'not-a-label' is not a label name"),
        (Gauge(name="ok", help="x", labels=("__reserved",)), "'__reserved' is not a label name"),
        (Gauge(name="ok", help="x", labels=("le",)), "'le' is not a label name"),
        (Gauge(name="ok", help="x", labels=("a", "a")), "labels of ok are not unique"),
    ],
)
def test_a_wrong_description_is_refused(spec: Gauge, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Store().gauge(spec)


def test_buckets_must_ascend() -> None:
    with pytest.raises(SpecError, match="buckets of wait_seconds do not ascend"):
        Store().histogram(Histogram(name="wait_seconds", help="x", buckets=(1.0, 0.5)))


def test_a_name_has_one_description() -> None:
    store = Store()
    store.counter(JOBS)
    with pytest.raises(SpecError, match="metric jobs_total exists already, described differently"):
        store.counter(Counter(name="jobs_total", help="Other.", labels=("queue",)))
    with pytest.raises(SpecError, match="metric jobs_total exists already"):
        store.derive(JOBS, list)


def test_a_store_needs_room() -> None:
    with pytest.raises(SpecError, match="max_series is 0"):
        Store(max_series=0)


def test_families_have_the_kind_of_their_description() -> None:
    store = Store()
    kinds = [type(store.counter(JOBS)), type(store.gauge(DEPTH)), type(store.histogram(WAIT))]
    assert kinds == [CounterFamily, GaugeFamily, HistogramFamily]


def test_a_snapshot_leaves_out_what_has_no_series() -> None:
    store = Store()
    store.counter(JOBS)
    store.gauge(HTTP_ACTIVE).set(2)
    store.derive(DEPTH, lambda: [(("mail",), [4.0])])
    assert [(spec, list(series)) for spec, series in store.snapshot()] == [
        (HTTP_ACTIVE, [((), [2.0])]),
        (DEPTH, [(("mail",), [4.0])]),
    ]


def test_gauges_are_brought_up_to_date_before_a_scrape_and_one_failure_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()

    def broken() -> None:
        raise RuntimeError("pool is gone")

    store.before_scrape(broken)
    store.before_scrape(lambda: store.gauge(HTTP_ACTIVE).set(9))
    names: list[Metric] = [spec for spec, _ in store.snapshot()]
    assert names == [INTERNAL_ERRORS, HTTP_ACTIVE]
    assert store.counter(INTERNAL_ERRORS).series() == [(("before_scrape",), [1.0])]
    assert "metrics error in before_scrape" in caplog.text
    assert "pool is gone" in caplog.text


def test_a_repeated_fault_is_logged_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    for _ in range(3):
        store.fault("here")
    assert len(caplog.records) == 1
    assert store.counter(INTERNAL_ERRORS).series() == [(("here",), [3.0])]


def test_zeros_of_a_histogram_are_not_shared() -> None:
    durations = Store().histogram(VECTOR_DB_DURATION)
    durations.observe(1.0, "search", "ok")
    assert sum(durations.child("search", "error")) == 0


def test_a_child_knows_its_numbers_as_a_foreign_reader_sees_them() -> None:
    store = Store()
    assert store.counter(RUNS)._slots(("nightly", "ok")) == (
        (RUNS, "runs_total", (("name", "nightly"), ("status", "ok"))),
    )
    assert store.histogram(WAIT)._slots(("mail",)) == (
        (WAIT, "wait_seconds_bucket", (("queue", "mail"), ("le", "0.1"))),
        (WAIT, "wait_seconds_bucket", (("queue", "mail"), ("le", "1.0"))),
        (WAIT, "wait_seconds_bucket", (("queue", "mail"), ("le", "+Inf"))),
        (WAIT, "wait_seconds_sum", (("queue", "mail"),)),
    )


def test_numbers_in_memory_are_a_copy_of_the_zeros() -> None:
    zero = [0.0, 0.0]
    numbers = Store().numbers(zero, tuple)
    assert numbers == zero
    assert numbers is not zero


def test_without_a_gil_every_change_takes_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys._is_gil_enabled", lambda: True, raising=False)
    assert Store().lock is None
    monkeypatch.setattr("sys._is_gil_enabled", lambda: False, raising=False)
    store = Store()
    assert store.lock is not None
    store.counter(JOBS).inc("mail")
    store.gauge(DEPTH).set(5, "mail")
    store.gauge(DEPTH).inc("mail", by=-2)
    store.histogram(WAIT).observe(0.5, "mail")
    numbers = [list(child) for _, series in store.snapshot() for _, child in series]
    assert numbers == [[1.0], [3.0], [0, 1, 0, 0.5]]


def test_without_a_gil_there_is_one_lock_that_a_fork_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys._is_gil_enabled", lambda: False, raising=False)
    store = Store()
    assert store.lock is not None
    assert store.counter(JOBS)._lock is store.lock
    holder = threading.Thread(target=store.lock.acquire)  # as another thread may at the moment of a fork
    holder.start()
    holder.join()
    store._void()
    store.counter(JOBS).inc("mail")
    assert store.counter(JOBS).series() == [(("mail",), [1.0])]
