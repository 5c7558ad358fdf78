"""The one connection to a target: kept, dropped, and the pauses between attempts."""

from __future__ import annotations

import asyncio

import pytest

from claw_exporter.collectors.base import LONGEST_PAUSE_SECONDS, Collector, Link, ProbeError, Report, Schedule


class Target:
    """Something to connect to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.opened: list[int] = []
        self.discarded: list[int] = []
        self.error: Exception | None = None
        self.link: Link[int] = Link(
            self.connect, self.discarded.append, clock=lambda: self.now, chance=lambda: 0.0
        )

    async def connect(self) -> int:
        self.opened.append(len(self.opened) + 1)
        if self.error:
            raise self.error
        return self.opened[-1]


async def test_a_connection_is_opened_once_and_kept() -> None:
    target = Target()
    assert [await target.link.get(), await target.link.get()] == [1, 1]
    assert target.link.retry_seconds() is None


async def test_after_a_drop_a_new_one_is_opened_at_once() -> None:
    target = Target()
    await target.link.get()
    target.link.drop()
    assert target.discarded == [1]
    assert await target.link.get() == 2


async def test_dropping_twice_discards_once() -> None:
    target = Target()
    await target.link.get()
    target.link.drop()
    target.link.drop()
    assert target.discarded == [1]


async def test_pauses_between_attempts_grow_to_a_bound() -> None:
    target = Target()
    target.error = OSError("down")
    pauses = []
    for _ in range(6):
        with pytest.raises(OSError, match="down"):
            await target.link.get()
        pause = target.link.retry_seconds()
        assert pause is not None
        pauses.append(pause)
        target.now += pause
    assert pauses == [1, 2, 4, 8, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


async def test_during_a_pause_the_same_error_comes_without_an_attempt() -> None:
    target = Target()
    target.error = OSError("down")
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await target.link.get()
    assert len(target.opened) == 1


async def test_a_success_forgets_the_pauses() -> None:
    target = Target()
    target.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        await target.link.get()
    target.now, target.error = 1, None
    await target.link.get()
    target.link.drop()
    assert target.link.retry_seconds() is None


async def test_an_attempt_that_was_cut_off_counts_as_one_that_failed() -> None:
    hang = asyncio.Event()

    async def connect() -> int:
        await hang.wait()
        return 1

    link: Link[int] = Link(connect, lambda _: None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(link.get(), 0.01)
    assert link.retry_seconds()
    with pytest.raises(TimeoutError, match="no answer while connecting"):
        await link.get()


async def test_a_connection_that_comes_after_its_run_was_cut_off_is_discarded() -> None:
    opened = asyncio.Event()
    discarded: list[int] = []

    async def connect() -> int:
        await opened.wait()
        return 1

    link: Link[int] = Link(connect, discarded.append)
    task = asyncio.create_task(link.get())
    await asyncio.sleep(0)
    link.drop()
    opened.set()
    with pytest.raises(ProbeError, match="after its run had been cut off"):
        await task
    assert discarded == [1]


async def test_a_collector_without_a_connection_has_nothing_to_drop_and_nothing_to_wait_for() -> None:
    class Plain(Collector):
        async def collect(self) -> Report:
            return Report({})

    collector = Plain(Schedule(name="plain", interval_seconds=1, timeout_seconds=1))
    collector.abort()
    assert collector.retry_seconds() is None
    assert await collector.collect() == Report({})


async def test_a_collector_drops_its_connection_when_aborted() -> None:
    class Connected(Collector):
        async def collect(self) -> Report:
            return Report({})

    target = Target()
    await target.link.get()
    collector = Connected(Schedule(name="c", interval_seconds=1, timeout_seconds=1), target.link)
    collector.abort()
    assert target.discarded == [1]
    assert collector.turn is target.link.turn
    assert collector.retry_seconds() is None
