"""Wishes to read the settings again: when they come, how often they are fulfilled, what a failure leaves."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claw_exporter.document import Mistake
from claw_exporter.exposition import render
from claw_exporter.reload import Reloads
from claw_exporter.settings import Settings, SettingsError
from claw_exporter.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest


class Desk:
    """Loads and applies as a test wants."""

    def __init__(self) -> None:
        self.now = 100.0
        self.loading = threading.Event()
        self.may_load = threading.Event()
        self.may_load.set()
        self.loads = 0
        self.applied = 0
        self.error: Exception | None = None
        self.changed = asyncio.Event()
        self.reloads = Reloads(self.load, clock=lambda: self.now)

    def load(self) -> Settings:
        self.loads += 1
        self.loading.set()
        assert self.may_load.wait(10)
        if isinstance(self.error, SettingsError):
            raise self.error
        return Settings()

    def apply(self, _: Settings) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.applied += 1
        self.changed.set()
        return {"kept": 3}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reloads.serve(self.apply))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def shown(self) -> list[str]:
        store = Store()
        self.reloads.register(store)
        return [line for line in render(store).decode().splitlines() if not line.startswith("#")]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is the event
            await asyncio.sleep(0.001)


async def test_a_wish_is_fulfilled_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "claw_exporter.reload")
    desk = Desk()
    async with desk.serving():
        desk.now = 200.0
        await asyncio.sleep(0)
        desk.reloads.wish()
        await until(lambda: bool(caplog.records))
    assert (caplog.messages, vars(caplog.records[0])["fields"]) == (["settings read again"], {"kept": 3})
    assert desk.shown() == [
        "claw_ai_exporter_config_last_reload_successful 1.0",
        "claw_ai_exporter_config_last_reload_success_timestamp_seconds 200.0",
    ]


async def test_a_wish_that_comes_before_the_event_loop_waits_for_it() -> None:
    desk = Desk()
    desk.reloads.wish()
    desk.reloads.wish()
    async with desk.serving():
        await until(lambda: desk.applied == 1)
        await asyncio.sleep(0.02)
    assert desk.loads == 1


async def test_wishes_that_come_during_a_reading_are_one_more() -> None:
    desk = Desk()
    desk.may_load.clear()
    async with desk.serving():
        await asyncio.sleep(0)
        desk.reloads.wish()
        await asyncio.to_thread(desk.loading.wait, 10)
        for _ in range(5):
            desk.reloads.wish()
        desk.may_load.set()
        await until(lambda: desk.applied == 2)
        await asyncio.sleep(0.02)
    assert desk.loads == 2


async def test_a_wish_after_the_end_is_lost_without_harm() -> None:
    desk = Desk()
    async with desk.serving():
        await asyncio.sleep(0)
    desk.reloads.wish()
    assert desk.loads == 0


async def test_mistakes_are_all_told_and_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.error = SettingsError(Path("exporter.yml"), [Mistake(2, "host", "is b"), Mistake(1, "", "is a")])
    async with desk.serving():
        desk.now = 200.0
        desk.reloads.wish()
        await until(lambda: bool(caplog.records))
        assert desk.shown() == [
            "claw_ai_exporter_config_last_reload_successful 0.0",
            "claw_ai_exporter_config_last_reload_success_timestamp_seconds 100.0",
        ]
        desk.error = None
        await asyncio.sleep(0)
        desk.reloads.wish()
        await until(lambda: desk.applied == 1)
    assert caplog.messages == ["the settings were not read again; the old ones stay"]
    assert vars(caplog.records[0])["fields"] == {
        "mistakes": ["exporter.yml:1: is a", "exporter.yml:2: host is b"]
    }
    assert desk.shown()[0].endswith(" 1.0")


async def test_what_nobody_expected_changes_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.error = ZeroDivisionError()
    async with desk.serving():
        desk.reloads.wish()
        await until(lambda: bool(caplog.records))
    assert caplog.records[0].exc_info
    assert desk.shown()[0].endswith(" 0.0")
