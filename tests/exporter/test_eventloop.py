"""How late event loops run: real loops, blocked for real; only windows of time are played with a clock."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from claw_exporter import EventLoopError, Metrics
from claw_exporter.catalog import EVENT_LOOP_LAG
from claw_exporter.eventloop import EventLoops
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], asyncio.AbstractEventLoop]
FACTORIES = [asyncio.new_event_loop, uvloop.new_event_loop]


def lag(metrics: Metrics) -> float:
    found = metrics.registry.get_sample_value("claw_ai_event_loop_lag_seconds")
    assert found is not None
    return found


@pytest.fixture(params=FACTORIES, ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401  # a generator would hide that it may be closed twice
    with asyncio.Runner(loop_factory=request.param, debug=True) as runner:
        yield runner


def test_a_blocked_loop_is_seen_afterwards_by_every_scrape(metrics: Metrics, runner: asyncio.Runner) -> None:
    async def main() -> tuple[float, list[float]]:
        metrics.watch_event_loop()
        await asyncio.sleep(0.25)
        before = lag(metrics)
        time.sleep(0.6)  # noqa: ASYNC251  # this is what is to be seen
        await asyncio.sleep(0.05)
        return before, [lag(metrics) for _ in range(3)]

    before, after = runner.run(main())
    assert before < 0.2
    assert 0.35 < after[0] < 1
    assert len(set(after)) == 1


def test_a_blocked_loop_is_seen_while_it_is_blocked_by_who_does_not_need_it(
    metrics: Metrics, runner: asyncio.Runner
) -> None:
    blocked, seen = threading.Event(), threading.Event()

    async def main() -> None:
        metrics.watch_event_loop()
        await asyncio.sleep(0)
        blocked.set()
        seen.wait(20)

    thread = threading.Thread(target=lambda: runner.run(main()))
    # A runner belongs to its thread: it makes its loop there.
    thread.start()
    blocked.wait(20)
    time.sleep(0.4)
    during = lag(metrics)
    seen.set()
    thread.join()
    assert during > 0.15


def test_watching_again_changes_nothing(metrics: Metrics, runner: asyncio.Runner) -> None:
    async def main() -> int:
        for _ in range(3):
            metrics.watch_event_loop()
        return len(metrics._event_loops._watches)

    assert runner.run(main()) == 1


def test_of_several_loops_the_worst_is_shown_until_they_are_closed(metrics: Metrics) -> None:
    async def watch(seconds: float) -> None:
        metrics.watch_event_loop()
        await asyncio.sleep(0.01)
        time.sleep(seconds)  # noqa: ASYNC251  # this is what is to be seen
        await asyncio.sleep(0.25)

    with asyncio.Runner() as one, asyncio.Runner(loop_factory=uvloop.new_event_loop) as other:
        one.run(watch(0))
        assert lag(metrics) < 0.15
        other.run(watch(0.5))
        assert lag(metrics) > 0.25
        one.run(asyncio.sleep(0))
        assert lag(metrics) > 0.25
    assert metrics.registry.get_sample_value("claw_ai_event_loop_lag_seconds") is None


def test_outside_of_a_loop_one_is_told_where_to_call_it(metrics: Metrics) -> None:
    with pytest.raises(EventLoopError, match="inside of one, such as in the lifespan of the application"):
        metrics.watch_event_loop()


@pytest.mark.parametrize("factory", FACTORIES, ids=["asyncio", "uvloop"])
def test_nothing_is_left_of_a_loop(metrics: Metrics, factory: Factory) -> None:
    request = ContextVar("request", default=None)

    class Request:
        pass

    async def main() -> Any:  # noqa: ANN401  # a reference
        held: Any = Request()
        request.set(held)
        metrics.watch_event_loop()
        assert len(asyncio.all_tasks()) == 2  # this one and the one that waits for it
        await asyncio.sleep(0)
        return weakref.ref(held), weakref.ref(asyncio.get_running_loop())

    async def alone() -> Any:  # noqa: ANN401  # a reference
        return await asyncio.create_task(main())

    with asyncio.Runner(loop_factory=factory) as runner:
        request_of_the_start, loop = runner.run(alone())
        gc.collect()
        assert request_of_the_start() is None
        assert loop() is not None
    del runner
    gc.collect()
    assert loop() is None
    assert len(metrics._event_loops._watches) == 0


def test_a_program_ends_without_a_word() -> None:
    code = """if True:
        import asyncio
        from claw_exporter import metrics
        async def main():
            metrics.watch_event_loop()
            await asyncio.sleep(0.3)
        asyncio.run(main(), debug=True)
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_forked_child_does_not_show_the_loop_of_its_parent(metrics: Metrics) -> None:
    async def main() -> int:
        metrics.watch_event_loop()
        child = os.fork()
        if not child:
            time.sleep(0.3)  # noqa: ASYNC251  # a child has no loop
            os._exit(metrics.registry.get_sample_value("claw_ai_event_loop_lag_seconds") is not None)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])  # noqa: ASYNC222  # nobody else is here

    assert asyncio.run(main()) == 0


def test_after_a_fork_loops_are_watched_anew(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[int, int]:
        metrics.watch_event_loop()
        monkeypatch.setattr(metrics._event_loops, "_process", 0)  # what a child finds
        assert metrics.registry.get_sample_value("claw_ai_event_loop_lag_seconds") is None
        forgotten = len(metrics._event_loops._watches)
        metrics.watch_event_loop()
        return forgotten, len(metrics._event_loops._watches)

    assert asyncio.run(main()) == (0, 1)


# -- Windows of time -----------------------------------------------------------------------------------------
class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Timer:
    """Stands for a running loop: keeps the timer, so that a test can ring it early or late.

    A real loop would need minutes for what happens here.
    """

    def __init__(self) -> None:
        self.ring: Callable[[], object] = lambda: None

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> None:  # noqa: ANN401  # as a loop's
        del delay, context
        self.ring = lambda: callback(*args)

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    timer = Timer()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: timer)
    return timer


def test_the_worst_stays_for_thirty_to_sixty_seconds(clock: Clock, timer: Timer) -> None:
    store = Store()
    loops = EventLoops(store, clock)
    loops.watch()

    def pass_time(seconds: float, late: float = 0.0) -> float:
        """Let time pass, ringing the timer when it is due, the last time late; return what is shown."""
        end = clock.now + seconds
        while clock.now + 0.2 < end:
            clock.now += 0.2
            timer.ring()
        clock.now += 0.2 + late
        timer.ring()
        store.snapshot()
        return round(store.gauge(EVENT_LOOP_LAG).child()[0], 6)

    assert pass_time(10) == 0
    assert pass_time(1, late=3) == 3
    assert pass_time(10, late=1) == 3
    assert pass_time(28) == 3  # some 53 seconds after the start, 38 after it happened
    assert pass_time(10) == 0  # the second window began with the first ring after 30 s


def test_a_loop_blocked_for_long_is_late_by_all_of_it(clock: Clock, timer: Timer) -> None:
    store = Store()
    EventLoops(store, clock).watch()

    def shown() -> float:
        store.snapshot()
        return round(store.gauge(EVENT_LOOP_LAG).child()[0], 6)

    clock.now += 0.2
    timer.ring()
    for seconds in (1, 40, 100):
        clock.now = 1000.4 + seconds
        assert shown() == seconds
    timer.ring()
    assert shown() == 100
    clock.now += 0.2
    timer.ring()
    assert shown() == 100


def test_a_loop_that_stands_still_is_not_late(metrics: Metrics) -> None:
    with asyncio.Runner() as runner:

        async def main() -> None:
            metrics.watch_event_loop()

        runner.run(main())
        time.sleep(0.3)
        assert lag(metrics) == 0


def test_two_metrics_watch_one_loop(metrics: Metrics) -> None:
    other = Metrics(registry=CollectorRegistry())
    other.register()

    async def main() -> None:
        metrics.watch_event_loop()
        other.watch_event_loop()
        await asyncio.sleep(0.01)
        time.sleep(0.4)  # noqa: ASYNC251  # this is what is to be seen
        await asyncio.sleep(0.01)

    with asyncio.Runner() as runner:
        runner.run(main())
        assert min(lag(metrics), lag(other)) > 0.15
