"""Probes: deadlines, single flight, the last good numbers and their age, pauses after failures."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from claw_exporter import catalog, spec
from claw_exporter.collectors.base import Collector, Labels, Link, ProbeError, Report, Schedule, classify
from claw_exporter.exposition import render
from claw_exporter.probes import Probe, Probes, one_line
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

DEPTH = spec.Gauge(name="depth", help="How deep.", labels=("pool",), home="process")
UP = spec.Gauge(name="up_here", help="Is it.", labels=("target",), home="process")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Scripted(Collector):
    """Does one thing after the other, and the last for ever."""

    metrics = (DEPTH,)
    up = UP

    def __init__(
        self,
        *script: Callable[[], Awaitable[Report]],
        interval: float = 10,
        timeout: float = 5,
        name: str = "it",
    ) -> None:
        super().__init__(Schedule(name=name, interval_seconds=interval, timeout_seconds=timeout))
        self.up_labels = (name,)
        self.script = list(script)
        self.runs = 0
        self.aborts = 0
        self.retry: float | None = None

    async def collect(self) -> Report:
        self.runs += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await step()

    def abort(self) -> None:
        super().abort()
        self.aborts += 1

    def retry_seconds(self) -> float | None:
        return self.retry or super().retry_seconds()


def gives(dropped: int = 0, **numbers: float) -> Callable[[], Awaitable[Report]]:
    async def collect() -> Report:
        series: dict[Labels, float] = {(name,): number for name, number in numbers.items()}
        return Report({"depth": series}, dropped)

    return collect


def fails(error: Exception) -> Callable[[], Awaitable[Report]]:
    async def collect() -> Report:
        raise error

    return collect


async def hangs() -> Report:
    await asyncio.Event().wait()
    raise AssertionError


def probe_of(collector: Collector, clock: Clock, *, stale: float = 60) -> Probe:
    return Probe(collector, stale_after_seconds=stale, clock=clock)


async def test_numbers_are_those_of_the_last_run_and_no_others() -> None:
    probe = probe_of(Scripted(gives(a=1, b=2), gives(b=3)), Clock())
    await probe.run()
    assert dict(probe.series("depth")) == {("a",): 1, ("b",): 2}
    await probe.run()
    assert dict(probe.series("depth")) == {("b",): 3}


async def test_a_failed_run_leaves_the_last_good_numbers_with_their_age() -> None:
    clock = Clock()
    probe = probe_of(Scripted(gives(a=1), fails(OSError("gone"))), clock)
    await probe.run()
    clock.now += 30
    await probe.run()
    assert dict(probe.series("depth")) == {("a",): 1}
    assert probe.age_seconds == 30
    assert (probe.state.error_type, probe.errors["connection"]) == ("connection", 1)


async def test_numbers_that_are_too_old_disappear() -> None:
    clock = Clock()
    probe = probe_of(Scripted(gives(a=1), interval=10), clock, stale=60)
    await probe.run()
    clock.now += 70
    assert dict(probe.series("depth")) == {("a",): 1}
    clock.now += 1
    assert dict(probe.series("depth")) == {}


async def test_a_run_that_hangs_is_cut_off_at_its_deadline() -> None:
    collector = Scripted(hangs, gives(a=1), timeout=0.01)
    probe = probe_of(collector, Clock())
    await probe.run()
    assert probe.state.error_type == "timeout"
    assert collector.aborts
    await probe.run()
    assert probe.state.error_type == ""


async def test_a_run_that_does_not_end_when_cut_off_is_never_joined_by_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("claw_exporter.probes.GRACE_SECONDS", 0.01)
    release = asyncio.Event()

    async def stubborn() -> Report:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise OSError("at last")

    collector = Scripted(stubborn, gives(a=1), timeout=0.01)
    probe = probe_of(collector, Clock())
    await probe.run()
    await probe.run()
    assert (collector.runs, probe.errors["timeout"]) == (1, 2)
    release.set()
    await asyncio.wait_for(
        asyncio.shield(asyncio.gather(probe._unfinished or hangs(), return_exceptions=True)), 5
    )
    await probe.run()
    assert (collector.runs, probe.state.error_type) == (2, "")


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (ProbeError("query", "x"), "query"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "connection"),
        (KeyError("x"), "timeout"),
        (ValueError("x"), "internal"),
    ],
)
def test_errors_are_sorted_into_few_kinds(error: Exception, error_type: str) -> None:
    assert classify(error, ((KeyError, "timeout"),)) == error_type


async def test_the_log_tells_changes_of_state_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "claw_exporter.probes")
    broken = fails(OSError("gone"))
    clock = Clock()
    probe = probe_of(
        Scripted(gives(a=1), broken, broken, fails(ProbeError("query", "no")), gives(a=1)), clock
    )
    for _ in range(6):
        clock.now += 1
        await probe.run()
    told: list[dict[str, Any]] = [vars(record)["fields"] for record in caplog.records]
    assert told == [
        {"probe": "it", "error_type": "connection", "error": "OSError: gone"},
        {"probe": "it", "error_type": "query", "error": "no"},
        {"probe": "it", "failed_for_seconds": 3.0},
    ]


async def test_an_error_nobody_expected_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await probe_of(Scripted(fails(ZeroDivisionError())), Clock()).run()
    (record,) = caplog.records
    assert record.exc_info


async def test_a_probe_is_settled_after_its_first_run_however_it_went() -> None:
    probe = probe_of(Scripted(fails(OSError())), Clock())
    assert not probe.settled
    await probe.run()
    assert probe.settled


async def test_a_probe_is_settled_when_its_deadline_has_passed() -> None:
    clock = Clock()
    probe = probe_of(Scripted(gives(), timeout=5), clock)
    clock.now += 6
    assert probe.settled


async def test_probes_of_one_target_take_turns() -> None:
    running = most = 0

    async def busy() -> Report:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Report({})

    link: Link[object] = Link(hangs, lambda _: None)
    collectors = [Scripted(busy) for _ in range(3)]
    for collector in collectors:
        collector.turn = link.turn
    await asyncio.gather(*(probe_of(collector, Clock()).run() for collector in collectors))
    assert most == 1


async def test_a_probe_that_lost_its_target_tries_again_before_its_interval() -> None:
    again = asyncio.Event()

    async def second() -> Report:
        again.set()
        return Report({})

    collector = Scripted(fails(OSError()), second, interval=600)
    collector.retry = 0.01
    probes = Probes([collector], stale_after_seconds=1)
    task = asyncio.create_task(probes.run())
    await asyncio.wait_for(again.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_ending_the_probes_cuts_off_a_run_and_lets_go_of_every_target() -> None:
    started = asyncio.Event()

    async def long() -> Report:
        started.set()
        return await hangs()

    collectors = [Scripted(long, name="a"), Scripted(gives(), name="b")]
    task = asyncio.create_task(Probes(collectors, stale_after_seconds=1).run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(collector.aborts for collector in collectors)


def lines(store: Store, prefix: str) -> set[str]:
    return {line for line in render(store).decode().splitlines() if line.startswith(prefix)}


async def test_a_scrape_shows_what_was_read_and_the_probes_themselves() -> None:
    clock = Clock()
    collectors = [
        Scripted(gives(a=1, dropped=7), name="one"),
        Scripted(fails(OSError()), name="two", interval=30),
    ]
    probes = Probes(collectors, stale_after_seconds=60, clock=clock)
    store = Store()
    probes.register(store)
    for probe in probes.all:
        await probe.run()
    clock.now += 2
    assert lines(store, "depth") == {'depth{pool="a"} 1.0'}
    assert lines(store, "up_here") == {'up_here{target="one"} 1.0', 'up_here{target="two"} 0.0'}
    assert lines(store, "claw_ai_exporter_probe_success") == {
        'claw_ai_exporter_probe_success{probe="one"} 1.0',
        'claw_ai_exporter_probe_success{probe="two"} 0.0',
    }
    assert lines(store, "claw_ai_exporter_probe_age") == {
        'claw_ai_exporter_probe_age_seconds{probe="one"} 2.0',
        'claw_ai_exporter_probe_age_seconds{probe="two"} +Inf',
    }
    assert 'claw_ai_exporter_probe_interval_seconds{probe="two"} 30.0' in lines(
        store, "claw_ai_exporter_probe_i"
    )
    assert 'claw_ai_exporter_probe_dropped_rows_total{probe="one"} 7.0' in lines(
        store, "claw_ai_exporter_probe_d"
    )


async def test_every_kind_of_error_counts_from_zero() -> None:
    store = Store()
    Probes([Scripted(gives())], stale_after_seconds=1).register(store)
    assert lines(store, "claw_ai_exporter_probe_errors_total") == {
        f'claw_ai_exporter_probe_errors_total{{error_type="{kind}",probe="it"}} 0.0'
        for kind in catalog.PROBE_ERROR_TYPES
    }


def test_before_its_first_run_a_probe_has_neither_a_duration_nor_an_up() -> None:
    store = Store()
    Probes([Scripted(gives())], stale_after_seconds=1).register(store)
    assert not lines(store, "claw_ai_exporter_probe_duration")
    assert not lines(store, "up_here")


async def test_two_probes_may_report_the_same_metric() -> None:
    probes = Probes([Scripted(gives(a=1)), Scripted(gives(b=2))], stale_after_seconds=1)
    store = Store()
    probes.register(store)
    for probe in probes.all:
        await probe.run()
    assert lines(store, "depth") == {'depth{pool="a"} 1.0', 'depth{pool="b"} 2.0'}


# -- Other settings ------------------------------------------------------------------------------------------
class Made(Scripted):
    """Made from something, with a link that others may share."""

    def __init__(self, origin: str, *script: Callable[[], Awaitable[Report]], link: Link[int]) -> None:
        super().__init__(*script, name=origin, interval=600)
        self.origin = (origin,)
        self.link = link
        self.turn = link.turn


class Line:
    """A link, and what became of its connections."""

    def __init__(self) -> None:
        self.dropped: list[int] = []
        self.opened = 0
        self.link: Link[int] = Link(self.open, self.dropped.append)

    async def open(self) -> int:
        self.opened += 1
        return self.opened

    def asks(self, **numbers: float) -> Callable[[], Awaitable[Report]]:
        async def ask() -> Report:
            await self.link.get()
            return await gives(0, **numbers)()

        return ask


@asynccontextmanager
async def running(probes: Probes) -> AsyncIterator[None]:
    task = asyncio.create_task(probes.run())
    await settled(probes)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def settled(probes: Probes) -> None:
    async with asyncio.timeout(10):
        while any(not probe.state.runs for probe in probes.all):  # noqa: ASYNC110 - the state is the event
            await asyncio.sleep(0.001)


async def test_a_probe_with_the_same_origin_goes_on_with_its_connection_and_its_counts() -> None:
    line = Line()
    probes = Probes([Made("same", line.asks(a=1), link=line.link)], stale_after_seconds=60)
    async with running(probes):
        (before,) = probes.all
        before.errors["query"] += 3
        change = probes.replace([Made("same", line.asks(a=9), link=Line().link)], stale_after_seconds=7)
        assert probes.all == (before,)
        assert dict(before.series("depth")) == {("a",): 1}
        assert (before.errors["query"], before.stale_after_seconds, before.state.runs) == (3, 7, 1)
        assert (change.kept, change.started, change.ended) == (("same",), (), ())
        assert (line.opened, line.dropped) == (1, [])


async def test_a_probe_that_is_gone_disappears_and_lets_go_of_its_target() -> None:
    line = Line()
    probes = Probes([Made("gone", line.asks(a=1), link=line.link)], stale_after_seconds=60)
    async with running(probes):
        change = probes.replace([], stale_after_seconds=60)
        assert line.dropped == [1]
        assert (change.kept, change.started, change.ended) == ((), (), ("gone",))
        store = Store()
        probes.register(store)
        assert not lines(store, "depth")
        assert not lines(store, "claw_ai_exporter_probe_success")


async def test_a_new_probe_starts_at_once_and_from_nothing() -> None:
    line = Line()
    probes = Probes([Made("old", line.asks(a=1), link=line.link)], stale_after_seconds=60)
    async with running(probes):
        probes.replace([Made("new", line.asks(b=2), link=line.link)], stale_after_seconds=60)
        await settled(probes)
        (fresh,) = probes.all
        assert dict(fresh.series("depth")) == {("b",): 2}
        assert (line.opened, line.dropped) == (1, [])  # the connection is the old one's


async def test_before_it_runs_the_probes_may_change_too() -> None:
    line = Line()
    probes = Probes([Made("old", line.asks(a=1), link=line.link)], stale_after_seconds=60)
    probes.replace([Made("new", line.asks(b=2), link=line.link)], stale_after_seconds=60)
    async with running(probes):
        assert [probe.schedule.name for probe in probes.all] == ["new"]
    assert line.opened == 1


async def test_a_run_over_a_shared_connection_may_end_and_is_the_last() -> None:
    line = Line()
    release, entered = asyncio.Event(), asyncio.Event()

    async def slow() -> Report:
        await line.link.get()
        entered.set()
        await release.wait()
        return Report({})

    gone, stays = Made("gone", slow, link=line.link), Made("stays", line.asks(a=1), link=line.link)
    probes = Probes([gone, stays], stale_after_seconds=60)
    task = asyncio.create_task(probes.run())
    await asyncio.wait_for(entered.wait(), 5)
    probes.replace([stays], stale_after_seconds=60)
    assert not line.dropped
    release.set()
    await settled(probes)
    assert (gone.runs, stays.runs, line.opened, line.dropped) == (1, 1, 1, [])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not probes._tasks


async def test_a_run_over_a_connection_of_its_own_is_cut_off() -> None:
    line = Line()
    entered, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> Report:
        await line.link.get()
        entered.set()
        try:
            return await hangs()
        finally:
            ended.set()

    probes = Probes([Made("gone", slow, link=line.link)], stale_after_seconds=60)
    task = asyncio.create_task(probes.run())
    await asyncio.wait_for(entered.wait(), 5)
    probes.replace([], stale_after_seconds=60)
    assert line.dropped == [1]
    await asyncio.wait_for(ended.wait(), 5)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_error_is_described_in_one_line() -> None:
    assert one_line(OSError("a\n  b")) == "OSError: a b"
    assert one_line(TimeoutError()) == "TimeoutError"
    assert one_line(ProbeError("query", "a\nb")) == "a b"
