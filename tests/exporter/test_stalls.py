from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from claw_exporter import stalls
from claw_exporter.stalls import Stalls
from claw_exporter.tracking import Parts


def stream(*, running: bool = True) -> Parts:
    """A stream whose generator runs, or waits for its reader."""
    parts = Parts()
    parts.generator, parts.running = SimpleNamespace(running=running), "running"
    parts.since = time.perf_counter()
    return parts


def wait(condition: Any) -> None:  # noqa: ANN401  # a function
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


@pytest.fixture
def faults() -> list[str]:
    return []


def test_a_wait_grows_while_a_generator_runs(faults: list[str]) -> None:
    watch, waiting, held = Stalls(faults.append), stream(), stream(running=False)
    watch.add(waiting)
    watch.add(held)
    wait(lambda: waiting.longest > 0.05)
    assert held.longest == 0
    waiting.fresh = True
    wait(lambda: not waiting.fresh)
    assert waiting.last > 0
    watch.remove(waiting)
    watch.remove(held)
    assert faults == []


def test_a_wait_is_longest_only_once() -> None:
    parts = stream()
    parts.since = 10.0
    for now, longest in ((10.5, 0.5), (10.4, 0.5), (11.0, 1.0)):
        parts.look(now)
        assert parts.longest == longest
    parts.fresh = True
    parts.look(12.0)
    parts.look(12.5)
    assert (parts.last, parts.since, parts.longest) == (12.0, 12.0, 1.0)


def test_the_thread_ends_when_no_stream_is_open_and_comes_back(
    faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "_LINGER_TICKS", 2)
    watch, parts = Stalls(faults.append), stream()
    watch.add(parts)
    thread = watch._thread
    assert thread is not None
    assert thread.daemon
    watch.add(stream())
    assert watch._thread is thread
    watch._open.clear()
    thread.join(10)
    assert not thread.is_alive()
    watch.add(parts)
    wait(lambda: parts.longest > 0)
    watch.remove(parts)


def test_a_stream_that_opens_while_the_thread_ends_is_looked_at(
    faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "_LINGER_TICKS", 0)
    watch, parts = Stalls(faults.append), stream()

    class Late(set[Parts]):
        """Empty when it is copied, but not when it is looked at thereafter."""

        def copy(self) -> set[Parts]:
            return set() if threading.current_thread() is first else set(self)

    watch._open = Late()
    first = threading.Thread(target=watch._run)
    watch._thread = first
    watch._open.add(parts)
    first.start()
    first.join(10)
    wait(lambda: parts.longest > 0)
    watch.remove(parts)


def test_where_no_thread_can_be_had_that_is_counted(
    faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    watch, parts = Stalls(faults.append), stream()
    watch.add(parts)
    watch.remove(parts)
    assert faults == ["stream_gap"]
