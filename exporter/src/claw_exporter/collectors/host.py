"""The machine: CPU, memory, disks and network, for hosts without a node exporter."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil

from claw_exporter import catalog
from claw_exporter.collectors.base import Collector, Labels, ProbeError, Report, Schedule

if TYPE_CHECKING:
    from claw_exporter.settings import Host

# Traffic of containers passes the machine's own interface as well, and their interfaces come and go.
_IGNORED_INTERFACES: Final = ("lo", "veth", "docker", "br-")


class HostCollector(Collector):
    """Watches the machine that this process runs on.

    Args:
        settings: Which disks, and when.
    """

    metrics = (
        catalog.HOST_CPU,
        catalog.HOST_MEMORY_USED,
        catalog.HOST_MEMORY_TOTAL,
        catalog.HOST_DISK_USED,
        catalog.HOST_DISK_TOTAL,
        catalog.HOST_NETWORK,
    )

    def __init__(self, settings: Host) -> None:
        super().__init__(
            Schedule(
                name="host",
                interval_seconds=settings.interval_seconds,
                timeout_seconds=settings.timeout_seconds,
            ),
            origin=(settings,),
        )
        self._mountpoints = settings.mountpoints
        self._cpu: tuple[float, float] | None = None
        self._reading: threading.Thread | None = None

    async def collect(self) -> Report:
        """Read everything, beside the event loop: a disk may hang (a network file system that is away)."""
        if self._reading is not None and self._reading.is_alive():
            raise ProbeError("timeout", "an earlier reading still hangs; is a network file system away?")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Report] = loop.create_future()

        def read() -> None:
            outcome: Report | Exception
            try:
                outcome = self.read()
            except Exception as error:  # noqa: BLE001 - carried over to the event loop
                outcome = error
            with suppress(RuntimeError):  # the loop was closed while this hung
                loop.call_soon_threadsafe(_answer, answer, outcome)

        # A daemon, not a thread of the pool: one that hangs must not keep the process from ending.
        self._reading = threading.Thread(target=read, name="host", daemon=True)
        self._reading.start()
        return await answer

    def read(self) -> Report:
        """Read everything; blocks."""
        memory = psutil.virtual_memory()
        disks = {mountpoint: _disk(mountpoint) for mountpoint in self._mountpoints}
        share = self._cpu_share()
        return Report(
            {
                catalog.HOST_CPU.name: {} if share is None else {(): share},
                catalog.HOST_MEMORY_USED.name: {(): float(memory.total - memory.available)},
                catalog.HOST_MEMORY_TOTAL.name: {(): float(memory.total)},
                catalog.HOST_DISK_USED.name: {(name,): used for name, (used, _) in disks.items()},
                catalog.HOST_DISK_TOTAL.name: {(name,): total for name, (_, total) in disks.items()},
                catalog.HOST_NETWORK.name: _network(),
            }
        )

    def _cpu_share(self) -> float | None:
        """Give the busy share of the CPU time since the last run; None where there is nothing to compare."""
        times = psutil.cpu_times()
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        before, self._cpu = self._cpu, (total, idle)
        if before is None or total <= before[0]:
            return None
        return min(1.0, max(0.0, 1 - (idle - before[1]) / (total - before[0])))


def _answer(future: asyncio.Future[Report], outcome: Report | Exception) -> None:
    if future.done():  # cut off in the meantime
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _disk(mountpoint: str) -> tuple[float, float]:
    try:
        usage = psutil.disk_usage(mountpoint)
    except OSError as error:
        raise ProbeError("result", f"host.mountpoints: {mountpoint!r} cannot be read: {error}") from error
    return float(usage.used), float(usage.total)


def _network() -> dict[Labels, float]:
    counters = psutil.net_io_counters(pernic=True)
    return {
        (interface, direction): float(number)
        for interface, count in sorted(counters.items())
        if not interface.startswith(_IGNORED_INTERFACES)
        for direction, number in (("receive", count.bytes_recv), ("transmit", count.bytes_sent))
    }
