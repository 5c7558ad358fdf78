"""Worker processes' files: what is written, who holds them, how they are added up."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client import Counter as StockCounter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.applications import Starlette

from claw_exporter import DirectoryError, Metrics, MetricsMiddleware, multiprocess, workerfiles
from claw_exporter import store as store_module
from claw_exporter.catalog import DB_POOL_MAX, INTERNAL_ERRORS, WORKERS
from claw_exporter.endpoint import Exposition
from claw_exporter.servers import expected_workers
from claw_exporter.spec import Counter, Gauge, Histogram, Metric, Slot
from claw_exporter.store import Store
from claw_exporter.workerfiles import Holder, WorkerFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from starlette.types import Message

    from claw_exporter.store import Snapshot

    Drive = Callable[..., Coroutine[Any, Any, list[Message]]]

JOBS = Counter(name="jobs_total", help="Jobs.", labels=("queue",))
DEPTH = Gauge(name="depth", help="Depth.", labels=("queue",))
AGE = Gauge(name="age_seconds", help="Age.", workers="max")
LAG = Gauge(name="lag_seconds", help="Lag.", workers="each")
WAIT = Histogram(name="wait_seconds", help="Wait.", labels=("queue",), buckets=(0.1, 1.0))


def stock(directory: Path) -> str:
    """Read the files as an application without our library would."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]  # it has no types
    return generate_latest(registry).decode()


def series(store: Store, name: str) -> dict[tuple[str, ...], list[float]]:
    return {
        labels: list(child)
        for spec, found in store.snapshot()
        if spec.name == name
        for labels, child in found
    }


def counter_slots(*queues: str) -> list[Slot]:
    return [Slot(JOBS, "jobs_total", (("queue", queue),)) for queue in queues]


def run_script(code: str, directory: Path) -> str:
    """Run code in a process of its own: forks and limits stay out of the test process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


@pytest.fixture
def two(tmp_path: Path) -> tuple[Store, Store]:
    """Two stores that share a directory, as two processes would."""
    return Store(directory=str(tmp_path)), Store(directory=str(tmp_path))


# -- What is written -----------------------------------------------------------------------------------------


def test_stock_code_reads_what_we_write(tmp_path: Path, two: tuple[Store, Store]) -> None:
    for number, store in enumerate(two, start=1):
        store.counter(JOBS).inc("mail", by=number)
        store.gauge(DEPTH).set(10 * number, "mail")
        store.gauge(AGE).set(number)
        store.gauge(LAG).set(7)
        for seconds in (0.05, 0.5, 3):
            store.histogram(WAIT).observe(seconds, "mail")
    text = stock(tmp_path)
    pid = os.getpid()
    for line in (
        "# HELP jobs_total Jobs.",
        "# TYPE wait_seconds histogram",
        'jobs_total{queue="mail"} 3.0',
        'depth{queue="mail"} 30.0',
        "age_seconds 2.0",
        f'lag_seconds{{pid="{pid}"}} 7.0',
        'wait_seconds_bucket{le="0.1",queue="mail"} 2.0',
        'wait_seconds_bucket{le="1.0",queue="mail"} 4.0',
        'wait_seconds_bucket{le="+Inf",queue="mail"} 6.0',
        'wait_seconds_count{queue="mail"} 6.0',
        'wait_seconds_sum{queue="mail"} 7.1',
    ):
        assert f"{line}\n" in text


def test_files_do_not_collide_with_those_of_stock_code(tmp_path: Path) -> None:
    code = """if True:
        import os
        from prometheus_client import Counter, Gauge
        from claw_exporter import metrics
        from claw_exporter.exposition import render
        Counter("a_total", "A.").inc(2)
        Gauge("b", "B.", multiprocess_mode="livesum").set(3)
        metrics.track_message(role="user")
        with metrics.track_ai_response(model="m"):
            print(metrics.render().decode())
    """
    own = run_script(code, tmp_path)
    assert 'claw_ai_messages_total{role="user"} 1.0' in own
    assert 'claw_ai_ai_in_flight{model="m",provider="unknown"} 1.0' in own
    foreign = stock(tmp_path)
    for line in ('claw_ai_messages_total{role="user"} 1.0', "a_total 2.0", "b 3.0"):
        assert f"{line}\n" in foreign


def test_a_child_is_used_as_the_list_that_stands_there_in_memory(tmp_path: Path) -> None:
    child = Store(directory=str(tmp_path)).histogram(WAIT).child("mail")
    child[1] += 1
    child[-1] += 0.5
    assert list(child) == [0, 1, 0, 0.5]
    assert list(child[:-1]) == [0, 1, 0]
    assert len(child) == 4


def test_a_file_grows_and_children_from_before_stay_valid(tmp_path: Path) -> None:
    store = Store(directory=str(tmp_path))
    first = store.histogram(WAIT).child("0")
    for number in range(1, 400):
        store.histogram(WAIT).observe(0.5, str(number))
    first[0] += 1
    assert next(tmp_path.glob("histogram_*")).stat().st_size > 1 << 16
    assert sum(numbers[0] for numbers in series(store, "wait_seconds").values()) == 1
    assert sum(numbers[1] for numbers in series(store, "wait_seconds").values()) == 399
    assert 'wait_seconds_count{queue="0"} 1.0' in stock(tmp_path)


def test_a_gauge_that_is_forgotten_disappears_and_may_come_back(
    tmp_path: Path, two: tuple[Store, Store]
) -> None:
    store, reader = two
    depth = store.gauge(DEPTH)
    depth.replace({("mail",): 1, ("pdf",): 2})
    depth.replace({("pdf",): 3})
    assert series(reader, "depth") == {("pdf",): [3.0]}
    assert 'depth{queue="mail"} 0.0' in stock(tmp_path)  # stock files cannot forget
    depth.set(4, "mail")
    assert series(reader, "depth") == {("pdf",): [3.0], ("mail",): [4.0]}
    depth.remove("pdf")
    depth.remove("never there")
    assert series(reader, "depth") == {("mail",): [4.0]}
    depth.clear()
    assert series(reader, "depth") == {}


# -- Who holds a set of files --------------------------------------------------------------------------------


def test_a_worker_that_starts_goes_on_where_a_dead_one_stopped(tmp_path: Path) -> None:
    old = WorkerFiles(str(tmp_path))
    # As the middleware does: lists that share one of their series.
    for slots, number in ((counter_slots("a", "all"), 1.0), (counter_slots("b", "all"), 2.0)):
        old.child(slots)[0] = number
    old.child([Slot(DEPTH, "depth", (("queue", "a"),))])[0] = 5
    old.release()
    new = WorkerFiles(str(tmp_path))
    assert new._token == old._token
    assert not list(tmp_path.glob("gauge_*"))
    # Made of other numbers than those in the file: it begins at zero, and both are added up.
    new.child(counter_slots("a", "b"))[1] += 10
    again = new.child(counter_slots("b", "all"))
    assert list(again) == [2.0, 0.0]
    again[1] += 1
    assert list(new.child(counter_slots("a", "all"))) == [1.0, 0.0]
    new.child(counter_slots("a", "all"))[0] += 100
    text = stock(tmp_path)
    for line in ('jobs_total{queue="a"} 101.0', 'jobs_total{queue="b"} 12.0', 'jobs_total{queue="all"} 1.0'):
        assert line in text


def test_a_set_that_is_held_is_left_alone(tmp_path: Path) -> None:
    first, second = WorkerFiles(str(tmp_path)), WorkerFiles(str(tmp_path))
    assert first._token != second._token
    assert len(list(tmp_path.glob("claw-*.lock"))) == 2


def test_restarts_keep_the_number_of_files_bounded(tmp_path: Path) -> None:
    for _ in range(20):
        generation = [WorkerFiles(str(tmp_path)) for _ in range(3)]
        for files in generation:
            files.child(counter_slots("a"))[0] += 1
            files.child([Slot(AGE, "age_seconds", ())])[0] = 1
        for files in generation:
            files.release()
    assert len(list(tmp_path.glob("claw-*.lock"))) == len(list(tmp_path.glob("*.db"))) - 3 == 3
    assert 'jobs_total{queue="a"} 60.0' in stock(tmp_path)


def test_an_application_that_starts_anew_begins_at_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = WorkerFiles(str(tmp_path))
    old.child(counter_slots("a"))[0] = 1
    old.release()
    (tmp_path / "claw-unfinished.new").touch()
    monkeypatch.setattr(workerfiles, "_run", lambda: "another")
    new = WorkerFiles(str(tmp_path))
    assert new._token != old._token
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"claw-{new._token}.lock", "claw.lock"]


def test_while_anybody_lives_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, living = WorkerFiles(str(tmp_path)), WorkerFiles(str(tmp_path))
    old.child(counter_slots("a"))[0] = 1
    old.release()
    monkeypatch.setattr(workerfiles, "_run", lambda: "another")
    new = WorkerFiles(str(tmp_path))
    assert new._token == old._token != living._token
    assert new.child(counter_slots("a"))[0] == 1


def test_a_worker_stopped_in_the_middle_of_its_start_does_not_hold_the_others_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workerfiles, "_PATIENCE_SECONDS", 0.02)
    WorkerFiles(str(tmp_path)).release()
    with (tmp_path / "claw.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        WorkerFiles(str(tmp_path))
    assert len(list(tmp_path.glob("claw-*.lock"))) == 2


def test_who_only_looks_at_a_dead_set_does_not_keep_it_from_being_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = WorkerFiles(str(tmp_path))
    old.release()
    with (tmp_path / f"claw-{old._token}.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(file, fcntl.LOCK_UN))
        assert WorkerFiles(str(tmp_path))._token == old._token


def test_a_store_that_is_gone_lets_go_of_its_set(tmp_path: Path) -> None:
    Store(directory=str(tmp_path)).counter(JOBS).inc("a")
    gc.collect()
    store = Store(directory=str(tmp_path))
    store.counter(JOBS).inc("a")
    assert series(store, "jobs_total") == {("a",): [2.0]}
    assert len(list(tmp_path.glob("claw-*.lock"))) == 1


def test_a_lock_that_vanishes_while_it_is_looked_at_is_nobodys(tmp_path: Path) -> None:
    assert workerfiles.living(tmp_path / "claw-0.lock") is None
    (tmp_path / "claw-1.lock").symlink_to(tmp_path / "claw-0.lock")
    assert workerfiles._dead(tmp_path) == ([], False)


def test_a_run_whose_process_group_has_lost_its_leader_has_a_name_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getpgrp", lambda: 2**30)
    assert workerfiles._run() == f"{2**30}@?"


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = WorkerFiles(str(tmp_path))
    old.child(counter_slots("a"))[0] = 1
    old.release()
    path = next(tmp_path.glob("counter_*"))
    path.write_bytes(path.read_bytes()[:8] + b"\xff" * (1 << 16))
    reader = Store(directory=str(tmp_path))
    reader.gauge(AGE).set(1)
    assert series(reader, "age_seconds") == {(): [1.0]}
    new = WorkerFiles(str(tmp_path))
    assert new.child(counter_slots("a"))[0] == 0
    assert "is damaged: it is set aside" in caplog.text
    assert list(tmp_path.glob("*.damaged"))


def test_many_that_start_and_are_killed_at_once_lose_nothing(tmp_path: Path) -> None:
    code = """if True:
        import os, signal
        from claw_exporter.spec import Counter
        from claw_exporter.store import Store
        JOBS = Counter(name="jobs_total", help="Jobs.", labels=("queue",))
        directory = os.environ["PROMETHEUS_MULTIPROC_DIR"]
        for _ in range(6):
            pids = []
            for number in range(8):
                pid = os.fork()
                if not pid:
                    store = Store(directory=directory)
                    for queue in range(100):
                        store.counter(JOBS).inc(queue)
                    if number % 2:
                        store.snapshot()  # looks at the locks of all
                    os.kill(os.getpid(), signal.SIGKILL)
                pids.append(pid)
            for pid in pids:
                assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        store = Store(directory=directory)
        found = {spec.name: series for spec, series in store.snapshot()}["jobs_total"]
        assert {number for _, (number,) in found} == {48.0}, found
        print(len(found))
    """
    assert run_script(code, tmp_path) == "100\n"
    assert len(list(tmp_path.glob("claw-*.lock"))) <= 9
    assert 'jobs_total{queue="7"} 48.0' in stock(tmp_path)


# -- Forks ---------------------------------------------------------------------------------------------------


def test_a_forked_child_has_files_of_its_own(tmp_path: Path) -> None:
    code = """if True:
        import os
        from claw_exporter import metrics
        from claw_exporter.catalog import MESSAGES
        metrics.track_message(role="user")
        before = metrics.store.counter(MESSAGES).child("user")
        voided = []
        metrics.store.on_fork(lambda: voided.append(os.getpid()))
        metrics.store.on_fork(lambda: 1 / 0)
        pids = []
        for _ in range(3):
            pid = os.fork()
            if not pid:
                assert voided == [os.getpid()]
                assert metrics.store.counter(MESSAGES).child("user") is not before
                for _ in range(1000):
                    metrics.track_message(role="user")
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0
        metrics.track_message(role="user")
        print(metrics.render().decode())
    """
    page = run_script(code, tmp_path)
    assert 'claw_ai_messages_total{role="user"} 3002.0' in page
    assert 'claw_ai_exporter_internal_errors_total{where="on_fork"} 3.0' in page
    assert "claw_ai_exporter_workers 1.0" in page
    assert 'claw_ai_messages_total{role="user"} 3002.0' in stock(tmp_path)


def test_voiding_forgets_children_and_keeps_what_they_counted(tmp_path: Path) -> None:
    store = Store(directory=str(tmp_path))
    store.counter(JOBS).inc("a")
    store.derive(DEPTH, list)
    calls: list[int] = []
    store.on_fork(lambda: calls.append(1 // len(calls)))
    store.on_fork(lambda: calls.append(1))
    store_module._void_all()
    assert store.counter(JOBS)._children == {}
    assert store.counter(INTERNAL_ERRORS).child("on_fork")[0] == 1
    store._void()
    assert calls == [1, 1, 1]
    store._void()  # a fork of a fork that has recorded nothing
    store.counter(JOBS).inc("a")
    assert series(store, "jobs_total") == {("a",): [2.0]}


# -- Added up ------------------------------------------------------------------------------------------------


def test_workers_are_added_up_by_what_their_metrics_mean(two: tuple[Store, Store]) -> None:
    for number, store in enumerate(two, start=1):
        store.counter(JOBS).inc("mail", by=number)
        store.gauge(DEPTH).set(number, "mail")
        store.gauge(AGE).set(-number)
        store.histogram(WAIT).observe(number, "mail")
    first = two[0]
    first.gauge(LAG).set(7)
    assert series(first, "jobs_total") == {("mail",): [3.0]}
    assert series(first, "depth") == {("mail",): [3.0]}
    assert series(first, "age_seconds") == {(): [-1.0]}
    assert series(first, "lag_seconds") == {(str(os.getpid()),): [7.0]}
    assert series(first, "wait_seconds") == {("mail",): [0, 1, 1, 3.0]}
    assert series(first, WORKERS.name) == {(): [1.0]}  # one process, though two stores


def test_gauges_of_the_dead_are_forgotten_and_their_counters_are_not(
    tmp_path: Path, two: tuple[Store, Store]
) -> None:
    living, dead = two
    for store in two:
        store.counter(JOBS).inc("mail")
        store.gauge(DEPTH).set(1, "mail")
    assert dead._files is not None
    dead._files.release()
    assert series(living, "depth") == {("mail",): [1.0]}
    assert series(living, "jobs_total") == {("mail",): [2.0]}
    assert 'depth{queue="mail"} 1.0' in stock(tmp_path)


def test_what_starts_workers_and_what_workers_start_are_no_workers() -> None:
    master, worker, helper = (
        Holder(1, 0, "", serving=False),
        Holder(2, 1, "", serving=True),
        Holder(3, 2, "", serving=False),
    )
    found = multiprocess._serving({"m": master, "w": worker, "h": helper})
    assert found == {"w": worker, "h": helper}
    assert multiprocess._helpers(found) == {3}
    assert multiprocess._serving({"m": master}) == {"m": master}


def test_a_set_that_nobody_signed_yet_is_no_worker(tmp_path: Path) -> None:
    store = Store(directory=str(tmp_path))
    store.counter(JOBS).inc("mail")
    with (tmp_path / "claw-0.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert series(store, WORKERS.name) == {(): [1.0]}


def test_metrics_that_only_another_worker_has_are_shown(tmp_path: Path, two: tuple[Store, Store]) -> None:
    writer, reader = two
    writer.counter(JOBS).inc("mail")
    writer.gauge(AGE).set(3)
    writer.histogram(WAIT).observe(0.5, "mail")
    writer.gauge(DB_POOL_MAX).set(5, "primary")
    found: dict[str, Metric] = {spec.name: spec for spec, _ in reader.snapshot()}
    assert found["jobs_total"] == JOBS
    assert found["age_seconds"] == AGE
    assert found["wait_seconds"] == WAIT
    assert found[DB_POOL_MAX.name].help == DB_POOL_MAX.help
    assert tmp_path.is_dir()


def test_workers_of_an_older_release_with_other_buckets_are_added_up(two: tuple[Store, Store]) -> None:
    old, new = two
    old.histogram(replace(WAIT, buckets=(0.1, 0.4, 5.0))).observe(0.3, "mail")
    old.histogram(replace(WAIT, buckets=(0.1, 0.4, 5.0))).observe(3, "mail")
    new.histogram(WAIT).observe(0.5, "mail")
    assert series(new, "wait_seconds") == {("mail",): [0, 2, 1, 3.8]}


def test_a_metric_with_labels_that_this_worker_does_not_know_keeps_its_total(
    two: tuple[Store, Store],
) -> None:
    old, new = two
    old.counter(replace(JOBS, labels=("queue", "tier"))).inc("mail", "free")
    new.counter(JOBS).inc("mail")
    total = sum(numbers[0] for numbers in series(new, "jobs_total").values())
    assert total == 2


def test_keys_are_parsed_once_per_file(two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = two
    parsed: list[str] = []
    real = workerfiles.entries

    def entries(*arguments: int) -> Iterator[tuple[str, str, dict[str, str], str, int]]:
        for entry in real(*arguments):
            parsed.append(entry[1])
            yield entry

    monkeypatch.setattr(multiprocess, "entries", entries)
    writer.counter(JOBS).inc("a")
    reader.snapshot()
    assert parsed.count("jobs_total") == 1
    writer.counter(JOBS).inc("a")
    writer.counter(JOBS).inc("b")
    assert series(reader, "jobs_total") == {("a",): [2.0], ("b",): [1.0]}
    assert parsed.count("jobs_total") == 2


def test_a_file_that_begins_anew_is_parsed_anew(two: tuple[Store, Store], tmp_path: Path) -> None:
    store, reader = two
    store.gauge(DEPTH).set(1, "a")
    assert series(reader, "depth") == {("a",): [1.0]}
    with next(tmp_path.glob("gauge_*")).open("r+b") as file:
        file.write(workerfiles._INTEGER.pack(workerfiles.HEADER_BYTES))
    assert series(reader, "depth") == {}
    assert series(reader, "claw_ai_exporter_internal_errors_total") == {("multiprocess",): [0.0]}


@pytest.mark.parametrize("header", [b"", bytes(2), bytes(8)], ids=["empty", "cut", "zero"])
def test_a_file_whose_header_is_damaged_is_left_out_and_counted(
    two: tuple[Store, Store], tmp_path: Path, header: bytes
) -> None:
    store, reader = two
    store.counter(JOBS).inc("a")
    store.gauge(DEPTH).set(1, "a")
    assert series(reader, "jobs_total") == {("a",): [1.0]}
    next(tmp_path.glob("gauge_*")).write_bytes(header)
    assert series(reader, "depth") == {}
    assert series(reader, "jobs_total") == {("a",): [1.0]}
    assert series(reader, "claw_ai_exporter_internal_errors_total") == {("multiprocess",): [2.0]}


def test_a_metric_that_this_worker_gets_to_know_between_two_scrapes_is_shown_as_it_knows_it(
    two: tuple[Store, Store],
) -> None:
    writer, reader = two
    writer.histogram(replace(WAIT, buckets=(0.1, 0.4, 5.0))).observe(0.3, "mail")
    writer.counter(JOBS).inc("mail")
    assert series(reader, "wait_seconds") == {("mail",): [0, 1, 0, 0, 0.3]}
    assert series(reader, "jobs_total") == {("mail",): [1.0]}
    reader.histogram(WAIT)
    reader.counter(replace(JOBS, labels=("tier", "queue")))
    assert series(reader, "wait_seconds") == {("mail",): [0, 1, 0, 0.3]}
    assert series(reader, "jobs_total") == {("", "mail"): [1.0]}


def test_a_file_that_disappears_while_it_is_read_is_left_out(
    two: tuple[Store, Store], tmp_path: Path
) -> None:
    store, _ = two
    store.counter(JOBS).inc("a")
    (tmp_path / "counter_claw-0.db").symlink_to(tmp_path / "gone")
    assert series(store, "jobs_total") == {("a",): [1.0]}
    assert series(store, "claw_ai_exporter_internal_errors_total") == {("multiprocess",): [0.0]}


def test_a_set_is_taken_once(two: tuple[Store, Store]) -> None:
    assert two[0]._begin() is two[0]._begin()


# -- Gauges that are computed --------------------------------------------------------------------------------


async def test_a_worker_that_serves_keeps_its_gauges_up_to_date(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "REFRESH_SECONDS", 0.01)
    worker, other = two
    computed = threading.Event()
    values = iter(range(1, 1_000_000))

    def compute() -> None:
        number = next(values)
        worker.gauge(AGE).set(number)
        if number > 2:
            computed.set()

    worker.before_scrape(compute)
    worker.counter(JOBS).inc("a")  # in an event loop: that is serving
    assert computed.wait(10)
    assert series(other, "age_seconds")[()][0] >= 2


async def test_an_application_that_starts_is_a_worker_before_its_first_request(
    tmp_path: Path, drive: Drive
) -> None:
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path))
    read = threading.Event()
    metrics.store.before_scrape(read.set)

    async def app(*_: object) -> None:
        pass

    await drive(MetricsMiddleware(app, metrics=metrics), type="lifespan")
    assert read.wait(10)


def test_what_keeps_gauges_up_to_date_ends_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "REFRESH_SECONDS", 0.01)
    before = set(threading.enumerate())
    store = Store(directory=str(tmp_path))
    store.serve()
    store.serve()
    (thread,) = set(threading.enumerate()) - before
    del store
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


# -- What goes wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        lambda metrics: metrics.register(),
        lambda metrics: metrics.asgi_app(),
        lambda metrics: MetricsMiddleware(Starlette(), metrics=metrics),
    ],
    ids=["register", "mount", "middleware"],
)
def test_a_missing_directory_is_said_at_the_wiring(tmp_path: Path, wire: Callable[[Metrics], object]) -> None:
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path / "missing"))
    with pytest.raises(DirectoryError, match="which is not a directory: create it before the server starts"):
        wire(metrics)


def test_a_directory_without_permission_is_said_at_the_wiring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, as tests may run, is allowed everything
    with pytest.raises(DirectoryError, match=r"may not write: give it to the user .*chown"):
        Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path)).register()


def test_a_system_without_flock_is_said_at_the_wiring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("multiprocess", "workerfiles"):  # as where fcntl cannot be imported
        monkeypatch.setitem(sys.modules, f"claw_exporter.{name}", None)
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path))
    with pytest.raises(DirectoryError, match="unset it, and run one worker"):
        metrics.register()
    metrics.track_message(role="user")
    assert b'claw_ai_messages_total{role="user"} 1.0' in metrics.render()


def test_without_a_directory_recording_still_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path / "missing"))
    metrics.track_message(role="user")
    metrics.store.serve()
    metrics.store.gauge(AGE).set(1)
    metrics.store.gauge(AGE).clear()
    assert b'claw_ai_messages_total{role="user"} 1.0' in metrics.render()
    assert "metrics error in multiprocess" in caplog.text


def test_a_directory_that_is_taken_away_costs_only_the_others_numbers(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    store = Store(directory=str(shared))
    store.counter(JOBS).inc("a")
    shutil.rmtree(shared)
    store.counter(JOBS).inc("a")
    store.histogram(WAIT).observe(1, "a")
    assert series(store, "jobs_total") == {("a",): [2.0]}
    assert series(store, "wait_seconds") == {("a",): [0, 1, 0, 1.0]}


def test_a_full_disk_sends_numbers_to_memory_and_is_counted(tmp_path: Path) -> None:
    code = """if True:
        import resource
        from claw_exporter import metrics
        from claw_exporter.catalog import INTERNAL_ERRORS, VECTOR_DB_DURATION
        with metrics.track_vector_db("first"):
            pass
        # No file may become larger than it is now.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        for number in range(100):
            with metrics.track_vector_db(f"search {number}"):
                pass
        durations = metrics.store.histogram(VECTOR_DB_DURATION)
        kinds = {type(child).__name__ for _, child in durations.series()}
        print(*sorted(kinds), float(sum(sum(child[:-1]) for _, child in durations.series())))
        print(dict(metrics.store.counter(INTERNAL_ERRORS).series())["multiprocess",][0] > 0)
        print(metrics.render().decode())
    """
    page = run_script(code, tmp_path)
    assert page.startswith("array memoryview 101.0\nTrue\n")
    assert 'count{operation="first",status="ok"} 1.0' in page


def test_a_variable_that_is_set_can_be_overruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert Metrics(multiprocess_dir="").store.in_memory
    metrics = Metrics(registry=CollectorRegistry())
    assert not metrics.store.in_memory
    assert metrics.store.directory == str(tmp_path)


# -- Several workers that do not share -----------------------------------------------------------------------


def test_several_workers_without_a_directory_are_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    metrics = Metrics(registry=CollectorRegistry())
    metrics.register()
    metrics.register()
    assert [record.getMessage()[:54] for record in caplog.records] == [
        "this application runs in 4 worker processes, but PROME"
    ]


def test_one_worker_is_no_reason_to_warn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    Metrics(registry=CollectorRegistry()).register()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("module", "attributes", "expected"),
    [
        ("uvicorn.config", {"workers": 3}, 3),
        ("gunicorn.workers.base", {"cfg": type("Cfg", (), {"workers": 5})}, 5),
        ("gunicorn.util", {}, 1),
        ("myapp", {"workers": 3}, 1),
    ],
)
def test_the_server_that_loads_the_application_is_asked(
    monkeypatch: pytest.MonkeyPatch, module: str, attributes: dict[str, object], expected: int
) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    namespace: dict[str, Callable[..., int]] = {"__name__": module, "ask": expected_workers}  # type: ignore[dict-item]  # a name
    exec("def load(self):\n    return ask()", namespace)  # noqa: S102  # a frame of that module
    assert namespace["load"](type("Server", (), attributes)()) == expected


# -- The registry's page -------------------------------------------------------------------------------------


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    fresh = Metrics(registry=CollectorRegistry())
    fresh.register()
    fresh.track_message(role="user")
    return fresh


@pytest.mark.parametrize("openmetrics", [False, True])
def test_our_page_and_the_stock_page_say_the_same(metrics: Metrics, openmetrics: bool) -> None:  # noqa: FBT001  # a parameter
    with metrics.track_vector_db("search"):
        pass
    app = Exposition(metrics.registry, metrics.register(), metrics.store)
    generate = generate_openmetrics if openmetrics else generate_latest
    assert app.body(openmetrics=openmetrics, compressed=False) == generate(metrics.registry)


HOSTILE = ("plain", "", 'a "quoted" one', "back\\slash", "new\nline", "caf\u00e9 \u4f60\u597d", "%s {x}")


def test_any_label_and_any_number_reaches_stock_readers_as_it_is(metrics: Metrics, tmp_path: Path) -> None:
    store = metrics.store
    for text in HOSTILE:
        store.counter(JOBS).inc(text, by=1_234_567.5)
        store.gauge(DEPTH).set(-1e18, text)
        store.histogram(WAIT).observe(3e6, text)
    ours, theirs = samples(metrics.render().decode()), samples(stock(tmp_path))
    assert ours.pop(f"{WORKERS.name}{{}}") == 1
    assert ours == theirs


def samples(page: str) -> dict[str, float]:
    return {
        f"{sample.name}{dict(sorted(sample.labels.items()))}": sample.value
        for family in parse_text(page)
        for sample in family.samples
    }


def test_several_metrics_of_one_directory_are_read_once(metrics: Metrics) -> None:
    second = Metrics(registry=metrics.registry)
    second.register()
    second.track_message(role="user")
    assert metrics.registry.get_sample_value("claw_ai_messages_total", {"role": "user"}) == 2


def test_a_registry_with_a_stock_collector_of_all_workers_shows_ours_once(
    metrics: Metrics, tmp_path: Path
) -> None:
    MultiProcessCollector(metrics.registry, str(tmp_path))  # type: ignore[no-untyped-call]  # it has no types
    line = b'claw_ai_messages_total{role="user"} 1.0\n'
    assert generate_latest(metrics.registry).count(line) == 1
    app = Exposition(metrics.registry, metrics.register(), metrics.store)
    assert app.body(openmetrics=False, compressed=False).count(line) == 1


def test_custom_collectors_are_asked_and_what_tells_of_one_process_is_left_out(metrics: Metrics) -> None:
    class Shop:
        def describe(self) -> list[GaugeMetricFamily]:
            return []

        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield GaugeMetricFamily("shop_open", "Is it?", value=1)

    metrics.registry.register(Shop())
    ProcessCollector(registry=metrics.registry)
    GCCollector(registry=metrics.registry)
    StockCounter("in_memory_total", "Made before the variable was set.", registry=metrics.registry).inc()
    app = Exposition(metrics.registry, metrics.register(), metrics.store)
    page = app.body(openmetrics=False, compressed=False).decode()
    assert "shop_open 1.0\n" in page
    assert "in_memory_total 1.0\n" in page
    assert "process_" not in page
    assert "python_gc" not in page


def test_without_the_variable_there_are_no_files_of_stock_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics = Metrics(registry=CollectorRegistry(), multiprocess_dir=str(tmp_path))
    metrics.track_message(role="user")
    app = Exposition(metrics.registry, metrics.register(), metrics.store)
    page = app.body(openmetrics=False, compressed=False).decode()
    assert 'claw_ai_messages_total{role="user"} 1.0\n' in page


def snapshot_names(snapshots: list[Snapshot]) -> list[str]:
    return [spec.name for spec, _ in snapshots]


def test_metrics_come_in_the_order_of_the_catalogue(metrics: Metrics) -> None:
    metrics.store.counter(JOBS).inc("a")
    metrics.track_conversation(status="created")
    names = snapshot_names(metrics.store.snapshot())
    assert names.index("claw_ai_conversations_total") < names.index("claw_ai_messages_total")
    assert names[-2:] == ["jobs_total", WORKERS.name]
