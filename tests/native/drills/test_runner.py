"""The course of a drill, with a site that only pretends."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from claw_native.drills.fault import Fault, Told, alert
from claw_native.drills.runner import Drills, describe
from claw_native.drills.shrink import Shrink
from claw_native.drills.watch import Sight
from claw_native.errors import NativeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claw_native.drills.means import Site
    from claw_native.drills.runner import Outcome

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
Labels = dict[str, str]


class World:
    """Time that passes when somebody waits, a fault that is there or not, and alerts that follow it.

    Args:
        alerts: Each with the seconds after which it fires, and after which it is told; None: never.
        lasting: Alerts fire so long after the fault has gone.
        calm: Nothing fires before the fault.
    """

    def __init__(
        self,
        alerts: list[tuple[Labels, float, float | None]],
        *,
        lasting: float = 5,
        calm: bool = True,
        mute: bool = False,
    ) -> None:
        self.now = START
        self.alerts = alerts
        self.lasting = lasting
        self.calm = calm
        self.mute = mute
        self.broken: float | None = None
        self.mended: float | None = None
        self.said: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @contextmanager
    def fault(self, _: Site) -> Iterator[None]:
        self.broken = self.now
        try:
            yield
        finally:
            self.mended = self.now

    def see(self, _: Site) -> Sight:
        firing: list[Any] = [] if self.calm else [{"alertname": "Old"}]
        rows: list[dict[str, Any]] = []
        if self.broken is not None:
            since = self.now - self.broken
            over = self.mended is not None and self.now - self.mended > self.lasting
            for labels, fires, told in self.alerts:
                if since >= fires and not over:
                    firing.append(labels)
                if told is not None and since >= told:
                    at = datetime.fromtimestamp(int(self.broken + told), UTC).isoformat()
                    rows.insert(0, {"at": at, "status": "firing", "labels": labels})
        silent = self.mute and self.broken is not None and self.mended is None
        return Sight(firing, None if silent else rows)


def drill(world: World, **changes: Any) -> Outcome:  # noqa: ANN401 - fields of a fault
    fault = Fault(
        **{
            "name": "it",
            "breaks": "something",
            "means": (world.fault,),
            "must": (alert("Down", job="a"),),
            **changes,
        }
    )
    site: Any = None
    runner = Drills(site, Shrink(60), world.said.append, world.see, world.sleep, lambda: world.now)
    (outcome,) = runner.run([fault])
    return outcome


DOWN = {"alertname": "Down", "job": "a"}
OTHER = {"alertname": "Other", "job": "b", "severity": "warning", "dashboard": "d"}


def test_an_alert_that_comes_and_goes_is_a_good_drill() -> None:
    outcome = drill(World([(DOWN, 10, 12)]))
    assert outcome.faults == []
    assert outcome.came == ["Down"]
    assert outcome.detection_seconds == pytest.approx(10, abs=0.5)
    assert outcome.notification_seconds == pytest.approx(12, abs=1.5)
    assert outcome.resolution_seconds == pytest.approx(5, abs=0.9)


def test_an_alert_that_does_not_come_is_a_fault() -> None:
    outcome = drill(World([]))
    assert outcome.faults == ['Down{job="a"} did not fire']
    assert outcome.detection_seconds is None


def test_an_alert_of_another_job_is_not_the_one() -> None:
    outcome = drill(World([({"alertname": "Down", "job": "b"}, 1, 2)]))
    assert outcome.faults == ['Down{job="a"} did not fire', 'unexpected Down{job="b"}']


def test_an_alert_that_nobody_expects_is_a_fault() -> None:
    outcome = drill(World([(DOWN, 10, 12), (OTHER, 5, 6)]))
    assert outcome.faults == ['unexpected Other{job="b", severity="warning"}']
    assert outcome.came == ["Other", "Down"]


def test_an_alert_that_may_come_is_none() -> None:
    assert drill(World([(DOWN, 10, 12), (OTHER, 5, 6)]), may=(alert("Other"),)).faults == []


def test_an_alert_that_nobody_is_told_is_a_fault() -> None:
    outcome = drill(World([(DOWN, 10, None)]))
    assert outcome.faults == ['Down{job="a"} was not notified']
    assert outcome.notification_seconds is None


def test_an_alert_that_stays_is_a_fault() -> None:
    outcome = drill(World([(DOWN, 10, 12)], lasting=10_000))
    assert outcome.faults == ["still firing: Down"]
    assert outcome.resolution_seconds is None


def test_what_cannot_be_told_while_it_lasts_is_told_afterwards() -> None:
    world = World([(DOWN, 10, 12)], mute=True)
    outcome = drill(world, must=(alert("Down", told=Told.AFTERWARDS),))
    assert outcome.faults == []
    assert world.mended is not None
    assert world.broken is not None
    assert world.mended - world.broken < 12


def test_an_alert_that_another_one_mutes_need_not_be_told() -> None:
    outcome = drill(World([(DOWN, 10, None)]), must=(alert("Down", told=Told.BY_ANOTHER),))
    assert outcome.faults == []


def test_nothing_is_broken_before_it_is_calm() -> None:
    world = World([(DOWN, 10, 12)], calm=False)
    outcome = drill(world)
    assert outcome.faults == ["not calm before it: Old"]
    assert world.broken is None


def test_means_that_fail_are_a_fault_and_the_others_are_mended() -> None:
    @contextmanager
    def cannot(_: Site) -> Iterator[None]:
        if world.broken:
            raise NativeError("it is made of stone")
        yield

    world = World([])
    outcome = drill(world, means=(world.fault, cannot))
    assert outcome.faults[0] == "it is made of stone"
    assert world.mended is not None


def test_whoever_waits_is_told_what_is_missing() -> None:
    world = World([(DOWN, 25, 26)])
    drill(world)
    lines = [line for line in world.said if "until fired" in line]
    assert lines
    assert all('nothing fires; not yet Down{job="a"}' in line for line in lines)


def test_an_alert_is_named_with_what_tells_it_apart() -> None:
    assert describe(OTHER) == 'Other{job="b", severity="warning"}'


def test_a_drill_ends_early_when_time_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claw_native.drills.runner.GRACE_SECONDS", 0)
    world = World([])
    drill(world)
    assert world.mended is not None
    assert world.broken is not None
    assert world.mended - world.broken < 45
