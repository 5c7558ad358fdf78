"""The calm hour, in no time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claw_native.drills.calm import Calm, watch_calm
from claw_native.drills.watch import Sight

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def hour(see: Callable[[float], Sight]) -> tuple[Calm, list[str]]:
    clock, said = Clock(), list[str]()
    calm = watch_calm(lambda: see(clock()), seconds=3600, say=said.append, sleep=clock.sleep, clock=clock)
    return calm, said


def beat(minute: float) -> list[dict[str, Any]]:
    return [{"at": str(int(minute)), "labels": {"alertname": "Watchdog"}}]


def test_an_hour_with_nothing_but_heartbeats_is_calm() -> None:
    calm, said = hour(lambda now: Sight([], beat(now / 60)))
    assert calm.faults == []
    assert said[0] == "    5 min: nothing fired"
    assert len(said) == 11


def test_what_fires_once_is_remembered() -> None:
    def see(now: float) -> Sight:
        return Sight([{"alertname": "Down", "job": "a"}] if 600 <= now < 620 else [], beat(now / 60))

    calm, _ = hour(see)
    assert calm.faults == ['Down{job="a"} fired after 10 min']


def test_heartbeats_that_stop_are_a_fault() -> None:
    calm, _ = hour(lambda now: Sight([], beat(min(now, 1800) / 60)))
    assert calm.faults == ["no heartbeat arrived for 1790 s"]


def test_a_prometheus_that_does_not_answer_is_a_fault() -> None:
    calm, _ = hour(lambda now: Sight(None if now < 30 else [], beat(now / 60)))
    assert calm.faults == ["Prometheus did not answer 3 times"]
