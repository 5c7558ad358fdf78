"""The host collector, on the machine that runs the tests."""

from __future__ import annotations

import asyncio
import threading
from collections import namedtuple
from typing import TYPE_CHECKING

import psutil
import pytest

from claw_exporter.collectors import host
from claw_exporter.collectors.base import ProbeError, Report
from claw_exporter.collectors.host import HostCollector
from claw_exporter.settings import Host

if TYPE_CHECKING:
    from pathlib import Path

Times = namedtuple("Times", "user system idle iowait guest")  # noqa: PYI024 - as psutil makes them
Traffic = namedtuple("Traffic", "bytes_sent bytes_recv")  # noqa: PYI024 - the same


def series(report: Report, metric: str) -> dict[tuple[str, ...], float]:
    return dict(report.series[metric])


async def test_memory_and_disks_are_those_of_this_machine(tmp_path: Path) -> None:
    report = await HostCollector(Host(mountpoints=("/", str(tmp_path)))).collect()
    memory = psutil.virtual_memory().total
    assert series(report, "claw_ai_host_memory_total_bytes") == {(): memory}
    assert 0 < series(report, "claw_ai_host_memory_used_bytes")[()] < memory
    totals = series(report, "claw_ai_host_disk_total_bytes")
    assert totals.keys() == {("/",), (str(tmp_path),)}
    assert 0 < series(report, "claw_ai_host_disk_used_bytes")["/",] < totals["/",]


async def test_only_metrics_of_the_catalogue_are_reported() -> None:
    collector = HostCollector(Host())
    report = await collector.collect()
    assert set(report.series) == {metric.name for metric in collector.metrics}


def test_cpu_use_is_the_busy_share_since_the_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # Guest time is part of user time, waiting for disks is idle time.
    readings = iter([Times(10, 0, 80, 10, 5), Times(40, 20, 120, 20, 25), Times(40, 20, 120, 20, 25)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(readings))
    collector = HostCollector(Host())
    assert series(collector.read(), "claw_ai_host_cpu_usage_ratio") == {}
    assert series(collector.read(), "claw_ai_host_cpu_usage_ratio") == {(): 0.5}
    assert series(collector.read(), "claw_ai_host_cpu_usage_ratio") == {}


def test_interfaces_of_containers_and_the_loopback_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = {name: Traffic(1, 2) for name in ("eth0", "lo", "veth12", "docker0", "br-1")}
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: counters)
    assert series(HostCollector(Host()).read(), "claw_ai_host_network_bytes_total") == {
        ("eth0", "receive"): 2,
        ("eth0", "transmit"): 1,
    }


async def test_a_mountpoint_that_does_not_exist_is_named() -> None:
    collector = HostCollector(Host(mountpoints=("/no/such/disk",)))
    with pytest.raises(ProbeError, match=r"host\.mountpoints: '/no/such/disk' cannot be read") as raised:
        await collector.collect()
    assert raised.value.error_type == "result"


async def test_a_disk_that_hangs_is_not_asked_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    back = threading.Event()
    monkeypatch.setattr(host, "_disk", lambda _: (back.wait(30), 0.0)[:0] or (0.0, 0.0))
    collector = HostCollector(Host())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(collector.collect(), 0.05)
    with pytest.raises(ProbeError, match="an earlier reading still hangs"):
        await collector.collect()
    back.set()
    assert collector._reading is not None
    await asyncio.to_thread(collector._reading.join, 30)
    await collector.collect()
