"""Operations that are counted and timed, decorated in the quick way: all that it must still do."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from claw_exporter import Metrics
from claw_exporter import store as store_module
from claw_exporter.catalog import QUEUE_TASK_DURATION, QUEUE_TASKS
from claw_exporter.counted import Counted
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = ("ok", "error", "cancelled")


def nothing() -> None:
    """Do nothing, which is over at once."""


def ends(metrics: Metrics, queue: str = "mail") -> dict[str, float]:
    """Return the ends that happened, and how many were timed."""
    read = metrics.registry.get_sample_value
    counts = {kind: read("claw_ai_queue_tasks_total", {"queue": queue, "status": kind}) for kind in KINDS}
    counts["timed"] = read("claw_ai_queue_task_duration_seconds_count", {"queue": queue})
    return {kind: count for kind, count in counts.items() if count}


@pytest.fixture(params=[False, True], ids=["gil", "free"])
def everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Metrics as under the global interpreter lock, and as without it."""
    monkeypatch.setattr(store_module, "_free_threaded", lambda: request.param)
    found = Metrics(registry=CollectorRegistry())
    found.register()
    return found


def test_functions_are_counted_by_how_they_end(everywhere: Metrics) -> None:
    @everywhere.track_task("mail")
    def send(error: type[BaseException] | None = None) -> str:
        """Send a mail."""
        if error is not None:
            raise error
        return "sent"

    assert [send() for _ in range(5)] == ["sent"] * 5
    for error in (KeyError, asyncio.CancelledError, SystemExit):
        with pytest.raises(error):
            send(error)
    assert (send.__name__, send.__doc__) == ("send", "Send a mail.")
    assert ends(everywhere) == {"ok": 5, "error": 2, "cancelled": 1, "timed": 8}


async def test_coroutine_functions_are_counted_by_how_they_end(everywhere: Metrics) -> None:
    @everywhere.track_task("mail")
    async def send(error: type[BaseException] | None = None) -> str:
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return "sent"

    assert await asyncio.gather(*(send() for _ in range(5))) == ["sent"] * 5
    with pytest.raises(KeyError):
        await send(KeyError)
    task = asyncio.create_task(send())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends(everywhere) == {"ok": 5, "error": 1, "cancelled": 1, "timed": 7}


def test_blocks_and_generators_are_counted_in_the_thorough_way(everywhere: Metrics) -> None:
    @everywhere.track_task("mail")
    def parts() -> Iterator[int]:
        yield from (1, 2)

    assert list(parts()) == [1, 2]
    with everywhere.track_task("mail") as operation:
        operation.fail("refused")
    assert ends(everywhere) == {"ok": 1, "error": 1, "timed": 2}


def test_two_trackers_of_one_name_share_their_numbers(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.track_task("mail")(nothing)()
    assert ends(metrics) == {"ok": 3, "timed": 3}
    assert len(metrics._tasks._named) == 1


def test_queues_without_end_are_folded() -> None:
    small = Metrics(registry=CollectorRegistry(), max_series=8)
    small.register()
    for number in range(100):
        function = small.track_task(f"queue {number}")(nothing)
        function()
        function()
    assert len(small._tasks._named) == 8
    folded = ends(small, "__overflow__")
    assert folded["ok"] == 200 - 2 * 3  # the ends of three queues, in three statuses each, are eight series
    assert folded["timed"] == 200 - 2 * 8
    overflow = small.registry.get_sample_value(
        "claw_ai_exporter_overflow_total", {"metric": "claw_ai_queue_tasks_total"}
    )
    assert overflow is not None
    assert overflow >= folded["ok"]


def test_nothing_is_lost_between_threads(everywhere: Metrics) -> None:
    function = everywhere.track_task("mail")(nothing)

    def work() -> None:
        for _ in range(2000):
            function()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends(everywhere) == {"ok": 8000, "timed": 8000}


def test_a_name_that_cannot_be_written_is_unknown(metrics: Metrics) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no name")

    name: Any = Broken()
    metrics.track_task(name)(nothing)()
    assert ends(metrics, "unknown") == {"ok": 1, "timed": 1}
    faults = metrics.registry.get_sample_value(
        "claw_ai_exporter_internal_errors_total", {"where": "track_task"}
    )
    assert faults == 1


def test_an_error_of_ours_is_counted_and_kept_away() -> None:
    def ended() -> None:
        raise RuntimeError

    store = Store()
    counted = Counted(store, QUEUE_TASKS, QUEUE_TASK_DURATION, where="here", ended=ended)
    with counted.tracker("mail"):
        pass
    faults = [labels for spec, series in store.snapshot() if "internal" in spec.name for labels, _ in series]
    assert faults == [("here",)]


def test_a_forked_child_makes_its_numbers_anew(tmp_path: Path) -> None:
    store = Store(directory=str(tmp_path))
    counted = Counted(store, QUEUE_TASKS, QUEUE_TASK_DURATION, where="here")
    function = counted.tracker("mail")(nothing)
    function()
    before = counted._name(("mail",)).ok
    store._void()  # what a forked child does first
    assert counted._name(("mail",)).ok is None
    function()
    after = counted._name(("mail",)).ok
    assert before is not None
    assert after is not None
    assert after[0] is not before[0]
